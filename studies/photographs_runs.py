"""What the study on photographs trains: its runs and their configs."""

import copy

from clone import REPO, run_script

# isort: split
import torch
from mmengine.config import Config
from simplepose import CODEC, LOSS_WEIGHT, SIZE, model_config, read_onnx

from mipnet_mmpose.mipnetify import mipnetify
from mipnet_mmpose.mmpose_files import mmpose_tool
from mipnet_mmpose.whole_files import written_whole

LONGER = 1.6  # a step of MIPNet takes as many times as long
LR, MIMB_RATE = 5e-4, 6  # of the stock layers; that of the new ones is a multiple
# before each block from the fourth stage on and its 3x3 convolution, and before each
# layer of the upsampling
STAGES = dict(layer4=4, layer5=3, layer6=3, layer7=1)
BLOCKS = [f'{stage}.{i}' for stage, blocks in STAGES.items() for i in range(blocks)]
PLACES = [place for block in BLOCKS for place in (block, f'{block}.conv.1')]
PLACES += [f'upsample.{i}' for i in range(0, 18, 3)]
PAPER_PLACES = ('layer5', 'layer6', 'layer7', 'upsample')

KINDS = dict(
    released='the COCO-trained network as it is',
    baseline='fine-tuned, people pasted',
    longer=f'the same, {LONGER} times as long: the compute of a MIPNet',
    paper="MIPNet by the paper's rule, nobody pasted",
    pasted='the same, people pasted',
    presence='the same, with presence',
    frozen=f'the same, only the MIMBs learn, {len(PLACES)} places; λ = 0 as released',
)


def planned_runs(args):
    """What is trained, by name: kind, epochs, seed."""
    runs = {'released': dict(kind='released', epochs=0, seed=0)}
    for seed in range(args.seeds):
        for kind in list(KINDS)[1:]:
            epochs = args.epochs * (LONGER if kind == 'longer' else 1)
            runs[f'{kind}-{seed}'] = dict(kind=kind, epochs=round(epochs), seed=seed)
    return runs


def start_checkpoint(args):
    """The released weights as a checkpoint of MMPose."""
    path = args.out / 'released.pth'
    if not path.exists():
        with written_whole(path) as part:
            torch.save(dict(state_dict=read_onnx(str(args.weights)), meta={}), part)
    return path


def checkpoint(args, name):
    """The last checkpoint of a run."""
    epochs = planned_runs(args)[name]['epochs']
    if not epochs:
        return start_checkpoint(args)
    return args.out / name / f'epoch_{epochs}.pth'


def run_config(args, run):
    """The config of a run."""
    kinds = list(KINDS)
    kind = kinds.index(run['kind'])  # each has what those before it have

    def since(name):
        return kind >= kinds.index(name)

    cfg = _baseline_config(args, run['epochs'])
    dataset = cfg.train_dataloader.dataset
    if since('paper'):
        places = PLACES if since('frozen') else PAPER_PLACES
        insert = [dict(module=name, position='before') for name in places]
        cfg = mipnetify(cfg, where='backbone', insert=insert, init='identity')
        if since('frozen'):
            cfg.model.backbone.update(bypass_primary=True, reduction=16)
            cfg.custom_hooks = [*cfg.custom_hooks, dict(type='FreezeStockHook')]
        if since('presence'):
            cfg.model.head.presence = dict(loss_weight=LOSS_WEIGHT / 1000)
        new = dict(lr_mult=MIMB_RATE)
        rates = {'backbone.mimbs': new, 'head.presence': new}
        cfg.optim_wrapper.paramwise_cfg = dict(custom_keys=rates)
        dataset = cfg.train_dataloader.dataset
    else:
        dataset = dict(type='MultiInstanceDataset', num_instances=1, dataset=dataset)
    if run['kind'] != 'paper':
        dataset['paste_people'] = dict(prob=0.6)
    cfg.train_dataloader.dataset = dataset
    cfg.randomness = dict(seed=run['seed'])
    cfg.load_from = str(start_checkpoint(args))
    return cfg


