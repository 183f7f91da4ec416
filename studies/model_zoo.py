"""Write the OpenMMLab metafiles and the tables of docs/model_zoo.md.

For each config: parameters and multiply-adds, counted as MMPose's
tools/analysis_tools/get_flops.py counts them, beside those of its stock model, and the
paper's figures where the paper has the system.
"""

import argparse
import copy
import sys
import warnings

from clone import REPO

# isort: split
import torch
import yaml
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from tqdm import tqdm

from mipnet_mmpose.comparison.cost import Network, count_multiply_adds
from mipnet_mmpose.markdown import fill_tables, markdown_table
from mipnet_mmpose.whole_files import write_text

DOCS = REPO / 'docs' / 'model_zoo.md'
INDEX = REPO / 'model-index.yml'
FAMILIES = {  # and what they train on
    'coco': 'COCO',
    'crowdpose': 'CrowdPose',
    'ochuman': 'COCO',
    'synthcrowd': 'SynthCrowd',
}
COLLECTION = {
    'Name': 'MIPNet',
    'Paper': {
        'Title': 'Multi-Instance Pose Networks: Rethinking Top-Down Pose Estimation',
        'URL': 'https://arxiv.org/abs/2101.11223',
    },
    'README': '../../docs/model_zoo.md',
}
TASK = 'Body 2D Keypoint'

# The paper's figures (Khirodkar et al., ICCV 2021), in per cent, all of HRNet-W48.
# Ground-truth boxes on COCO and OCHuman: also MODEL_ZOO.md of the authors' repository.
GROUND_TRUTH, DETECTED = 'ground-truth boxes', 'detected boxes'
PAPER = {
    'td-hm_mipnet-hrnet-w48_8xb32-210e_coco-384x288': {
        ('COCO val2017', GROUND_TRUTH): dict(
            HRNet={'AP': 78.1},
            MIPNet={
                'AP': 78.8,
                'AP@0.5': 94.4,
                'AP@0.75': 85.7,
                'AP (M)': 75.5,
                'AP (L)': 83.7,
                'AR': 81.6,
            },
        ),
        ('COCO test-dev2017', DETECTED): dict(
            HRNet={'AP': 75.5},
            MIPNet={
                'AP': 75.7,
                'AP@0.5': 92.4,
                'AP@0.75': 83.3,
                'AP (M)': 71.4,
                'AP (L)': 81.2,
                'AR': 80.5,
            },
        ),
    },
    'td-hm_mipnet-hrnet-w48_8xb32-210e_crowdpose-384x288': {
        ('CrowdPose val', GROUND_TRUTH): dict(HRNet={'AP': 72.8}, MIPNet={'AP': 73.7}),
        ('CrowdPose test', DETECTED): dict(
            HRNet={'AP': 69.3},
            MIPNet={'AP': 70.0, 'AP (E)': 78.1, 'AP (M)': 71.1, 'AP (H)': 59.4},
        ),
    },
    'td-hm_mipnet-hrnet-w48_8xb32-210e_ochuman-384x288': {
        ('OCHuman val', GROUND_TRUTH): dict(
            HRNet={'AP': 65.0},
            MIPNet={
                'AP': 74.1,
                'AP@0.5': 89.7,
                'AP@0.75': 80.1,
                'AP (M)': 68.4,
                'AP (L)': 74.1,
                'AR': 81.0,
            },
        ),
        ('OCHuman val', DETECTED): dict(HRNet={'AP': 37.8}, MIPNet={'AP': 42.0}),
        ('OCHuman test', DETECTED): dict(HRNet={'AP': 37.2}, MIPNet={'AP': 42.5}),
    },
}


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing and count nothing; fail where a config is missing or a '
        'file is not what this tool would write of the counts it has',
    )
    return parser.parse_args(argv)


def family_configs(family):
    return sorted((REPO / 'configs' / family).glob('*.py'))


def metafile(family):
    return REPO / 'configs' / family / 'metafile.yml'


def stock_model(model):
    """The stock model inside the model of a MIPNet config."""
    model = copy.deepcopy(model)
    if model.backbone.type == 'MIMBBackbone':
        model.backbone = model.backbone.backbone
    if model.get('neck', {}).get('type') == 'MIMBNeck':
        neck = model.pop('neck').get('neck')
        if neck is not None:
            model.neck = neck
    if model.head.type == 'MIPNetHead':
        model.head = model.head.head
        if model.head.loss.type == 'MultiInstanceLoss':
            model.head.loss = model.head.loss.loss
    return model


def count(model, input_size):
    """Parameters and multiply-adds of a model, as MMPose counts them.

    Args:
        model (Config): Of the pose estimator.
        input_size (tuple[int, int]): Width and height of a crop.

    Returns:
        tuple[int, int]: parameters; multiply-adds for one crop, which are all N
        poses of a box.
    """
    init_default_scope('mmpose')
    estimator = MODELS.build(copy.deepcopy(model)).eval()
    width, height = input_size
    image = torch.zeros(1, 3, height, width)
    parameters = sum(p.numel() for p in estimator.parameters())
    return parameters, count_multiply_adds(Network(estimator), image)


