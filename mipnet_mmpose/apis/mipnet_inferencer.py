import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional, Union

import cv2
import mmengine
import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.visualization import Visualizer
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.apis.inferencers import Pose2DInferencer
from mmpose.evaluation.functional.nms import nms
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import INFERENCERS, VISUALIZERS
from mmpose.structures import PoseDataSample, split_instances
from torch import nn

from ..evaluation.merge_poses import merge_settings
from ..mmpose_files import find_config, mmpose_file
from ..models.stock_checkpoint import check_mimbs_loaded, load_whole_checkpoint
from .images import BoxedImage, list_images, load_images
from .inference import image_pipeline, predict_people, shown_skeleton

# the models in the package
WEIGHTS = Path(__file__).resolve().parents[1] / 'weights'
POSE = (
    'mipnet_mmpose::coco/td-hm_mipnet-tinypose_coco-256x192.py',
    str(WEIGHTS / 'mipnet_tinypose_256x192.pth'),
)
DETECTOR = (  # MMPose installs the config with its demos
    'demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py',
    str(WEIGHTS / 'rtmdet_nano_person.pth'),
)
# what a person has besides MMPose's, and its field in pred_instances
PERSON = {'score': 'scores', 'lambda': 'lambdas', 'box_index': 'box_indices'}
PERSON['presence'] = 'presence'


