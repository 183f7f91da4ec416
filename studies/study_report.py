"""The tables and the plots of the study."""

from clone import update_document

# isort: split
import matplotlib
import numpy as np
from study_figures import (
    BOXES,
    DECAYS,
    METRICS,
    NMS_THRESHOLDS,
    OKS_THRESHOLDS,
    TRUTH,
    whom_boxes_answer,
)
from study_runs import STRENGTHS

from mipnet_mmpose.markdown import markdown_table
from mipnet_mmpose.whole_files import write_text, written_whole

matplotlib.use('Agg')

from matplotlib import pyplot

STYLES = {  # of the runs in the plots: label, colour, line
    'baseline': ('baseline', '#9a9a9a', '-'),
    'longer': ('baseline, 5/3 × passes', '#c8b98a', '-'),
    'neck': ('MIMBNeck', '#5b9bd5', '-'),
    'backbone': ('MIMBBackbone', '#202020', '-'),
    'frozen': ('MIMBs alone trained', '#c0504d', '-'),
    'crowded-baseline': ('baseline, denser crowd', '#9a9a9a', '--'),
    'crowded-backbone': ('MIMBBackbone, denser crowd', '#202020', '--'),
    'crowded-frozen': ('MIMBs alone, denser crowd', '#c0504d', '--'),
}


def spread(values):
    """Mean and standard deviation over the seeds, in per cent."""
    values = 100 * np.array(values)
    text = f'{values.mean():.1f}'
    return f'{text} ± {values.std(ddof=1):.1f}' if len(values) > 1 else text


def kinds_of(results):
    """Results by the name of their run without the seed."""
    kinds = {}
    for name, result in sorted(results.items()):
        kinds.setdefault(name.rsplit('-', 1)[0], []).append(result)
    order = {name.rsplit('-', 1)[0]: None for name in results}
    return {kind: kinds[kind] for kind in order}


def tables(results):
    """Everything as Markdown, by title."""
    kinds = kinds_of(results)
    several = {k: g for k, g in kinds.items() if 'decay' in g[0]['apart'][TRUTH]}

    def lay_out(header, cells, kinds=kinds):
        rows = [
            [strength, kind, *cells([result[strength] for result in group])]
            for strength in STRENGTHS
            for kind, group in kinds.items()
        ]
        return markdown_table(['people', 'run', *header], rows, 'llr')

    def points(group, boxes, what):
        """AP at each point of a curve."""
        curves = [[point['AP'] for point in result[boxes][what]] for result in group]
        return [spread(values) for values in zip(*curves)]

    def thinned(group):
        curves = [result[BOXES]['thinned'] for result in group]
        drop = spread([curve[0]['AP'] - curve[-1]['AP'] for curve in curves])
        return [*points(group, BOXES, 'thinned'), drop]

    def found(group):
        counts = [result[TRUTH]['found'] for result in group]
        return [spread([c[key] / sum(c.values()) for c in counts]) for key in counts[0]]

    def overall(group):
        return [len(group)] + [
            spread([result[boxes][key] for result in group])
            for boxes in (TRUTH, BOXES)
            for key in METRICS
        ]

    first = next(iter(kinds.values()))[0]['apart'][TRUTH]
    texts = {
        'all': lay_out(
            ['seeds', *METRICS, *(f'{key}, detections' for key in METRICS)], overall
        ),
        'thinned': lay_out([*(f'NMS {t}' for t in NMS_THRESHOLDS), 'drop'], thinned),
        'who': lay_out(first['found'], found),
        'merged': lay_out(
            [f'OKS {threshold}' for threshold in OKS_THRESHOLDS],
            lambda group: points(group, TRUTH, 'merged'),
        ),
    }
    if several:
        texts['decay'] = lay_out(
            [f'decay {decay}' for decay in DECAYS],
            lambda group: points(group, TRUTH, 'decay'),
            several,
        )
        texts['alone'] = lay_out(
            ['λ = 0', 'λ = 1', 'λ = 2'],
            lambda group: (points(group, TRUTH, 'alone') + ['', ''])[:3],
            several,
        )
    return texts


