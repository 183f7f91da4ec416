import copy
import functools
import os
import warnings
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import mmengine
import numpy as np
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer
from mmpose.apis.inferencers import Pose2DInferencer
from mmpose.evaluation.functional.nms import nearby_joints_nms, nms
from mmpose.registry import INFERENCERS, VISUALIZERS
from mmpose.structures import PoseDataSample, split_instances
from mmpose.visualization import PoseLocalVisualizer

from ..datasets.unwrap import find_pipeline
from ..models.stock_checkpoint import check_mimbs_loaded
from .boxes import boxes_per_image
from .boxes_file import boxes_from_file
from .images import VideoFrames, open_images
from .merge_boxes import merge_settings
from .output_names import picture_names, prediction_names
from .predict_images import BoxedImage, box_image, image_name, predict_images
from .skipped import Skipped

OF_3D_MODELS = {
    'num_instances',
    'use_oks_tracking',
    'tracking_thr',
    'disable_norm_pose_2d',
    'disable_rebase_keypoint',
}


@INFERENCERS.register_module()
class MIPNetInferencer(Pose2DInferencer):
    """``MMPoseInferencer`` for N poses per box, merged into people.

    It is used as MMPose's: built from a config and a checkpoint, called with a
    path, folder, video, ``'webcam'``, array or a list, and gives a result for each
    image or frame. What differs:

    - the poses of all boxes are merged as :class:`MultiInstanceCocoMetric` merges
      them, by the settings of the config's ``test_evaluator``;
    - a person also has ``score`` (of the merge), ``lambda`` and ``box_index``
      (place of its box among those given or detected), best first;
    - boxes can be given; without a detector and without boxes the whole image is
      the box; where the detector finds nobody there is nobody;
    - an image or frame that cannot be read gives no people and ``None`` for its
      picture; a warning counts them at the end;
    - one colour a person in the pictures.

    Args:
        pose2d (str | Config): Config, its path, or a model name of MMPose.
        pose2d_weights (str, optional): Checkpoint.
        device (str, optional): Defaults to the best one there is.
        scope (str): Defaults to ``'mmpose'``.
        det_model (str, optional): Config path or model name of an MMDetection
            detector. Defaults to none.
        det_weights (str, optional): Checkpoint of the detector.
        det_cat_ids (int | Sequence[int]): Its classes to take. Defaults to 0,
            COCO's person.
        show_progress (bool): Defaults to False.

    Example::

        inferencer = MIPNetInferencer(config, checkpoint, det_model='rtmdet-m')
        for result in inferencer('photos/', out_dir='out'):
            people = result['predictions'][0]
    """

    forward_kwargs = {
        'merge_results',
        'pose_based_nms',
        'score_decay',
        'presence_thr',
        'oks_nms_thr',
        'crops_per_batch',
    }

    def __init__(
        self,
        pose2d: Any,
        pose2d_weights: Optional[str] = None,
        device: Optional[str] = None,
        scope: Optional[str] = 'mmpose',
        det_model: Optional[str] = None,
        det_weights: Optional[str] = None,
        det_cat_ids: Union[int, Sequence[int]] = 0,
        show_progress: bool = False,
    ):
        super().__init__(
            pose2d,
            pose2d_weights,
            device,
            scope,
            det_model or 'whole_image',
            det_weights,
            det_cat_ids,
        )
        check_mimbs_loaded(self.model, pose2d_weights)
        self.show_progress = show_progress
        init_default_scope(scope)  # the detector has set its own
        self._skipped = Skipped()

    def __call__(
        self,
        inputs: Any,
        return_datasamples: bool = False,
        batch_size: int = 1,
        out_dir: Optional[str] = None,
        **kwargs,
    ) -> Iterator[Dict[str, list]]:
        """Find everybody.

        Args:
            inputs (str | Path | np.ndarray | list): An image, a folder of them, a
                video, ``'webcam:0'``, a uint8 BGR array, or a list of images.
            return_datasamples (bool): Give ``PoseDataSample`` instead of dicts.
                Defaults to False.
            batch_size (int): Images taken, and given, at a time. Defaults to 1.
            out_dir (str, optional): ``visualizations/`` and ``predictions/`` go
                there. Or give ``vis_out_dir`` and ``pred_out_dir``.
            bboxes (Sequence | Mapping | str | Path, optional): As for
                :func:`estimate_poses`, or a file for :func:`boxes_from_file`. No
                detector is asked then.
            bbox_thr (float): Least score of detected boxes. Defaults to 0.3.
            nms_thr (float): IoU of detected boxes. Defaults to 0.3.
            pose_based_nms (bool): After the merge drop who shares more than a third
                of the keypoints with a better one, as MMPose does, of as many people
                as there are. Defaults to False.
            merge_results (bool): ``False`` keeps all N poses of every box.
                Defaults to True.
            score_decay (float, optional): For λ ≥ 1, instead of the config's.
            presence_thr (float, optional): Least ``presence`` of a pose, where the
                model gives one. Defaults to 0.95.
            oks_nms_thr (float, optional): Instead of the config's.
            crops_per_batch (int): Crops per forward pass. Defaults to 32.
            return_vis, show, wait_time, draw_bbox, draw_heatmap, radius, thickness,
            kpt_thr, skeleton_style, black_background: As for ``MMPoseInferencer``.
            num_instances, use_oks_tracking, tracking_thr, disable_norm_pose_2d,
            disable_rebase_keypoint: Of ``MMPoseInferencer``'s 3D models. They change
                nothing there for 2D ones, and nothing here, where a warning says so.

        Yields:
            dict: ``predictions`` and ``visualization``, lists of ``batch_size``
            images each; a prediction is a list of people.

        Raises:
            ValueError: where the input is no image, folder or video, or the boxes
                are not one array per image.
        """
        if out_dir is not None:
            kwargs.setdefault('vis_out_dir', f'{out_dir}/visualizations')
            kwargs.setdefault('pred_out_dir', f'{out_dir}/predictions')
        if isinstance(inputs, Path):
            inputs = str(inputs)
        of_3d = sorted(OF_3D_MODELS & set(kwargs))
        if of_3d:
            warnings.warn(f'{", ".join(of_3d)}: only for 3D poses', stacklevel=2)
            kwargs = {k: v for k, v in kwargs.items() if k not in of_3d}
        self._skipped = Skipped()
        self._names = {}
        # MMPose's older name
        return_datasamples = kwargs.pop('return_datasample', return_datasamples)
        self._video_input = False
        try:
            yield from super().__call__(
                inputs, return_datasamples, batch_size, **kwargs
            )
        except BaseException:  # Ctrl-C too, or a caller who stops early
            if self._video_input:
                self._finalize_video_processing(kwargs.get('pred_out_dir', ''))
            raise
        finally:
            self._skipped.warn()

    def detect(
        self, image: np.ndarray, bbox_thr: float = 0.3, nms_thr: float = 0.3
    ) -> np.ndarray:
        """Person boxes of the detector.

        Args:
            image (np.ndarray): BGR, (H, W, 3).
            bbox_thr (float): Least score. Defaults to 0.3.
            nms_thr (float): IoU above which the lower box is dropped.
                Defaults to 0.3.

        Returns:
            np.ndarray: left, top, right, bottom, score, (n, 5), best first.
        """
        try:
            results = self.detector(image, return_datasamples=True)
        except ValueError:  # mmdet before 3.2
            results = self.detector(image, return_datasample=True)
        found = results['predictions'][0].pred_instances.cpu().numpy()
        wanted = np.isin(found.labels, self.det_cat_ids) & (found.scores > bbox_thr)
        boxes = np.concatenate([found.bboxes, found.scores[:, None]], axis=1)[wanted]
        return boxes[nms(boxes, nms_thr)]

    def preprocess(
        self,
        inputs: Iterable,
        batch_size: int = 1,
        bboxes: Any = None,
        bbox_thr: float = 0.3,
        nms_thr: float = 0.3,
    ) -> Iterator[Tuple[List[BoxedImage], List[Optional[np.ndarray]]]]:
        """Load ``batch_size`` images at a time and find their boxes.

        Yields:
            tuple: the images with their boxes, and their pixels.
        """
        if isinstance(bboxes, (str, Path)):
            bboxes = _file_boxes(bboxes, inputs)
        num_images = len(inputs) if isinstance(inputs, (list, tuple)) else None
        if num_images:
            pictures = picture_names([image_name(x, i) for i, x in enumerate(inputs)])
            self._names = dict(enumerate(zip(pictures, prediction_names(pictures))))
        boxes_of = boxes_per_image(bboxes, num_images)
        if bboxes is None and self.detector is not None:
            find = functools.partial(self.detect, bbox_thr=bbox_thr, nms_thr=nms_thr)
            boxes_of = lambda index: find  # noqa: E731
        images = (
            box_image(image, i, boxes_of(i), self.pipeline, self._skipped)
            for i, image in enumerate(inputs)
        )
        for batch in self._get_chunk_data(images, batch_size):
            yield batch, [image.pixels for image in batch]

    def forward(
        self,
        inputs: List[BoxedImage],
        merge_results: bool = True,
        score_decay: Optional[float] = None,
        presence_thr: Optional[float] = None,
        oks_nms_thr: Optional[float] = None,
        crops_per_batch: int = 32,
        bbox_thr: float = -1,
        pose_based_nms: bool = False,
    ) -> List[PoseDataSample]:
        """The people of each image; ``bbox_thr`` has been used already."""
        settings = merge_settings(
            self.cfg,
            score_decay=score_decay,
            presence_thr=presence_thr,
            nms_thr=oks_nms_thr,
            nms_mode=None if merge_results else 'none',
        )
        people = list(
            predict_images(self.model, self.pipeline, inputs, settings, crops_per_batch)
        )
        for sample in people if pose_based_nms else ():
            sample.pred_instances = _distinct(sample.pred_instances)
        return people

    def visualize(
        self,
        inputs: List[Optional[np.ndarray]],
        preds: List[PoseDataSample],
        **kwargs,
    ) -> Optional[List[Optional[np.ndarray]]]:
        """See ``Pose2DInferencer.visualize``; ``None`` for an unreadable image."""
        readable = [i for i, image in enumerate(inputs) if image is not None]
        # the stock inferencer names a picture after the path of its image
        named = [copy.copy(preds[i]) for i in readable]
        for pred in named:
            pred.set_metainfo(dict(img_path=self._output_names(pred)[0]))
        drawings = super().visualize([inputs[i] for i in readable], named, **kwargs)
        if not drawings:
            return drawings
        drawings = dict(zip(readable, drawings))
        return [drawings.get(i) for i in range(len(inputs))]

    def _output_names(self, pred: PoseDataSample) -> Tuple[str, str]:
        """Names of the picture and of the predictions."""
        if pred.img_id in self._names:
            return self._names[pred.img_id]
        name = os.path.basename(pred.img_path)  # a frame, or an array
        return name, os.path.splitext(name)[0] + '.json'

    def postprocess(
        self,
        preds: List[PoseDataSample],
        visualization: Optional[List[Optional[np.ndarray]]],
        return_datasamples: bool = False,
        pred_out_dir: str = '',
    ) -> Dict[str, list]:
        """Give the people as dicts and write them, see the stock inferencer."""
        people = [_split_people(pred) for pred in preds]
        if pred_out_dir and self._video_input:
            self.video_info['predictions'] += people
        elif pred_out_dir:
            for pred, persons in zip(preds, people):
                _, name = self._output_names(pred)
                mmengine.dump(persons, str(Path(pred_out_dir, name)), indent='  ')
        return dict(
            visualization=visualization,
            predictions=preds if return_datasamples else people,
        )

    def _init_pipeline(self, cfg: Any) -> Compose:
        init_default_scope(cfg.get('default_scope', 'mmpose'))
        return Compose(find_pipeline(cfg))

    def _init_visualizer(self, cfg: Any) -> Visualizer:
        visualizer = dict(cfg.get('visualizer') or dict(type='PoseLocalVisualizer'))
        if visualizer['type'] in ('PoseLocalVisualizer', PoseLocalVisualizer):
            visualizer['type'] = 'MultiInstanceVisualizer'
        visualizer['name'] = f'mipnet_inferencer_{id(self)}'
        return VISUALIZERS.build(visualizer)

    def _inputs_to_list(self, inputs: Any) -> Union[Sequence, VideoFrames]:
        if isinstance(inputs, np.ndarray):
            return [inputs]
        if not isinstance(inputs, str):
            return inputs
        images = open_images(inputs)
        if isinstance(images, list):
            return images
        self._video_input = True
        self.video_info = dict(
            fps=images.fps or 25.0,
            name=Path(inputs).name,
            writer=None,
            width=images.width,
            height=images.height,
            predictions=[],
        )
        return images