def describe(config, counts):
    """A model's entry in its metafile.

    Args:
        config (Path): The config.
        counts (dict): Its ``Parameters`` and ``FLOPs``; a MIPNet's baseline's too.
    """
    is_mipnet = 'Baseline FLOPs' in counts
    entry = {'Name': config.stem, 'Config': config.relative_to(REPO).as_posix()}
    if is_mipnet:
        entry['In Collection'] = COLLECTION['Name']
    backbone = 'HRNet' if 'hrnet' in config.stem else 'ResNet'
    entry['Metadata'] = {
        'Training Data': FAMILIES[config.parent.name],
        'Architecture': ['MIPNet'] * is_mipnet + [backbone],
        **counts,
    }
    entry['Weights'] = None  # MMPose's inferencer asks for the key
    if config.stem in PAPER:
        entry['Metadata']['Results Reported By'] = 'the paper; not trained here'
        entry['Results'] = [
            {
                'Task': TASK,
                'Dataset': f'{dataset}, {boxes}',
                'Metrics': {
                    key: round(value / 100, 3)
                    for key, value in figures['MIPNet'].items()
                },
            }
            for (dataset, boxes), figures in PAPER[config.stem].items()
        ]
    return entry


def count_all(configs, known):
    """What :func:`describe` takes, for each config; ``known`` are models counted."""

    def counted(model, input_size):
        key = f'{input_size} {model}'
        if key not in known:
            known[key] = count(model, input_size)
        return known[key]

    counts = {}
    for config in tqdm(configs, desc='configs'):
        cfg = Config.fromfile(config)
        model, stock = cfg.model, stock_model(cfg.model)
        for part in (model, stock):
            backbone = part.backbone
            backbone.pop('init', None)  # a warm start is the same network
            backbone.get('backbone', backbone).pop('init_cfg', None)
        size = cfg.codec.input_size
        parameters, flops = counted(model, size)
        counts[config] = {'Parameters': parameters, 'FLOPs': flops}
        if cfg.model.head.type == 'MIPNetHead':
            parameters, flops = counted(stock, size)
            counts[config]['Baseline Parameters'] = parameters
            counts[config]['Baseline FLOPs'] = flops
    return counts


def read_counts(family):
    """Counts of a metafile, by config."""
    if not metafile(family).exists():
        return {}
    return {
        REPO / entry['Config']: {
            key: value
            for key, value in entry['Metadata'].items()
            if key.endswith(('Parameters', 'FLOPs'))
        }
        for entry in yaml.safe_load(metafile(family).read_text())['Models']
    }


def render_metafile(family, counts):
    content = {'Collections': [COLLECTION]} if family == next(iter(FAMILIES)) else {}
    content['Models'] = [describe(config, c) for config, c in counts.items()]
    return yaml.safe_dump(content, sort_keys=False, width=1000)


def render_index():
    return yaml.safe_dump(
        {'Import': [metafile(f).relative_to(REPO).as_posix() for f in FAMILIES]}
    )


def link(config):
    return f'[{config.stem}](../{config.relative_to(REPO).as_posix()})'


def count_table(counts):
    """Parameters and multiply-adds of a family's configs."""
    rows = []
    for config, c in counts.items():
        cells = [f'{c["Parameters"] / 1e6:.2f}', f'{c["FLOPs"] / 1e9:.2f}', '–']
        if 'Baseline FLOPs' in c:
            cells[0] += f' ({c["Baseline Parameters"] / 1e6:.2f})'
            cells[1] += f' ({c["Baseline FLOPs"] / 1e9:.2f})'
            cells[2] = f'{c["FLOPs"] / c["Baseline FLOPs"]:.2f}'
        rows.append([link(config), *cells])
    header = ['config', 'parameters, M', 'multiply-adds, G', '× baseline']
    return markdown_table(header, rows)


def paper_table():
    """The paper's figures, with the config of each."""
    rows = []
    for config in (c for family in FAMILIES for c in family_configs(family)):
        for (dataset, boxes), figures in PAPER.get(config.stem, {}).items():
            mipnet = dict(figures['MIPNet'])
            both = [figures['HRNet']['AP'], mipnet.pop('AP')]
            other = ', '.join(f'{key} {value}' for key, value in mipnet.items()) or '–'
            rows.append([dataset, boxes, *both, other, link(config)])
    header = ['data', 'boxes', 'HRNet AP', 'MIPNet AP', 'MIPNet, other', 'config']
    return markdown_table(header, rows, 'llrrl')


def render_docs(text, counts):
    """The documentation with its tables replaced."""
    tables = {family: count_table(counts[family]) for family in FAMILIES}
    tables['paper'] = paper_table()
    return fill_tables(DOCS, text, tables)


def stale_files():
    """What is not as this tool would write it, one sentence each."""
    problems, counts = [], {}
    for family in FAMILIES:
        counts[family] = read_counts(family)
        if list(counts[family]) != family_configs(family):
            names = {p.name for p in {*counts[family]} ^ {*family_configs(family)}}
            problems.append(f'{metafile(family)} and the configs differ in {names}')
        elif render_metafile(family, counts[family]) != metafile(family).read_text():
            problems.append(f'{metafile(family)} is out of date')
    if not problems and render_docs(DOCS.read_text(), counts) != DOCS.read_text():
        problems.append(f'{DOCS} is out of date')
    if not INDEX.exists() or INDEX.read_text() != render_index():
        problems.append(f'{INDEX} is out of date')
    return problems


def main(argv=None):
    args = parse_args(argv)
    warnings.filterwarnings('ignore')  # of mmengine, mmcv and torch, about themselves
    if args.check:
        problems = stale_files()
        if problems:
            sys.exit('\n'.join([*problems, 'run python studies/model_zoo.py']))
        return
    MMLogger.get_instance('model_zoo', log_level='ERROR')  # not each layer it skips
    known = {}
    counts = {f: count_all(family_configs(f), known) for f in FAMILIES}
    for family in FAMILIES:
        write_text(metafile(family), render_metafile(family, counts[family]))
        print(metafile(family))
    write_text(INDEX, render_index())
    print(INDEX)
    write_text(DOCS, render_docs(DOCS.read_text(), counts))
    print(DOCS)


if __name__ == '__main__':
    main()