@INFERENCERS.register_module()
class MIPNetInferencer(Pose2DInferencer):
    """``Pose2DInferencer`` for N poses per box, merged into people.

    It is MMPose's, which draws and writes. The poses of all boxes of an image become
    its people by :func:`merge_poses`; a person also has ``score`` (of the merge),
    ``lambda``, ``box_index`` (place of its box among those given or detected) and,
    where the head has it, ``presence``. Boxes can be given; where the detector finds
    nobody there is nobody. An image that cannot be read has no people and no picture.

    Args:
        pose2d (str | Path | Config, optional): Config, its path, or its name in MMPose
            or here. Defaults to the MIPNet-TinyPose and the detector of this package.
        pose2d_weights (str | Path, optional): Checkpoint.
        device, scope, det_weights, det_cat_ids, show_progress: As in MMPose.
        det_model (str, optional): Of MMDetection, or ``'rtmdet-nano'``, the person
            detector of this package. With a ``pose2d`` of one's own defaults to none:
            the whole image is the box.

    Raises:
        ValueError: where the checkpoint lacks weights, as one of the stock model lacks
            the MIMBs, or nothing says which keypoints the model gives.

    Example::

        inferencer = MIPNetInferencer()
        for result in inferencer('photos/', out_dir='out'):
            people = result['predictions'][0]
    """

    forward_kwargs = {'merge_results', 'score_decay', 'presence_thr', 'oks_nms_thr'}

    def __init__(
        self,
        pose2d: Union[str, Path, Config, None] = None,
        pose2d_weights: Union[str, Path, None] = None,
        device: Optional[str] = None,
        scope: Optional[str] = 'mmpose',
        det_model: Optional[str] = None,
        det_weights: Optional[str] = None,
        det_cat_ids: Union[int, Sequence[int]] = 0,
        **kwargs: Any,
    ):
        if pose2d is None:
            pose2d, pose2d_weights = POSE[0], pose2d_weights or POSE[1]
            det_model = det_model or 'rtmdet-nano'
        if det_model == 'rtmdet-nano':
            det_model, det_weights = str(mmpose_file(DETECTOR[0])), DETECTOR[1]
        weights = None if pose2d_weights is None else str(pose2d_weights)
        if isinstance(pose2d, (str, Path)) and weights is not None:
            pose2d = str(find_config(str(pose2d)))
        detector = det_model or 'whole_image', det_weights, det_cat_ids
        super().__init__(pose2d, weights, device, scope, *detector, **kwargs)
        self.model.cfg = self.cfg
        check_mimbs_loaded(self.model, weights)
        if weights is not None:  # MMPose prints what is missing, and goes on
            load_whole_checkpoint(self.model, weights)
        self.visualizer.skeleton = shown_skeleton(self.model)
        init_default_scope(scope)  # the detector has set its own

    def __call__(
        self, inputs: Any, *args, out_dir: Optional[str] = None, **kwargs
    ) -> Iterator[dict[str, list]]:
        """Find everybody. What is not named here is as in MMPose.

        Args:
            inputs (str | Path | np.ndarray | list): An image, a folder of them, a
                video, ``'webcam:0'``, a BGR array, or a list of images.
            bboxes (Sequence | str | Path, optional): As for :func:`estimate_poses`, or
                a file for :func:`boxes_from_file`. No detector is asked then.
            merge_results (bool): ``False`` keeps all N poses of every box.
            score_decay, presence_thr, oks_nms_thr (float, optional): Instead of
                ``score_decay``, ``presence_thr``, ``nms_thr`` of the config.

        Yields:
            dict: ``predictions`` and ``visualization``, lists of one image each; a
            prediction is a list of people, the best first.

        Raises:
            ValueError: where the input is no image, folder or video, or the boxes
                are not one array per image.
        """
        is_there = isinstance(inputs, str) and os.path.exists(inputs)
        if is_there and inputs.startswith('webcam'):
            inputs = os.path.join('.', inputs)  # a file of that name is no camera
        self._video_input = False
        folder = kwargs.get('pred_out_dir', f'{out_dir}/predictions' if out_dir else '')
        try:
            yield from super().__call__(inputs, *args, out_dir=out_dir, **kwargs)
        except BaseException:  # Ctrl-C too, or a caller who stops early
            if self._video_input:
                self._finalize_video_processing(folder)
            raise

    def detect(
        self, image: np.ndarray, bbox_thr: float = 0.3, nms_thr: float = 0.3
    ) -> np.ndarray:
        """Person boxes (n, 5) of a BGR image, with their scores, best first."""
        results = self.detector(image, return_datasamples=True)
        found = results['predictions'][0].pred_instances.cpu().numpy()
        wanted = np.isin(found.labels, self.det_cat_ids) & (found.scores > bbox_thr)
        boxes = np.c_[found.bboxes, found.scores][wanted]
        return boxes[nms(boxes, nms_thr)]

    def preprocess(
        self,
        inputs: Iterable,
        batch_size: int = 1,
        bboxes: Union[Sequence, str, Path, None] = None,
        **detection: float,
    ) -> Iterator[tuple[BoxedImage, list[Optional[np.ndarray]]]]:
        """Load the images and find their boxes, one image at a time as in MMPose."""
        detect = None if self.detector is None else partial(self.detect, **detection)
        for image in load_images(inputs, self.pipeline, bboxes, detect):
            yield image, [image.pixels]

    def forward(
        self,
        inputs: BoxedImage,
        merge_results: bool = True,
        oks_nms_thr: Optional[float] = None,
        **merge: Optional[float],
    ) -> list[PoseDataSample]:
        """The people of one image."""
        mode = None if merge_results else 'none'
        settings = merge_settings(self.cfg, nms_thr=oks_nms_thr, nms_mode=mode, **merge)
        return [predict_people(self.model, self.pipeline, inputs, settings)]

    def visualize(
        self, inputs: list, preds: list[PoseDataSample], **kwargs
    ) -> Optional[list[Optional[np.ndarray]]]:
        """As in MMPose; ``None`` for an unreadable image."""
        if inputs[0] is None:
            return [None]
        return super().visualize(inputs, preds, **kwargs)

    def save_visualization(self, image: Any, folder: str, img_name: str = '') -> None:
        """As in MMPose, but as PNG where OpenCV writes no file of the suffix."""
        if img_name and not cv2.haveImageWriter(img_name):
            img_name += '.png'
        super().save_visualization(image, folder, img_name or None)

    def postprocess(
        self, preds: list, visualization: Any, pred_out_dir: str = '', **kwargs
    ) -> dict[str, list]:
        """Give the people as dicts and write them, as in MMPose."""
        results = super().postprocess(preds, visualization, **kwargs)
        people = split_instances(preds[0].pred_instances)
        for name, field in PERSON.items():
            for person, value in zip(people, preds[0].pred_instances.get(field, ())):
                person[name] = value.item()
        if pred_out_dir and self._video_input:
            self.video_info['predictions'].append(people)
        elif pred_out_dir:
            name = f'{Path(preds[0].img_path).stem}.json'
            mmengine.dump(people, str(Path(pred_out_dir, name)), indent='  ')
        if results['predictions'][0] is not preds[0]:  # return_datasamples
            results['predictions'] = [people]
        return results

    def _load_weights_to_model(self, model: Any, checkpoint: Any, cfg: Any) -> None:
        if not isinstance(model, TopdownPoseEstimator):
            kind = type(model).__name__
            raise ValueError(f'the model is a {kind}, no TopdownPoseEstimator')
        super()._load_weights_to_model(model, checkpoint, cfg)
        if model.dataset_meta is None:
            model.dataset_meta = dataset_meta_from_config(cfg, 'test')
        if model.dataset_meta is None:
            raise ValueError(
                'which keypoints does the model give? The checkpoint has no '
                'meta.dataset_meta, the config no train_dataloader.dataset'
            )

    def _init_pipeline(self, cfg: Any) -> Compose:
        init_default_scope(cfg.get('default_scope') or 'mmpose')
        cfg.setdefault('data_mode', 'topdown')  # what the stock inferencer looks for
        cfg.setdefault('dataset_type', 'CocoDataset')
        return Compose(image_pipeline(cfg))

    def _init_collate(self, cfg: Any) -> Any:
        return pseudo_collate  # MMEngine would look for it, with a warning

    def _init_visualizer(self, cfg: Any) -> Visualizer:
        name = f'mipnet_inferencer_{id(self)}'
        return VISUALIZERS.build(dict(type='MultiInstanceVisualizer', name=name))

    def _inputs_to_list(self, inputs: Any) -> Iterable:
        inputs = str(inputs) if isinstance(inputs, Path) else inputs
        if isinstance(inputs, str) and '://' not in inputs:
            images = list_images(inputs)  # its errors are sentences
            if isinstance(images, list):
                return images
        return super()._inputs_to_list(inputs)


def load_model(
    config: Union[str, Path, Config, None] = None,
    checkpoint: Union[str, Path, None] = None,
    device: Optional[str] = None,
) -> nn.Module:
    """A pose model in eval mode, for :func:`estimate_poses`.

    The arguments and the errors are those of :class:`MIPNetInferencer`.
    """
    return MIPNetInferencer(config, checkpoint, device, det_model='whole_image').model