def answers_table(args, results):
    """Whom the boxes of overlapped pairs answer, in per cent, over the seeds."""
    rows = []
    for kind, group in kinds_of(results).items():
        shares = [whom_boxes_answer(args, result['run']) for result in group]
        shares = [share for share in shares if share]
        if shares:
            rows.append([kind, len(shares), *map(spread, zip(*shares))])
    first = ['own person', 'other person', 'neither']
    header = ['run', 'seeds', *(f'λ = 0: {who}' for who in first)]
    return markdown_table([*header, 'λ = 1: other person', 'λ = 1: own person'], rows)


def plot_overlap(path, results):
    """AP with ground-truth boxes by how much people overlap."""
    kinds = {k: v for k, v in kinds_of(results).items() if k in STYLES}
    figure, axes = pyplot.subplots(figsize=(9, 3.8), layout='constrained')
    width = 0.84 / len(kinds)
    for i, (kind, group) in enumerate(kinds.items()):
        values = 100 * np.array([[r[s][TRUTH]['AP'] for r in group] for s in STRENGTHS])
        places = np.arange(len(STRENGTHS)) + (i - (len(kinds) - 1) / 2) * width
        bars = axes.bar(
            places,
            values.mean(axis=1),
            width * 0.92,
            yerr=values.std(axis=1, ddof=1) if len(group) > 1 else None,
            color=STYLES[kind][1],
            label=STYLES[kind][0],
            hatch='//' if STYLES[kind][2] == '--' else None,
            edgecolor='white',
            capsize=2,
            ecolor='#666666',
        )
        axes.bar_label(bars, fmt='%.1f', padding=2, fontsize=8)
    axes.set_xticks(np.arange(len(STRENGTHS)), STRENGTHS)
    axes.set(ylabel='AP, ground-truth boxes')
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside upper center', ncols=3, frameon=False)
    with written_whole(path) as part:
        figure.savefig(part, dpi=110)
    pyplot.close(figure)


def plot_thinned(path, results):
    """AP of the detections that are left by box NMS."""
    kinds = {k: v for k, v in kinds_of(results).items() if k in STYLES}
    figure, grid = pyplot.subplots(1, 3, figsize=(9, 3.6), layout='constrained')
    for axes, strength in zip(grid, STRENGTHS):
        for kind, group in kinds.items():
            values = 100 * np.array(
                [
                    [point['AP'] for point in r[strength][BOXES]['thinned']]
                    for r in group
                ]
            )
            label, color, line = STYLES[kind]
            style = dict(color=color, marker='o', markersize=4, linewidth=2)
            style['linestyle'] = line
            label = label if strength == 'apart' else None
            axes.plot(NMS_THRESHOLDS, values.mean(axis=0), label=label, **style)
        axes.invert_xaxis()
        axes.set(title=strength, xlabel='IoU of box NMS (stricter to the right)')
        axes.set_ylim(0, 1.08 * axes.dataLim.y1)
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
    grid[0].set_ylabel('AP, detections')
    figure.legend(loc='outside upper center', ncols=3, frameon=False)
    with written_whole(path) as part:
        figure.savefig(part, dpi=110)
    pyplot.close(figure)


def report(args, results):
    """Write the tables and the plots."""
    texts = tables(results)
    texts['answers'] = answers_table(args, results)
    text = '\n'.join(f'## {title}\n\n{text}\n' for title, text in texts.items())
    write_text(args.out / 'tables.md', text)
    print(text)
    print(args.out / 'tables.md')
    plots = {'overlap.png': plot_overlap, 'thinned.png': plot_thinned}
    for name, plot in plots.items():
        plot(args.out / name, results)
        print(args.out / name)
    if args.doc:
        for name, plot in plots.items():
            plot(args.doc.with_name(f'{args.doc.stem}_{name}'), results)
        texts = {f'study {title}': text for title, text in texts.items()}
        update_document(args.doc, texts)
