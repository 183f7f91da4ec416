"""The report in Markdown."""

from pathlib import Path
from typing import Dict, List, Optional

from ..markdown import markdown_table
from ..whole_files import write_text
from .figures import METRICS
from .plots import CURVES

MODELS = ('baseline', 'MIPNet')


def write_report(path: Path, report: dict) -> None:
    """Write a report that refers to the pictures beside it.

    Args:
        path (Path): of the Markdown file.
        report (dict): ``test`` (``models``, ``ann_file``, ``images``, ``boxes``,
            ``box_source``), ``tables`` of :func:`tabulate`, ``curves`` of
            :func:`withhold_boxes`, ``cost`` of :func:`measure_cost` and ``crops`` of
            :func:`differing_people`.
    """
    tables = report['tables']
    parts = ['# Baseline and MIPNet', _test_set(report)]
    parts += _all_people(tables['all']['all'])
    parts += _bins('By overlap', 'box IoU', OVERLAP, tables['overlap'], 'overlap.png')
    parts += _bins(
        'By crowding', 'crowd index', CROWDING, tables['crowding'], 'crowding.png'
    )
    parts += _fewer_boxes(report['curves'])
    parts += _cost(report['cost'])
    if report['crops']:
        parts += [
            '## Where they differ most',
            CROPS,
            '![crops side by side](crops.png)',
        ]
    write_text(path, '\n\n'.join(parts) + '\n')


ALL_PEOPLE = """\
The first two rows are what `tools/test.py` of MMPose prints. The last one is an upper \
bound for one pose per box: that of the λ whose pose is most like the box's person. \
MIPNet itself may give a box several people."""
OVERLAP = """\
People by their largest box IoU with another person; in each bin the others are \
regions to ignore."""
CROWDING = "Images by CrowdPose's crowd index."
CROPS = """\
One crop of an image. The person meant is green in the truth; the figures are the OKS \
of the pose most like it, baseline → MIPNet."""


def _test_set(report: dict) -> str:
    test = report['test']
    lines = [
        f'- {name}: `{used["config"]}`, `{used["checkpoint"]}`'
        for name, used in test['models'].items()
    ]
    people = report['tables']['all']['all']['people']
    lines += [
        f'- test set: `{test["ann_file"]}`, {test["images"]} images, {people} people',
        f'- boxes: {test["boxes"]}, {test["box_source"]}',
    ]
    return '\n'.join(lines)


def _all_people(figures: dict) -> List[str]:
    rows = [
        [name, *(_percent(row[metric]) for metric in METRICS)]
        for name, row in figures.items()
        if name != 'people'
    ]
    return ['## All people', markdown_table(['model', *METRICS], rows), ALL_PEOPLE]


def _bins(
    title: str, column: str, text: str, table: Dict[str, dict], picture: str
) -> List[str]:
    """Both models side by side, then AP of each λ."""
    names = [name for name in next(iter(table.values())) if name != 'people']
    header = [column, 'people']
    both = [f'{name} {metric}' for metric in METRICS for name in MODELS]
    rows, alone = [], []
    for name, row in table.items():
        start = [name, row['people']]
        figures = [
            _percent(row[model][metric]) for metric in METRICS for model in MODELS
        ]
        rows.append(start + figures)
        alone.append(start + [_percent(row[model]['AP']) for model in names])
    return [
        f'## {title}',
        text,
        f'![{title}]({picture})',
        markdown_table(header + both, rows),
        'AP of each λ:',
        markdown_table(header + names, alone),
    ]


def _fewer_boxes(curves: Dict[str, List[dict]]) -> List[str]:
    parts = ['## Fewer boxes', '![AP and AR with fewer boxes](boxes.png)']
    if 'score' not in curves:
        parts.append('All boxes have the same score: there is no score curve.')
    for kind, label in CURVES.items():
        if kind in curves:
            header = [label.split(' (')[0], 'boxes']
            header += [f'{name} {metric}' for metric in ('AP', 'AR') for name in MODELS]
            rows = [
                [f'{point["threshold"]:g}', point['boxes']]
                + [
                    _percent(point[n][metric])
                    for metric in ('AP', 'AR')
                    for n in MODELS
                ]
                for point in curves[kind]
            ]
            parts.append(markdown_table(header, rows))
    return parts


def _cost(cost: dict) -> List[str]:
    columns = {'parameters': (1e6, 'M'), 'multiply_adds': (1e9, 'G')}
    columns['milliseconds'] = (1, 'ms')
    base = cost['models']['baseline']
    rows, sizes = [], []
    for name, values in cost['models'].items():
        row = [name]
        for key, (scale, unit) in columns.items():
            ratio = '' if values is base else f' ({values[key] / base[key]:.3f} ×)'
            row.append(f'{values[key] / scale:.2f} {unit}{ratio}')
        rows.append(row)
        sizes.append('×'.join(map(str, values['input_size'])))
    text = (
        f'Crops of {" and ".join(dict.fromkeys(sizes))}; the networks alone, in turn, '
        f'{cost["batch"]} crops at a time, median of {cost["rounds"]} runs '
        f'({cost["machine"]}).'
    )
    header = ['model', 'parameters', 'multiply-adds', 'a crop']
    return ['## Cost', markdown_table(header, rows), text]


def _percent(value: Optional[float]) -> str:
    return '–' if value is None else f'{100 * value:.1f}'
