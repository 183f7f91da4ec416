"""Bars by bin, and curves over the boxes."""

from pathlib import Path
from typing import Dict, List

import numpy as np

from ..visualization import COLORS
from ..whole_files import written_whole

CURVES = {
    'score': 'box score threshold',
    'nms': 'IoU of box NMS (stricter to the right)',
}
DARK, LIGHT = '#202020', '#9a9a9a'  # MIPNet, baseline


def plot_bins(path: Path, table: Dict[str, dict], xlabel: str) -> None:
    """Save AP of each row in each bin, as bars.

    Args:
        path (Path): of the picture.
        table (dict): of one kind of bins, from :func:`tabulate`.
        xlabel (str): what the bins are of.
    """
    pyplot = _pyplot()
    table = {name: row for name, row in table.items() if row['people']}
    rows = [name for name in next(iter(table.values())) if name != 'people']
    styles = _styles(rows)
    figure, axes = pyplot.subplots(figsize=(8, 3.6), layout='constrained')
    width = 0.84 / len(rows)
    for i, row in enumerate(rows):
        heights = [100 * figures[row]['AP'] for figures in table.values()]
        places = np.arange(len(table)) + (i - (len(rows) - 1) / 2) * width
        bars = axes.bar(places, heights, width * 0.92, label=row, **styles[row])
        axes.bar_label(bars, fmt='%.1f', padding=1, fontsize=8)
    labels = [f'{name}\n{row["people"]} people' for name, row in table.items()]
    axes.set_xticks(np.arange(len(table)), labels)
    axes.set(xlabel=xlabel, ylabel='AP')
    axes.margins(y=0.12)
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside upper center', ncols=len(rows), frameon=False)
    with written_whole(path) as part:
        figure.savefig(part, dpi=110)
    pyplot.close(figure)


def plot_curves(path: Path, curves: Dict[str, List[dict]]) -> None:
    """Save AP and AR of both models as boxes are withheld.

    Args:
        path (Path): of the picture.
        curves (dict): from :func:`withhold_boxes`.
    """
    pyplot = _pyplot()
    kinds = [kind for kind in CURVES if kind in curves]
    figure, grid = pyplot.subplots(
        len(kinds),
        2,
        figsize=(8, 3.1 * len(kinds)),
        layout='constrained',
        squeeze=False,
    )
    style = dict(marker='o', markersize=4, linewidth=2)
    lines = {}
    for row, kind in zip(grid, kinds):
        thresholds = [point['threshold'] for point in curves[kind]]
        for axes, metric in zip(row, ('AP', 'AR')):
            for model, color in (('MIPNet', DARK), ('baseline', LIGHT)):
                values = [100 * point[model][metric] for point in curves[kind]]
                (lines[model],) = axes.plot(thresholds, values, color=color, **style)
            if kind == 'nms':
                axes.invert_xaxis()
            axes.set(xlabel=CURVES[kind], ylabel=metric)
            axes.set_ymargin(0.1)
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
            axes.spines[['top', 'right']].set_visible(False)
    handles = lines.values(), lines
    figure.legend(*handles, loc='outside upper center', ncols=2, frameon=False)
    with written_whole(path) as part:
        figure.savefig(part, dpi=110)
    pyplot.close(figure)


def _pyplot():
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    return pyplot


def _styles(rows: List[str]) -> Dict[str, dict]:
    """Bars of the baseline, MIPNet, each λ in its colour on crops, and the best."""
    styles = {}
    for i, row in enumerate(rows):
        blue, green, red = np.divide(COLORS[(i - 2) % 4], 255)
        styles[row] = dict(color=(red, green, blue))
    styles['baseline'] = dict(color=LIGHT)
    styles['MIPNet'] = dict(color=DARK)
    styles[rows[-1]] = dict(color='white', edgecolor=DARK, hatch='///')
    return styles
