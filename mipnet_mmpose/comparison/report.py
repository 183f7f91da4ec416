"""The page of Markdown and its figure."""

import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from ..whole_files import write_text, written_whole
from .tested_model import METRICS

COLORS = dict(baseline='#9a9a9a', MIPNet='#202020')
UNITS = [('parameters', 1e6, 'M'), ('multiply-adds', 1e9, 'G'), ('time', 1e-3, 'ms')]
UNITS += [('time ratio', 1, '×')]


def write_report(folder: Path, test: str, overlap: dict, boxes: list, cost: dict):
    """Write ``report.md`` and ``report.png`` of what the functions beside it give."""
    with written_whole(folder / 'report.png') as part:
        _draw(part, overlap, boxes)
    columns = [f'{name} {metric}' for metric in METRICS for name in COLORS]
    bins = ((name, row['people'], *_percents(row)) for name, row in overlap.items())
    points = ((p['threshold'], p['boxes'], *_percents(p)) for p in boxes)
    costs = (
        (f'{key}, {unit}', *(f'{cost[name][key] / scale:.2f}' for name in COLORS))
        for key, scale, unit in UNITS
    )
    gpu = torch.cuda.is_available() and torch.cuda.get_device_name()
    parts = [
        f'# Baseline and MIPNet\n\n{test}',
        '![AP by overlap, and with fewer boxes](report.png)',
        'All boxes, and what a stricter and stricter NMS of the boxes leaves:',
        markdown_table(['IoU of box NMS', 'boxes', *columns], points),
        'People by box IoU with another person; those of other rows are ignored:',
        markdown_table(['box IoU', 'people', *columns], bins),
        f'A crop without flip test, on {gpu or platform.machine()}:',
        markdown_table(['', *COLORS], costs),
    ]
    write_text(folder / 'report.md', '\n\n'.join(parts) + '\n')


def markdown_table(header: Sequence[str], rows: Iterable[Sequence]) -> str:
    """The first column to the left, the others to the right."""
    rules = ['---', *['---:'] * (len(header) - 1)]
    cells = (map(str, row) for row in (header, rules, *rows))
    return '\n'.join(f'| {" | ".join(row)} |' for row in cells)


def _percents(figures: dict) -> list[str]:
    values = [figures[name][metric] for metric in METRICS for name in COLORS]
    return ['–' if value is None else f'{100 * value:.1f}' for value in values]


def _draw(path: Path, overlap: dict, boxes: list[dict]) -> None:
    """Bars of AP by overlap beside the curve of AP with fewer boxes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout='constrained')
    bars, curve = figure.subplots(1, 2)
    rows = {name: row for name, row in overlap.items() if row['people']}
    for i, (name, color) in enumerate(COLORS.items()):
        places = [place + 0.4 * i - 0.2 for place in range(len(rows))]
        heights = [100 * row[name]['AP'] for row in rows.values()]
        bars.bar_label(bars.bar(places, heights, 0.36, color=color), fmt='%.1f')
        thresholds = [point['threshold'] for point in boxes]
        values = [100 * point[name]['AP'] for point in boxes]
        curve.plot(thresholds, values, marker='o', color=color, label=name)
    bars.set_xticks(range(len(rows)), list(rows), fontsize=8)
    bars.set(xlabel='box IoU with another person', ylabel='AP')
    curve.set(xlabel='IoU of box NMS', ylabel='AP', ylim=(0, None))
    curve.invert_xaxis()
    figure.legend(loc='outside upper center', ncols=2)
    figure.savefig(path, dpi=110)
