import contextlib
import io
from pathlib import Path
from typing import Optional

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.evaluation.metrics import CocoMetric

from ..models.stock_checkpoint import load_whole_checkpoint

METRICS = dict(AP='AP', AP50='AP .5', AR='AR')  # in reports, in MMPose


class TestedModel:
    """A model that MMPose's runner has tested, and what its metric was given.

    Args:
        cfg (Config): whose first test evaluator is of ``CocoMetric``'s kind.
        checkpoint (str | Path): with all weights of the model.
        folder (Path): for the log.

    Attributes:
        model (nn.Module): in eval mode.
        input_size (tuple): width and height of a crop in pixels.
        annotations (dict): id → annotation of the test set.
        images (list): image ids of the B boxes; with ``boxes`` (B, 4), which are left,
            top, right, bottom in pixels, and ``box_scores`` (B, ).

    Raises:
        ValueError: where weights are missing or the metric is of another kind.
    """

    __test__ = False  # pytest: not a test

    def __init__(self, cfg: Config, checkpoint: Path, folder: Path):
        cfg.load_from, cfg.resume, cfg.work_dir = str(checkpoint), False, str(folder)
        runner = Runner.from_cfg(cfg)
        metric = self._metric = runner.test_evaluator.metrics[0]
        if not isinstance(metric, CocoMetric):
            raise ValueError(f'{cfg.filename}: its test_evaluator is no CocoMetric')
        load_whole_checkpoint(runner.model, checkpoint)
        compute = metric.compute_metrics

        def keep(results: list) -> dict:
            self._results = results
            return compute(results)

        metric.compute_metrics = keep
        runner.test()
        metric.compute_metrics = compute
        # all is converted and written now
        metric.gt_converter = metric.pred_converter = metric.outfile_prefix = None
        metric.per_lambda = False
        sample = runner.test_dataloader.dataset[0]['data_samples']
        self.input_size = tuple(map(int, sample.metainfo['input_size']))
        self.model = runner.model.eval()
        self.annotations = metric.coco.anns
        found = [poses for poses, _ in self._results]
        self.images = [poses['img_id'] for poses in found]
        self.boxes = np.array([poses['bbox'][0] for poses in found])
        self.boxes[:, 2:] += self.boxes[:, :2]
        self.box_scores = np.array([poses['bbox_scores'][0] for poses in found])

    def evaluate(
        self, kept: Optional[np.ndarray] = None, among: Optional[set] = None
    ) -> dict[str, Optional[float]]:
        """What the metric says of some boxes or people.

        ``kept`` (B, ) says which boxes are given, ``among`` the ids of the annotations
        that count; all others are regions to ignore. ``AP``, ``AP50`` and ``AR`` are
        ``None`` where nobody is looked for.
        """
        boxes = range(len(self.images)) if kept is None else np.flatnonzero(kept)
        nobody = among is not None and not among
        if nobody or not len(boxes):
            return dict.fromkeys(METRICS, None if nobody else 0.0)
        everybody = self.annotations.values()
        crowd = [ann.get('iscrowd', 0) for ann in everybody]
        try:
            for ann in everybody if among is not None else ():
                ann['iscrowd'] = int(ann['id'] not in among)
            with contextlib.redirect_stdout(io.StringIO()):
                found = self._metric.compute_metrics([self._results[i] for i in boxes])
        finally:
            for ann, value in zip(everybody, crowd):
                ann['iscrowd'] = value
        return {name: float(found[key]) for name, key in METRICS.items()}
