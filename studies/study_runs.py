"""What the study trains: its crowds, its runs and their configs."""

import os

from clone import CONFIGS, SMALL, SYNTHCROWD, run_script

# isort: split
from mmengine.config import Config

from mipnet_mmpose.datasets.unwrap import stock_dataset_configs
from mipnet_mmpose.mmpose_files import mmpose_tool

NETWORKS = {
    'small': SMALL,
    'hrnet-w32': 'hrnet-w32_8xb64-20e_synthcrowd-256x192.py',
}
PREFIXES = dict(baseline='td-hm_', neck='td-hm_mipnet-neck-', backbone='td-hm_mipnet-')
PREFIXES['frozen'] = PREFIXES['backbone']  # goes on from the baseline, the MIMBs learn
# of `frozen`, before each: the blocks and, in ResNet, their second convolution
BLOCKS = [f'layer{layer}.{block}' for layer in (2, 3, 4) for block in (0, 1)]
FROZEN_PLACES = {
    'small': [place for block in BLOCKS for place in (block, f'{block}.conv2')],
    'hrnet-w32': ['stage3', *(f'stage3.{i}' for i in range(1, 4))]
    + ['stage4', *(f'stage4.{i}' for i in range(1, 3))],
}
# box IoU of the closest pair; of COCO's people one in a hundred exceeds 0.5
STRENGTHS = {'apart': (0, 0), 'touching': (0.1, 0.5), 'overlapped': (0.6, 0.85)}
OVERLAPS = dict(train=(0, 0.5), **STRENGTHS, crowded=(0.3, 0.85))
LONGER = 5 / 3  # a step of MIPNet takes 1.5 times as long, data included


def planned_runs(args):
    """What is trained, by name: kind, epochs, seed, N, and the run it starts from."""
    runs = {}

    def add(name, kind, epochs, seed=0, start='pretrained', **more):
        epochs = max(round(epochs), 1)
        runs[name] = dict(kind=kind, epochs=epochs, seed=seed, start=start, **more)

    add('pretrained', 'baseline', args.pretraining, start=None)
    for seed in range(args.seeds):
        for kind in PREFIXES:
            start = f'baseline-{seed}' if kind == 'frozen' else 'pretrained'
            add(f'{kind}-{seed}', kind, args.epochs, seed, start)
        add(f'longer-{seed}', 'baseline', LONGER * args.epochs, seed)
    for seed in range(args.seeds):
        for kind in ('baseline', 'backbone', 'frozen'):
            start = f'crowded-baseline-{seed}' if kind == 'frozen' else 'pretrained'
            name = f'crowded-{kind}-{seed}'
            add(name, kind, args.crowded_epochs, seed, start, data='crowded')
    for num in (1, 3):
        add(f'N{num}-0', 'backbone', args.epochs, num_instances=num)
    # as long as the pretraining and MIPNet after it
    epochs = args.pretraining / 1.5 + args.epochs
    add('scratch-0', 'backbone', epochs, start=None)
    return runs


def make_data(args):
    """The training set and a test set of each strength."""
    for seed, (name, overlap) in enumerate(OVERLAPS.items()):
        command = [SYNTHCROWD, args.out / 'data' / name]
        tested = name in STRENGTHS
        command += ['--images', args.test_images if tested else args.images]
        command += ['--seed', seed, '--overlap', '-'.join(map(str, overlap))]
        if tested:
            command += ['--persons', 2]
        command += ['--detector-nms', 1, '--workers', os.cpu_count()]
        run_script(command, args.out / f'{name}.log', OMP_NUM_THREADS='1')


def run_config(args, run, name):
    """The config of a run."""
    cfg = Config.fromfile(CONFIGS / (PREFIXES[run['kind']] + NETWORKS[args.network]))
    set_num_instances(cfg, run.get('num_instances', 2))
    stock_dataset(cfg.train_dataloader).update(
        data_root=f'{args.out}/data/{run.get("data", "train")}/',
        ann_file='annotations.json',
        data_prefix=dict(img='images/'),
    )
    cfg.train_cfg.max_epochs = run['epochs']
    for scheduler in cfg.param_scheduler:
        if scheduler.get('by_epoch', True):
            # the pretraining leaves it to the runs after it to end at a low rate
            scheduler.end = round(run['epochs'] * (1.5 if name == 'pretrained' else 1))
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=2
    )
    cfg.randomness = dict(seed=run['seed'])
    cfg.model.test_cfg.flip_test = False  # half the time of a test
    if run['start']:
        cfg.load_from = str(checkpoint(args, run['start']))
        cfg.optim_wrapper.optimizer.lr /= 2
    if run['kind'] == 'frozen':
        places = FROZEN_PLACES[args.network]
        insert = [dict(module=place, position='before') for place in places]
        cfg.model.backbone.update(insert=insert, bypass_primary=True)
        cfg.model.head.presence = {}
        freezes = dict(type='FreezeStockHook')
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), freezes]
    cfg.work_dir = str(args.out / name)
    return cfg


def stock_dataset(dataloader):
    """The config of the one dataset that may be wrapped."""
    ((_, dataset),) = stock_dataset_configs(dataloader.dataset, 'dataset')
    return dataset


def set_num_instances(tree, num):
    """Another N, wherever a config has one."""
    if isinstance(tree, (list, tuple)):
        tree = dict(enumerate(tree))
    for key, value in tree.items():
        if key == 'num_instances':
            tree[key] = num
        elif isinstance(value, (dict, list, tuple)):
            set_num_instances(value, num)


def checkpoint(args, name):
    """The last checkpoint of a run."""
    epochs = planned_runs(args)[name]['epochs']
    return args.out / name / f'epoch_{epochs}.pth'


def write_config(args, name):
    """The config of a run's training, in its folder."""
    cfg = run_config(args, planned_runs(args)[name], name)
    if args.device == 'cuda':
        cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype='bfloat16')
    folder = args.out / name
    folder.mkdir(parents=True, exist_ok=True)
    cfg.dump(folder / 'config.py')


def train(args, name):
    """Train with MMPose's tool unless that has been done."""
    if not checkpoint(args, name).exists():
        folder = args.out / name
        command = [mmpose_tool('train.py'), folder / 'config.py', '--work-dir', folder]
        command.append('--no-validate')
        if (folder / 'last_checkpoint').exists():
            command.append('--resume')  # it would ignore load_from
        run_script(command, folder / 'train.log', OMP_NUM_THREADS='1')
