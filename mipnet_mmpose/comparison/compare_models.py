"""The comparison from configs and checkpoints to the report."""

import json
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

from mmengine.config import Config

from ..datasets.unwrap import stock_dataset_configs
from ..whole_files import write_text
from .cost import measure_cost
from .crops import differing_people, draw_crops
from .fewer_boxes import withhold_boxes
from .figures import check_figures
from .people import People
from .plots import plot_bins, plot_curves
from .report import write_report
from .tables import tabulate
from .tested_model import CompareError, TestedModel, check_comparable, evaluators


def compare_models(
    paths: Dict[str, Tuple[Path, Path]],
    out: Union[str, Path],
    data: Optional[Path] = None,
    boxes: Optional[Path] = None,
    cfg_options: Optional[Dict[str, Any]] = None,
) -> Path:
    """Test both models, compute the report and write it.

    Args:
        paths (dict): config and checkpoint of ``'baseline'`` and of ``'MIPNet'``.
        out (str | Path): folder for the report, its pictures and the predictions.
        data (Path, optional): folder with ``annotations.json`` and ``images``, in
            place of the test set of the configs.
        boxes (Path, optional): detected boxes in place of those of the configs.
        cfg_options (dict, optional): what else to change in both configs.

    Returns:
        Path: of the report, ``report.md``.

    Raises:
        CompareError: where a file is missing or the models cannot be compared.
    """
    out = Path(out).resolve()
    (out / 'predictions').mkdir(parents=True, exist_ok=True)
    configs = {}
    for name, (config, checkpoint) in paths.items():
        for path in (config, checkpoint):
            if not path.is_file():
                raise CompareError(f'--{name.lower()}: {path} does not exist')
        cfg = configs[name] = Config.fromfile(config)
        choose_test_set(cfg, name.lower(), data, boxes)
        cfg.merge_from_dict(cfg_options or {})
        cfg.load_from, cfg.resume = str(checkpoint), False
        cfg.work_dir = str(out / 'logs' / name.lower())
    models = {
        name: TestedModel(name.lower(), cfg, out / 'predictions')
        for name, cfg in configs.items()
    }
    check_comparable(models['baseline'], models['MIPNet'])
    mipnet = models['MIPNet']
    people = People(mipnet.metric)
    owners = people.owners(mipnet.images, mipnet.boxes)
    tables = tabulate(people, models, owners)
    check_figures(tables['all']['all'], models)
    dataset = configs['MIPNet'].test_dataloader.dataset
    test = dict(
        models={
            name: dict(config=str(c), checkpoint=str(p), figures=models[name].figures)
            for name, (c, p) in paths.items()
        },
        ann_file=str(mipnet.metric.ann_file or dataset.get('ann_file')),
        images=len(people.by_image),
        boxes=len(mipnet.images),
        box_source=dataset.get('bbox_file') or 'ground truth',
    )
    report = dict(
        test=test,
        tables=tables,
        curves=withhold_boxes(people, models, owners),
        cost=measure_cost(models),
        crops=differing_people(people, models),
    )
    plot_bins(out / 'overlap.png', tables['overlap'], 'box IoU with another person')
    plot_bins(out / 'crowding.png', tables['crowding'], 'crowd index of the image')
    plot_curves(out / 'boxes.png', report['curves'])
    if report['crops']:
        draw_crops(out / 'crops.png', people, models, report['crops'])
    text = json.dumps(report, indent=1, ensure_ascii=False)
    write_text(out / 'report.json', text + '\n')
    write_report(out / 'report.md', report)
    return out / 'report.md'


def choose_test_set(
    cfg: Config, name: str, data: Optional[Path], boxes: Optional[Path]
) -> None:
    """Put other data, other boxes or both into the test set of a config."""
    if not data and not boxes:
        return
    key, wrapped = 'test_dataloader.dataset', cfg.test_dataloader.dataset
    datasets = dict(stock_dataset_configs(wrapped, key))
    if len(datasets) > 1:
        raise CompareError(
            f'--{name}: --data and --boxes are for one test set, the config has '
            f'{", ".join(datasets)}: leave one of them'
        )
    (dataset,) = datasets.values()
    if data:
        ann_file, images = data / 'annotations.json', data / 'images'
        for path in (ann_file, images):
            if not path.exists():
                raise CompareError(f'--data: {path} does not exist')
        dataset.update(
            data_root='',
            ann_file=str(ann_file),
            data_prefix=dict(img=f'{images}/'),
            bbox_file=None,
        )
        for evaluator in evaluators(cfg):
            if 'ann_file' in evaluator:
                evaluator['ann_file'] = str(ann_file)
    if boxes:
        if not boxes.is_file():
            raise CompareError(f'--boxes: {boxes} does not exist')
        dataset['bbox_file'] = str(boxes)
