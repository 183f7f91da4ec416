"""The report in Markdown."""

from .figures import METRICS
from .plots import CURVES


def percent(value):
    return '–' if value is None else f'{100 * value:.1f}'


def markdown_table(header, rows):
    lines = ['| ' + ' | '.join(header) + ' |']
    lines.append('| --- |' + ' ---: |' * (len(header) - 1))
    lines += ['| ' + ' | '.join(map(str, row)) + ' |' for row in rows]
    return '\n'.join(lines)


def bins_section(title, column, text, table, picture):
    """Figures by bin: both models side by side, then AP of each λ."""
    models = [name for name in next(iter(table.values())) if name != 'people']
    header = [column, 'people']
    header += [f'{name} {metric}' for metric in METRICS for name in models[:2]]
    rows = [
        [name, row['people']]
        + [percent(row[model][metric]) for metric in METRICS for model in models[:2]]
        for name, row in table.items()
    ]
    alone = [
        [name, row['people'], *(percent(row[model]['AP']) for model in models)]
        for name, row in table.items()
    ]
    return [
        f'## {title}',
        text,
        f'![{title}]({picture})',
        markdown_table(header, rows),
        'AP of each λ:',
        markdown_table([*header[:2], *models], alone),
    ]


def write_report(folder, report, has_crops):
    """report.md beside the pictures."""
    tables, test = report['tables'], report['test']
    models = [name for name in tables['all']['all'] if name != 'people']
    parts = ['# Baseline and MIPNet']
    parts.append(
        '\n'.join(
            f'- {name}: `{used["config"]}`, `{used["checkpoint"]}`'
            for name, used in test['models'].items()
        )
        + f'\n- test set: `{test["ann_file"]}`, {test["images"]} images, '
        f'{tables["all"]["all"]["people"]} people'
        f'\n- boxes: {test["boxes"]}, {test["box_source"]}'
    )
    parts.append('## All people')
    parts.append(
        markdown_table(
            ['model', *METRICS],
            [
                [name, *(percent(tables['all']['all'][name][m]) for m in METRICS)]
                for name in models
            ],
        )
    )
    parts.append(
        'The first two rows are what `tools/test.py` of MMPose prints. The last one is '
        'an upper bound for one pose per box: that of the λ whose pose is most like '
        "the box's person. MIPNet itself may give a box several people."
    )
    parts += bins_section(
        'By overlap',
        'box IoU',
        'People by their largest box IoU with another person; in each bin the others '
        'are regions to ignore.',
        tables['overlap'],
        'overlap.png',
    )
    parts += bins_section(
        'By crowding',
        'crowd index',
        "Images by CrowdPose's crowd index.",
        tables['crowding'],
        'crowding.png',
    )
    parts += ['## Fewer boxes', '![AP and AR with fewer boxes](boxes.png)']
    for kind, label in CURVES.items():
        if kind not in report['curves']:
            parts.append('All boxes have the same score: there is no score curve.')
            continue
        names = ('baseline', 'MIPNet')
        header = [label.split(' (')[0], 'boxes']
        header += [f'{name} {metric}' for metric in ('AP', 'AR') for name in names]
        rows = [
            [f'{point["threshold"]:g}', point['boxes']]
            + [percent(point[name][m]) for m in ('AP', 'AR') for name in names]
            for point in report['curves'][kind]
        ]
        parts.append(markdown_table(header, rows))
    cost = report['cost']
    base = cost['models']['baseline']
    units = {'parameters': (1e6, 'M'), 'multiply_adds': (1e9, 'G')}
    rows = []
    for name, values in cost['models'].items():
        row = [name]
        for key, value in values.items():
            scale, unit = units.get(key, (1, 'ms'))
            ratio = f' ({value / base[key]:.3f} ×)' if values is not base else ''
            row.append(f'{value / scale:.2f} {unit}{ratio}')
        rows.append(row)
    parts.append('## Cost')
    parts.append(markdown_table(['model', 'parameters', 'multiply-adds', 'crop'], rows))
    parts.append(
        f'Crops of {cost["size"][0]}×{cost["size"][1]}; the networks alone, in turn, '
        f'{cost["batch"]} crops at a time, median of {cost["rounds"]} runs '
        f'({cost["machine"]}).'
    )
    if has_crops:
        parts.append('## Where they differ most')
        parts.append(
            f'{len(report["crops"])} crops, of one image each. The person meant is '
            'green in the truth; the figures are the OKS of the pose most like it, '
            'baseline → MIPNet.'
        )
        parts.append('![Crops side by side](crops.png)')
    (folder / 'report.md').write_text('\n\n'.join(parts) + '\n', encoding='utf-8')
