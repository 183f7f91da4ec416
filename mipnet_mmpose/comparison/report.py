"""The page of Markdown and its figure."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..whole_files import write_text, written_whole
from .cost import machine_name
from .tested_model import METRICS

COLORS = dict(baseline='#9a9a9a', MIPNet='#202020')
OVERLAP = """\
People by their largest box IoU with another person, in their own boxes; the people of \
other rows are regions to ignore."""
BOXES = 'What is left after a stricter and stricter NMS of the boxes.'


def write_report(folder: Path, test: str, overlap: dict, boxes: list, cost: dict):
    """Write ``report.md`` and ``report.png``.

    Args:
        folder (Path): where to.
        test (str): what was tested, in Markdown.
        overlap (dict): of :func:`by_overlap`.
        boxes (list[dict]): of :func:`fewer_boxes`; the first one has all boxes.
        cost (dict): of :func:`measure_cost`.
    """
    with written_whole(folder / 'report.png') as part:
        _draw(part, overlap, boxes)
    columns = [f'{name} {metric}' for metric in METRICS for name in COLORS]
    everybody = [(name, *_percents(boxes[0], [name])) for name in COLORS]
    bins = [(name, row['people'], *_percents(row)) for name, row in overlap.items()]
    points = [(p['threshold'], p['boxes'], *_percents(p)) for p in boxes]
    least = cost['baseline']['milliseconds']
    costs = [
        (
            name,
            f'{values["parameters"] / 1e6:.2f} M',
            f'{values["multiply_adds"] / 1e9:.2f} G',
            f'{values["milliseconds"]:.1f} ms',
            f'{values["milliseconds"] / least:.2f}',
        )
        for name, values in cost.items()
    ]
    header = ['network', 'parameters', 'multiply-adds', 'time of a crop', 'time ratio']
    parts = [
        f'# Baseline and MIPNet\n\n{test}',
        markdown_table(['everybody', *METRICS], everybody),
        '![AP by overlap, and with fewer boxes](report.png)',
        f'## By overlap\n\n{OVERLAP}',
        markdown_table(['box IoU', 'people', *columns], bins),
        f'## Fewer boxes\n\n{BOXES}',
        markdown_table(['IoU of box NMS', 'boxes', *columns], points),
        f'## Cost\n\nWithout flip test, on {machine_name()}, in turn.',
        markdown_table(header, costs),
    ]
    write_text(folder / 'report.md', '\n\n'.join(parts) + '\n')


def markdown_table(header: Sequence[str], rows: Iterable[Sequence]) -> str:
    """The first column to the left, the others to the right."""
    rules = ['---', *['---:'] * (len(header) - 1)]
    cells = (map(str, row) for row in (header, rules, *rows))
    return '\n'.join(f'| {" | ".join(row)} |' for row in cells)


def _percents(figures: dict, names=tuple(COLORS)) -> list[str]:
    values = [figures[name][metric] for metric in METRICS for name in names]
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
        drawn = bars.bar(places, heights, 0.36, label=name, color=color)
        bars.bar_label(drawn, fmt='%.1f', fontsize=8)
        thresholds = [point['threshold'] for point in boxes]
        values = [100 * point[name]['AP'] for point in boxes]
        curve.plot(thresholds, values, marker='o', color=color)
    bars.set_xticks(range(len(rows)), list(rows), fontsize=8)
    bars.set(xlabel='box IoU with another person', ylabel='AP')
    curve.set(xlabel='IoU of box NMS', ylabel='AP', ylim=(0, None))
    curve.invert_xaxis()
    figure.legend(loc='outside upper center', ncols=2)
    figure.savefig(path, dpi=110)
