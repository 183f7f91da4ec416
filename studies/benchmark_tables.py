"""The tables of the benchmark."""

from functools import partial
from pathlib import Path

from benchmark_evaluation import OTHER_PARTS
from benchmark_networks import BASELINE, FOUR, NECK, NETWORK_PARTS, TWO, VARIANTS

from mipnet_mmpose.markdown import markdown_table

TITLES = {
    'hrnet-w32': 'HRNet-W32 256x192',
    'hrnet-w48': 'HRNet-W48 384x288',
    'res50': 'ResNet-50 256x192',
    'vit-b': 'ViT-B 256x192',
    'rtmpose-m': 'RTMPose-m 256x192',
}
TARGETS = {  # on a CPU, HRNet-W32 256x192, batch 8; at most
    ('inference', 'hrnet-w32', TWO): 1.38,
    ('inference', 'hrnet-w32', FOUR): 2.0,
    ('inference', 'hrnet-w32', NECK): 1.05,
    ('training', 'hrnet-w32', TWO): 1.38,
    ('memory', 'hrnet-w32', TWO): 1.5,
    ('pipeline', 'hrnet-w32', TWO): 1.15,
    ('nms', '200 poses', TWO): 1 / 20,
    ('metric', '5000 images x 20 boxes', TWO): 1.0,
}


def milliseconds(baseline):
    return f'{1000 * baseline["seconds"]:.3g}'


BASELINE_COLUMNS = {
    'inference': ('baseline, ms a crop', milliseconds),
    'training': ('baseline, ms a crop', milliseconds),
    'memory': ('baseline, MB', lambda baseline: f'{baseline["bytes"] / 2**20:.0f}'),
    'pipeline': ('baseline, ms a sample', milliseconds),
    'nms': ('MMPose, ms', milliseconds),
    'metric': ('MMPose, s', lambda baseline: f'{baseline["seconds"]:.0f}'),
}


def ratio_table(part, subjects):
    """Ratios with the middle half of the rounds; multiply-adds where counted."""
    names = [n for n in VARIANTS if any(n in result for result in subjects.values())]
    column, form = BASELINE_COLUMNS[part]
    header = ['']
    timed = part != 'memory'
    for name in names:
        header += [name, 'multiply-adds'] if part == 'inference' else [name]
    rows = []
    for subject, result in subjects.items():
        row = [TITLES.get(subject, Path(subject).stem)]
        for name in names:
            row.append(ratio_cell(result[name]))
            if part == 'inference':
                row.append(f'{result[name]["multiply_adds"]:.2f}')
        row.append(form(result[BASELINE]))
        rows.append([*row, result[BASELINE]['rounds']] if timed else row)
    return markdown_table([*header, column] + ['rounds'] * timed, rows)


def ratio_cell(entry):
    digits = 2 if entry['ratio'] > 0.1 else 4
    cell = f'**{entry["ratio"]:.{digits}f}**'
    if entry.get('low') != entry.get('high'):
        cell += f' ({entry["low"]:.{digits}f} … {entry["high"]:.{digits}f})'
    return cell


def value_table(subjects):
    """A row for each network and variant of it, a column for each value."""
    columns = list(next(iter(next(iter(subjects.values())).values())))
    rows = [
        [TITLES.get(subject, Path(subject).stem), name]
        + [f'{values[column]:.4g}' for column in columns]
        for subject, result in subjects.items()
        for name, values in result.items()
    ]
    return markdown_table(['', '', *columns], rows, 'llr')


def target_table(results):
    rows = []
    for (part, subject, name), limit in TARGETS.items():
        entry = results.get(part, {}).get(subject, {}).get(name)
        if entry is not None:
            held = 'yes' if entry['ratio'] <= limit else '**no**'
            title = TITLES.get(subject, subject)
            what = f'{part}, {title}' + (f', {name}' if part == 'inference' else '')
            rows.append([what, f'{limit:g}', ratio_cell(entry), held])
    return markdown_table(
        ['time or memory / baseline', 'at most', 'measured', 'held'], rows
    )


def all_tables(record):
    """Markdown of each part that has results, and of the targets."""
    results = record['results']
    tables = dict(
        machine=f'{record["machine"]}; torch {record["torch"]}, MMPose '
        f'{record["mmpose"]}; batch {record["batch"]}\n'
    )
    if record['device'] == 'cpu' and record['batch'] == 8:
        tables['targets'] = target_table(results)
    for part in [*NETWORK_PARTS, *OTHER_PARTS]:
        if part in results:
            make = (
                partial(ratio_table, part) if part in BASELINE_COLUMNS else value_table
            )
            tables[part] = make(results[part])
    return tables