def _file_boxes(path: Union[str, Path], inputs: Any) -> Dict[int, np.ndarray]:
    named = isinstance(inputs, VideoFrames) or (
        isinstance(inputs, (list, tuple))
        and all(isinstance(image, (str, Path)) for image in inputs)
    )
    if not named:
        raise ValueError(
            f'bboxes is the file {path}, which says nothing of arrays or a webcam: '
            'give the boxes themselves'
        )
    images = inputs if isinstance(inputs, VideoFrames) else list(map(str, inputs))
    return boxes_from_file(path, images).boxes


def _distinct(poses: InstanceData) -> InstanceData:
    """MMPose's pose-based NMS, by the scores of the merge, without its limit of 30."""
    if not len(poses):
        return poses
    people = [
        dict(keypoints=keypoints[:, :2], score=score)
        for keypoints, score in zip(poses.keypoints, poses.scores)
    ]
    kept = nearby_joints_nms(
        people,
        dist_thr=0.05,  # the default of MMPose from 1.2 on
        num_nearby_joints_thr=poses.keypoints.shape[1] // 3,
        max_dets=len(people),
    )
    return poses[sorted(kept)]


def _split_people(pred: PoseDataSample) -> List[dict]:
    poses = pred.pred_instances
    people = split_instances(poses)
    for i, person in enumerate(people):
        person['score'] = float(poses.scores[i])
        person['lambda'] = float(poses.lambdas[i])
        person['box_index'] = int(poses.box_indices[i])
        if 'presence' in poses:
            person['presence'] = float(poses.presence[i])
    return people