def _baseline_config(args, epochs):
    """The stock config: what is trained, how, on what."""

    def dataset(ann_file, pipeline, **more):
        return dict(
            type='CocoDataset',
            data_root='',
            ann_file=str(ann_file),
            data_prefix=dict(img=f'{args.images}/'),
            pipeline=copy.deepcopy(pipeline),
            **more,
        )

    crop = [
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=SIZE),
    ]
    moves = dict(type='RandomBBoxTransform', shift_prob=0, rotate_factor=60)
    train = [
        dict(type='LoadImage'),
        crop[0],
        dict(type='RandomFlip', direction='horizontal'),
        dict(moves, scale_factor=(0.7, 1.4)),
        crop[1],
        dict(type='GenerateTarget', encoder=CODEC),
        dict(type='PackPoseInputs'),
    ]
    test = [dict(type='LoadImage'), *crop, dict(type='PackPoseInputs')]
    joined = dict(
        type='ConcatDataset', datasets=[dataset(file, train) for file in args.train]
    )
    workers = dict(num_workers=0, persistent_workers=False)
    test_loader = dict(
        workers,
        batch_size=32,
        drop_last=False,
        sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
        dataset=dataset(args.test, test, test_mode=True),
    )
    evaluator = dict(type='CocoMetric', ann_file=str(args.test))
    cpu = args.device == 'cpu'
    wrapper = 'BFloat16OptimWrapper' if cpu else 'AmpOptimWrapper'
    return Config(
        dict(
            default_scope='mmpose',
            custom_imports=dict(imports=['mipnet_mmpose', 'simplepose']),
            model=model_config(),
            train_dataloader=dict(
                workers,
                batch_size=16,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=joined,
            ),
            val_dataloader=test_loader,
            test_dataloader=copy.deepcopy(test_loader),
            val_evaluator=evaluator,
            test_evaluator=dict(evaluator),
            train_cfg=dict(by_epoch=True, max_epochs=max(epochs, 1)),
            val_cfg=dict(),
            test_cfg=dict(),
            optim_wrapper=dict(
                type=wrapper,
                optimizer=dict(type='AdamW', lr=LR, weight_decay=1e-4),
                clip_grad=dict(max_norm=5),
                **({} if cpu else dict(dtype='bfloat16')),
            ),
            param_scheduler=[
                dict(
                    type='LinearLR', begin=0, end=200, start_factor=0.01, by_epoch=False
                ),
                dict(
                    type='CosineAnnealingLR',
                    T_max=max(epochs, 1),
                    eta_min_ratio=0.02,
                    convert_to_iter_based=True,
                ),
            ],
            custom_hooks=[
                dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=1e-3),
                *([dict(type='FastOnCPUHook')] if cpu else []),
            ],
            default_hooks=dict(
                timer=dict(type='IterTimerHook'),
                logger=dict(type='LoggerHook', interval=50),
                param_scheduler=dict(type='ParamSchedulerHook'),
                checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2),
                sampler_seed=dict(type='DistSamplerSeedHook'),
            ),
        )
    )


def write_config(args, name):
    """The config of a run's training, in its folder."""
    folder = args.out / name
    folder.mkdir(parents=True, exist_ok=True)
    cfg = run_config(args, planned_runs(args)[name])
    cfg.work_dir = str(folder)
    cfg.dump(folder / 'config.py')


def train(args, name):
    """Train with MMPose's tool unless that has been done; go on where it was."""
    if not checkpoint(args, name).exists():
        folder = args.out / name
        command = [mmpose_tool('train.py'), folder / 'config.py', '--work-dir', folder]
        command.append('--no-validate')
        if (folder / 'last_checkpoint').exists():
            command.append('--resume')
        run_script(command, folder / 'train.log', OMP_NUM_THREADS='1')


def make_pairs(args):
    """The pasted pairs of the test photographs."""
    folder = args.out / 'pairs'
    if not (folder / 'annotations.json').exists():
        command = [REPO / 'tools' / 'overlap_pairs.py', args.test, args.images, folder]
        run_script([*command, '--count', args.pairs], args.out / 'pairs.log')
    return folder
