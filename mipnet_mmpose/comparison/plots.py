"""Bars by bin and curves over the boxes."""

import numpy as np

from ..visualization import COLORS

CURVES = {
    'score': 'box score threshold',
    'nms': 'IoU of box NMS (stricter to the right)',
}


def rgb(bgr):
    return tuple(value / 255 for value in bgr[::-1])


def model_styles(models):
    """How plots show each model: the λ in the colours of the crops."""
    styles = {}
    for i, name in enumerate(models):
        color = rgb(COLORS[(i - 2) % 4])
        styles[name] = dict(color=color, edgecolor='none')
    styles['baseline'] = dict(color='#9a9a9a', edgecolor='none')
    styles['MIPNet'] = dict(color='#202020', edgecolor='none')
    styles[models[-1]] = dict(color='white', edgecolor='#202020', hatch='///')
    return styles


def plot_bins(path, table, xlabel):
    """AP of each model in each bin, as bars."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    table = {name: row for name, row in table.items() if row['people']}
    models = [name for name in next(iter(table.values())) if name != 'people']
    styles = model_styles(models)
    figure, axes = pyplot.subplots(figsize=(8, 3.6), layout='constrained')
    width = 0.84 / len(models)
    for i, model in enumerate(models):
        heights = [100 * row[model]['AP'] for row in table.values()]
        places = np.arange(len(table)) + (i - (len(models) - 1) / 2) * width
        bars = axes.bar(places, heights, width * 0.92, label=model, **styles[model])
        axes.bar_label(bars, fmt='%.1f', padding=1, fontsize=8)
    axes.set_xticks(
        np.arange(len(table)),
        [f'{name}\n{row["people"]} people' for name, row in table.items()],
    )
    axes.set_xlabel(xlabel)
    axes.set_ylabel('AP')
    axes.margins(y=0.12)
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside upper center', ncols=len(models), frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def plot_curves(path, curves):
    """AP and AR as boxes are withheld."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    kinds = [kind for kind in CURVES if kind in curves]
    figure, grid = pyplot.subplots(
        len(kinds),
        2,
        figsize=(8, 3.1 * len(kinds)),
        layout='constrained',
        squeeze=False,
    )
    lines = {}
    for row, kind in zip(grid, kinds):
        points = curves[kind]
        for axes, name in zip(row, ('AP', 'AR')):
            for model, color in (('MIPNet', '#202020'), ('baseline', '#9a9a9a')):
                values = [100 * (point[model][name] or 0) for point in points]
                (lines[model],) = axes.plot(
                    [point['threshold'] for point in points],
                    values,
                    marker='o',
                    markersize=4,
                    linewidth=2,
                    color=color,
                )
            if kind == 'nms':
                axes.invert_xaxis()
            axes.set_xlabel(CURVES[kind])
            axes.set_ylabel(name)
            axes.set_ymargin(0.1)
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
            axes.spines[['top', 'right']].set_visible(False)
    figure.legend(
        lines.values(), lines, loc='outside upper center', ncols=2, frameon=False
    )
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
