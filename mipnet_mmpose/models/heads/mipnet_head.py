import copy
from contextlib import contextmanager
from typing import Any, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.models.heads.base_head import BaseHead
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils.typing import ConfigType, Features, OptSampleList, Predictions
from torch import Tensor, nn

from ...datasets.num_keypoints import head_num_keypoints
from ..lambdas import LambdaModule, configured_lambdas
from ..losses.multi_instance_loss import MultiInstanceLoss
from ..stock_checkpoint import move_stock_keys
from .presence import Presence


class SeveralPoses(dict):
    """The N poses of one box, as a metric gets them.

    A metric that takes one pose per box would count the first and lose the others
    without a word. ``dict(poses)`` has all of them.
    """

    def __getitem__(self, key: str) -> Any:
        self._refuse_keypoints(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._refuse_keypoints(key)
        return super().get(key, default)

    def _refuse_keypoints(self, key: str) -> None:
        if key == 'keypoints':
            raise ValueError(
                'val_evaluator / test_evaluator has a metric that takes one pose per '
                f'box, but the model gives {len(super().__getitem__(key))}: use '
                "dict(type='MultiInstanceCocoMetric', ...), 'MultiInstanceCocoWhole"
                "BodyMetric' or 'MultiInstancePoseTrack18Metric' instead of the stock "
                'metric of that name, and for any other metric '
                "dict(type='PrimaryInstanceMetric', metric=dict(type=..., ...))"
            )


class BoxInstances(InstanceData):
    """The N poses of one box; the box and its score are repeated for each."""

    def __setattr__(self, name: str, value: Any):
        if name in ('bboxes', 'bbox_scores') and len(value) == 1:
            repeats = max(len(self), 1)
            if isinstance(value, Tensor):
                value = value.repeat_interleave(repeats, dim=0)
            else:
                value = np.repeat(value, repeats, axis=0)
        super().__setattr__(name, value)

    __setitem__ = __setattr__

    def to_dict(self) -> dict:
        """As :class:`SeveralPoses` where there is more than one."""
        poses = super().to_dict()
        return SeveralPoses(poses) if len(self) > 1 else poses


@MODELS.register_module()
class MIPNetHead(LambdaModule, BaseHead):
    """Any stock top-down head, for N poses per box.

    The stock head sees an ordinary batch of B·N single-person crops, row
    ``b*N + i`` being sample b under λ_i. ``loss`` unfolds each sample's N
    targets into B·N samples, ``predict`` groups the B·N poses by box. Every loss
    of the stock head, of each stage and of the heads inside it, becomes a
    :class:`MultiInstanceLoss` where it is not one.

    Args:
        head (dict): Config of the stock head.
        num_instances (int): Instances N per box. Defaults to 2.
        presence (dict, optional): Let the model say for each λ ≥ 1 whether there is
            such a person. Arguments of :class:`Presence`, ``dict()`` for its defaults;
            ``channels`` are the ``in_channels`` of the head. Defaults to None.
        init_cfg (dict, optional): Of :class:`mmengine.model.BaseModule`.

    Raises:
        ValueError: naming the config key, where the parts do not fit together.
    """

    def __init__(
        self,
        head: ConfigType,
        num_instances: int = 2,
        presence: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ):
        super().__init__(init_cfg)
        self._init_lambdas(num_instances, configured_lambdas(num_instances))
        self.num_keypoints, self._keypoints_key = head_num_keypoints(dict(head=head))
        self.head = MODELS.build(head)
        for module in list(self.head.modules()):
            if isinstance(getattr(module, 'loss_module', None), nn.Module):
                module.loss_module = _per_instance(module.loss_module, num_instances)
        for name, module in self.head.named_modules():
            if isinstance(module, MultiInstanceLoss):
                module.set_num_instances(num_instances, f'model.head.head.{name}')
        self.presence = None if presence is None else self._build_presence(presence)

    def _build_presence(self, presence: dict) -> Presence:
        if self.num_instances == 1:
            raise ValueError('model.head.presence is of λ ≥ 1, but num_instances is 1')
        channels = presence.get('channels', getattr(self.head, 'in_channels', None))
        if isinstance(channels, (list, tuple)):
            channels = channels[-1]
        if channels is None:
            raise ValueError(
                f'model.head.presence.channels is needed: {type(self.head).__name__} '
                'does not say how many channels its features have'
            )
        return Presence(**dict(presence, channels=channels))

    @property
    def decoder(self):
        """The codec of the stock head."""
        return self.head.decoder

    def forward(self, feats: Tuple[Tensor]) -> Any:
        """What the stock head returns, with B·N rows."""
        return self.head(feats)

    def loss(
        self,
        feats: Tuple[Tensor],
        batch_data_samples: OptSampleList,
        train_cfg: ConfigType = {},  # noqa: B006 (signature of BaseHead)
    ) -> dict:
        """Losses of the stock head on the B·N rows.

        Args:
            feats (tuple[Tensor]): feature levels with B·N rows.
            batch_data_samples (list[PoseDataSample]): B samples with the
                targets of :class:`GenerateMultiInstanceTarget`.
            train_cfg (dict): passed to the stock head.

        Returns:
            dict: what the stock head returns, and ``loss_presence``.

        Raises:
            ValueError: where the rows or the targets are not for N instances.
        """
        self._check_rows(feats, batch_data_samples)
        for sample in batch_data_samples[:1]:
            weights = sample.gt_instance_labels.get('keypoint_weights')
            self._check_keypoints(getattr(weights, 'shape', [None])[-1], 'train')
        rows = [
            row for sample in batch_data_samples for row in self._unfold_sample(sample)
        ]
        if self.presence is None:
            with _numpy_precision(feats) as feats:
                return self.head.loss(feats, rows, train_cfg)
        targets = [s.gt_instances.target_instances for s in batch_data_samples]
        present = np.concatenate(targets) == np.arange(self.num_instances)
        present = torch.from_numpy(present).to(_first_level(feats).device)
        loss = self.presence.loss(feats, present)
        with _numpy_precision(feats) as feats:
            return dict(self.head.loss(feats, rows, train_cfg), loss_presence=loss)

    def predict(
        self,
        feats: Features,
        batch_data_samples: OptSampleList,
        test_cfg: ConfigType = {},  # noqa: B006 (signature of BaseHead)
    ) -> Predictions:
        """Poses of every box, one per λ.

        Args:
            feats (tuple[Tensor] | list[tuple[Tensor]]): feature levels with
                B·N rows; two of them with flip test.
            batch_data_samples (list[PoseDataSample]): B samples.
            test_cfg (dict): passed to the stock head.

        Returns:
            list[InstanceData] | tuple: B items, each of N rows with
            ``keypoints`` (N, K, 2) in pixels of the crop, ``keypoint_scores``
            (N, K) and ``lambdas`` (N, ). Where the head has it also ``presence``
            (N, ), the probability of such a person, 1 for λ = 0. With
            ``output_heatmaps`` also B ``PixelData`` of ``heatmaps`` (N·K, h, w),
            instance by instance.

        Raises:
            ValueError: where the rows are not for N instances, or the λ are in
                ``test_cfg``.
        """
        if 'lambdas' in test_cfg:
            raise ValueError(
                f'model.test_cfg.lambdas={test_cfg["lambdas"]}: the lambdas of '
                'inference are in the config of what folds, model.neck.lambdas '
                '(MIMBNeck) or model.backbone.lambdas (MIMBBackbone), or chosen with '
                'mipnet_mmpose.use_lambdas(model, lambdas)'
            )
        self._check_rows(feats, batch_data_samples)
        if test_cfg.get('flip_test'):
            flipped = batch_data_samples[0].metainfo.get('flip_indices')
            self._check_keypoints(flipped and len(flipped), 'test')
        num = len(self.lambdas)
        rows = [sample for sample in batch_data_samples for _ in range(num)]
        with _numpy_precision(feats) as feats:
            preds = self.head.predict(feats, rows, test_cfg)
        fields = None
        if isinstance(preds, tuple):
            preds, fields = preds
        boxes = [self._group(preds[i : i + num]) for i in range(0, len(preds), num)]
        if self.presence is not None:
            lambdas = _first_level(feats).new_tensor(self.lambdas)
            passes = feats if test_cfg.get('flip_test', False) else [feats]
            presence = [self.presence.predict(each, lambdas) for each in passes]
            presence = torch.stack(presence).mean(dim=0).cpu().numpy()
            for box, each in zip(boxes, presence):
                box.presence = each
        if fields is None:
            return boxes
        return boxes, [_concat(fields[i : i + num]) for i in range(0, len(fields), num)]

    def _group(self, preds: Sequence[InstanceData]) -> BoxInstances:
        box = BoxInstances()
        for key, value in InstanceData.cat(list(preds)).items():
            box.set_field(value, key)
        box.lambdas = np.array(self.lambdas, dtype=np.float32)
        return box

    def _check_rows(self, feats: Any, samples: Sequence[PoseDataSample]) -> None:
        rows, num = len(_first_level(feats)), len(self.lambdas)
        if rows == len(samples) * num:
            return
        if rows == len(samples):
            raise ValueError(
                'model.head is a MIPNetHead, but nothing in the model folds the '
                "instances: add model.neck=dict(type='MIMBNeck', ...), or wrap "
                "model.backbone in dict(type='MIMBBackbone', ...)"
            )
        found = f'{rows} rows of features for {len(samples)} samples'
        if num == self.num_instances and rows % len(samples) == 0:
            found = (
                f'model.neck.num_instances={rows // len(samples)} differs from '
                f'model.head.num_instances={num} (or model.backbone.num_instances)'
            )
        if rows == len(samples) * num**2:
            found += (
                '. Or model.backbone (MIMBBackbone) and model.neck (MIMBNeck) both '
                'fold the instances: keep one of them'
            )
        raise ValueError(
            f'model.head (MIPNetHead) has {num} instances, but {found}: one MIMBNeck '
            'or MIMBBackbone with the same num_instances must fold them'
        )

    def _check_keypoints(self, found: Optional[int], loader: str) -> None:
        if None not in (found, self.num_keypoints) and found != self.num_keypoints:
            raise ValueError(
                f'model.head gives {self.num_keypoints} keypoints '
                f'(model.{self._keypoints_key}), {loader}_dataloader.dataset has '
                f'{found} (its metainfo and its annotations): they must be the same'
            )

    def _unfold_sample(self, sample: PoseDataSample) -> List[PoseDataSample]:
        instances = sample.gt_instances.get('target_instances')
        if instances is None:
            raise ValueError(
                'train_dataloader.dataset gives the target of one person per box: '
                "wrap it, dataset=dict(type='MultiInstanceDataset', dataset=<the "
                'present dataset>)'
            )
        num = self.num_instances
        if instances.shape[1] != num:
            raise ValueError(
                f'train_dataloader.dataset.num_instances={instances.shape[1]} '
                f'differs from model.head.num_instances={num}'
            )
        labels = _chunk(sample.gt_instance_labels, num)
        fields = _chunk(sample.gt_fields, num) if 'gt_fields' in sample else None
        rows = []
        for i in range(num):
            row = copy.copy(sample)  # shares everything but the targets
            row.gt_instance_labels = labels[i]
            if fields is not None:
                row.gt_fields = fields[i]
            rows.append(row)
        return rows

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        move_stock_keys(self, state_dict, prefix, 'head')
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _per_instance(loss: nn.Module, num_instances: int) -> nn.Module:
    # a list or a combination of losses is called part by part
    if isinstance(loss, (nn.ModuleList, nn.ModuleDict)):
        for name, part in loss.named_children():
            setattr(loss, name, _per_instance(part, num_instances))
        return loss
    if isinstance(loss, MultiInstanceLoss):
        return loss
    return MultiInstanceLoss(loss, num_instances)


def _first_level(feats: Any) -> Tensor:
    while not isinstance(feats, Tensor):
        feats = feats[0]
    return feats


@contextmanager
def _numpy_precision(feats: Any) -> Iterator[Any]:
    """Stock heads decode with numpy, which has no bfloat16: give them float32."""
    level = _first_level(feats)
    if level.dtype != torch.bfloat16:
        yield feats
        return

    def to_float(tree: Any) -> Any:
        if isinstance(tree, Tensor):
            return tree.float()
        return type(tree)(to_float(item) for item in tree)

    with torch.autocast(level.device.type, enabled=False):
        yield to_float(feats)


def _chunk(data: Any, num: int) -> List[Any]:
    """Split the targets of N persons, which lie one after the other."""
    chunks = [type(data)() for _ in range(num)]
    for key, value in data.items():
        if isinstance(value, list):  # MultilevelPixelData, one tensor a level
            parts = list(zip(*(level.chunk(num) for level in value)))
        else:
            parts = value.chunk(num)
        for chunk, part in zip(chunks, parts):
            chunk.set_field(part, key)
    return chunks


def _concat(fields: Sequence[PixelData]) -> PixelData:
    """Lay the channels of N persons' fields one after the other."""
    merged = PixelData()
    for key in fields[0].keys():
        merged.set_field(torch.cat([field.get(key) for field in fields]), key)
    return merged
