"""Does MIPNet-TinyPose find more people on photographs, and lose nobody?

Trains MIPNet-TinyPose and fine-tunes PP-TinyPose alike, on photographs with people
pasted onto each other. Tests each run, and PP-TinyPose as it is, on other photographs:
everybody, real pairs, pasted pairs, lone persons, detected boxes. A part of the
training photographs is held out to choose among seeds and to fit the weights of
presence. Prints a table and writes OUT/table.md and OUT/figures.jsonl. What is there
is not made again; an interrupted training goes on from its last epoch.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parent
RUNS = {
    'released': ('tinypose', 'PP-TinyPose as it is'),
    'fine-tuned': ('tinypose', 'the same, fine-tuned on the same samples'),
    'mipnet': ('mipnet-tinypose', 'MIPNet-TinyPose'),
}
HELD_OUT = 7  # one of so many photographs


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('data', type=Path, help='folder with images/ and the COCO files')
    add('--train', nargs='+', default=['train.json', 'train_extra.json'])
    add('--test', default='test.json')
    add('--weights', type=Path, required=True, help='folder of the two checkpoints')
    add('--out', type=Path, default=Path('work_dirs/photographs'))
    add('--runs', nargs='+', default=list(RUNS), choices=list(RUNS))
    add('--seeds', nargs='+', type=int, default=[0, 1])
    add('--epochs', type=int, default=6)
    add('--device', default='cpu')
    add('--workers', type=int, default=0, help='that load, of each training')
    add('--limit', type=int, help='of photographs each, for a trial')
    add('--options', nargs='*', default=[], help='--cfg-options of the trainings')
    return parser.parse_args()


def prepare(args):
    """Divide the training photographs, and paste pairs of the others."""
    args.out.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(args.train):
        data = json.loads((args.data / name).read_text())
        ids = sorted(image['id'] for image in data['images'])
        # the networks have seen train2017: only of val2017's is something held out
        held = set(ids[::HELD_OUT]) if i == 0 else set()
        rest = [image_id for image_id in ids if image_id not in held]
        write(args.out / name, part(data, set(rest[: args.limit])))
        if held:
            write(args.out / 'held_out.json', part(data, held))
    write(args.out / 'test.json', json.loads((args.data / args.test).read_text()))
    for name in ('held_out', 'test'):
        folder = args.out / f'{name}_pairs'
        if not folder.exists():
            run(
                REPO / 'tools' / 'overlap_pairs.py',
                args.out / f'{name}.json',
                args.data / 'images',
                folder,
                '--count',
                args.limit or 500,
            )


def part(data, ids):
    """The images of a COCO file that have some ids, and their annotations."""
    return dict(
        data,
        images=[image for image in data['images'] if image['id'] in ids],
        annotations=[a for a in data['annotations'] if a['image_id'] in ids],
    )


def write(path, data):
    if not path.exists():
        path.write_text(json.dumps(data))


def run(*command):
    """Run a Python script; its output goes where ours goes."""
    subprocess.run([sys.executable, *map(str, command)], check=True, cwd=REPO)


def config(args, kind):
    """The config of a kind of run, on the data of this study."""
    from mmengine.config import Config

    name = f'td-hm_{RUNS[kind][0]}_coco-256x192.py'
    cfg = Config.fromfile(REPO / 'configs' / 'coco' / name)
    cfg.load_from = str((args.weights / 'tinypose_256x192.pth').resolve())
    wrapped = cfg.train_dataloader.dataset
    stock = wrapped.get('dataset', wrapped)
    pipeline = wrapped.pop('pipeline')
    stock.update(data_root='', data_prefix=dict(img=f'{args.data.resolve()}/images/'))
    stock.pop('pipeline', None)
    parts = [
        dict(stock, ann_file=str(args.out.resolve() / name), pipeline=pipeline)
        for name in args.train
    ]
    cfg.train_dataloader.dataset = dict(
        type='MultiInstanceDataset',
        dataset=dict(type='ConcatDataset', datasets=parts),
        num_instances=wrapped.get('num_instances', 1),
        paste_people=wrapped.get('paste_people', dict(prob=0.9)),
    )
    cfg.custom_imports = dict(imports=['mipnet_mmpose'])
    cfg.train_dataloader.update(
        num_workers=args.workers, persistent_workers=args.workers > 0
    )
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=1
    )
    cfg.train_cfg = dict(by_epoch=True, max_epochs=args.epochs)
    cfg.param_scheduler[-1].T_max = args.epochs
    return cfg


def train(args, kind, seed):
    """Train with MMPose's own script; the checkpoint of the last epoch."""
    from mipnet_mmpose.mmpose_files import mmpose_file

    if kind == 'released':
        return args.weights / 'tinypose_256x192.pth'
    folder = args.out / f'{kind}-{seed}'
    last = folder / f'epoch_{args.epochs}.pth'
    if not last.exists():
        folder.mkdir(exist_ok=True)
        cfg = config(args, kind)
        cfg.randomness = dict(seed=seed)
        cfg.work_dir = str(folder)
        cfg.dump(folder / 'config.py')
        more = ['--cfg-options', *args.options] if args.options else []
        if (folder / 'last_checkpoint').exists():
            more.append('--resume')
        script = mmpose_file('tools/train.py')
        run(script, folder / 'config.py', '--work-dir', folder, *more)
    return last


def main():
    args = parse_args()
    sys.path[:0] = [str(REPO), str(HERE)]
    import mipnet_mmpose  # noqa: F401 (before mmpose)

    # isort: split
    from photographs_figures import choose, figures, fit_presence, table

    prepare(args)
    path = args.out / 'figures.jsonl'
    lines = path.read_text().splitlines() if path.exists() else []
    found = {line['run']: line for line in map(json.loads, lines)}
    for kind in args.runs:
        for seed in [0] if kind == 'released' else args.seeds:
            name = f'{kind}-{seed}'
            if name in found:
                continue
            checkpoint = train(args, kind, seed)
            cfg = config(args, kind)
            if kind == 'mipnet':
                presence = fit_presence(args, cfg, checkpoint)
                print('presence', presence)
                cfg.model.head.presence = presence
            found[name] = dict(
                run=name,
                what=RUNS[kind][1],
                held_out=figures(args, cfg, checkpoint, 'held_out'),
                test=figures(args, cfg, checkpoint, 'test'),
            )
            with path.open('a') as stream:
                stream.write(json.dumps(found[name]) + '\n')
    text = table(found) + choose(found)
    (args.out / 'table.md').write_text(text)
    print(text)


if __name__ == '__main__':
    main()
