from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Optional

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.models.heads.base_head import BaseHead
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils.typing import ConfigType, Features, OptSampleList, Predictions
from torch import Tensor, nn

from ..losses.multi_instance_loss import MultiInstanceLoss
from ..mimb import first_tensor, map_features
from ..stock_checkpoint import move_stock_keys
from .instance_targets import assign_unanswered, unfold_targets
from .presence import Presence


class BoxInstances(InstanceData):
    """The N poses of one box; the box and its score are repeated for each."""

    def __setattr__(self, name: str, value: Any):
        if name in ('bboxes', 'bbox_scores') and len(value) == 1:
            value = value[[0] * max(len(self), 1)]
        super().__setattr__(name, value)

    __setitem__ = __setattr__


@MODELS.register_module()
class MIPNetHead(BaseHead):
    """Any stock top-down head, for N poses per box.

    The stock head sees an ordinary batch of B·N single-person crops, row ``b*N + i``
    being sample b under λ_i. ``loss`` unfolds each sample's N targets into B·N
    samples, ``predict`` groups the B·N poses by box. Every loss of the stock head, of
    each stage and of heads inside it, becomes a :class:`MultiInstanceLoss`.

    Args:
        head (dict): Config of the stock head.
        presence (dict, optional): Say for each λ ≥ 1 whether there is such a person.
            Arguments of :class:`Presence`, ``dict()`` for its defaults. Defaults to
            None.
        instance_rule (str): Whom row i counts against. ``'paper'``: person i where
            there is one, else person 0 (MIPNet, ICCV 2021, Sec. 3.3).
            ``'unanswered'``, for a λ = 0 that does not learn: the i-th person whom
            λ = 0 does not answer; where there is none, nobody (its weights are 0).
            λ = 0 answers the person whose target heatmaps overlap most with its own.
            Defaults to ``'paper'``.
        init_cfg (dict, optional): Of :class:`mmengine.model.BaseModule`.

    Raises:
        ValueError: where the parts do not fit together; mostly at the first batch.
    """

    def __init__(
        self,
        head: ConfigType,
        presence: Optional[dict] = None,
        instance_rule: str = 'paper',
        init_cfg: Optional[dict] = None,
    ):
        super().__init__(init_cfg)
        if instance_rule not in ('paper', 'unanswered'):
            raise ValueError(
                "model.head.instance_rule must be 'paper' or 'unanswered', got "
                f'{instance_rule!r}'
            )
        self.instance_rule = instance_rule
        self.head = MODELS.build(head)
        for module in list(self.head.modules()):
            if isinstance(getattr(module, 'loss_module', None), nn.Module):
                module.loss_module = _per_instance(module.loss_module)
        self.presence = None if presence is None else Presence(**presence)
        self.lambdas: Optional[Sequence[float]] = None

    @property
    def decoder(self):
        """The codec of the stock head."""
        return self.head.decoder

    def set_lambdas(self, lambdas: Optional[Sequence[float]] = None) -> None:
        """Take note of the λ of inference, see :func:`use_lambdas`."""
        self.lambdas = lambdas

    def forward(self, feats: tuple[Tensor]) -> Any:
        """What the stock head returns, with B·N rows."""
        return self.head(feats)

    def loss(
        self,
        feats: tuple[Tensor],
        batch_data_samples: OptSampleList,
        train_cfg: ConfigType = {},  # noqa: B006 (signature of BaseHead)
    ) -> dict:
        """Losses of the stock head on the B·N rows.

        Args:
            feats (tuple[Tensor]): feature levels with B·N rows.
            batch_data_samples (list[PoseDataSample]): B samples with the
                targets of :class:`GenerateMultiInstanceTarget`.
            train_cfg (dict): passed to the stock head.
        """
        num = self._num_instances(feats, batch_data_samples)
        persons = [unfold_targets(s, num) for s in batch_data_samples]
        self._check_keypoints(batch_data_samples[0])
        targets = [s.gt_instances.target_instances for s in batch_data_samples]
        present = np.concatenate(targets) == np.arange(num)  # B, N
        for module in self.head.modules():
            if isinstance(module, MultiInstanceLoss):
                module.num_instances = num
        with _numpy_precision(feats) as feats:
            if self.instance_rule == 'unanswered' and num > 1:
                with torch.no_grad():
                    primary = self.head(map_features(lambda x: x[::num], feats))
                persons = assign_unanswered(primary, persons, present)
            rows = [row for person in persons for row in person]
            return self.head.loss(feats, rows, train_cfg)

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
            list[InstanceData] | tuple: B items of ``keypoints`` (N, K, 2) in pixels
            of the crop, ``keypoint_scores`` (N, K), ``lambdas`` (N,) and perhaps
            ``presence`` (N,), the probability of such a person, 1 for λ = 0. With
            ``output_heatmaps`` also B ``PixelData`` of ``heatmaps`` (N·K, h, w).
        """
        num = self._num_instances(feats, batch_data_samples)
        lambdas = np.array(self.lambdas or range(num), dtype=np.float32)
        if test_cfg.get('flip_test'):
            self._check_keypoints(batch_data_samples[0])
        rows = [sample for sample in batch_data_samples for _ in range(num)]
        with _numpy_precision(feats) as feats:
            preds = self.head.predict(feats, rows, test_cfg)
        preds, fields = preds if isinstance(preds, tuple) else (preds, None)
        boxes = []
        for i, sample in zip(range(0, len(preds), num), batch_data_samples):
            box = BoxInstances(**InstanceData.cat(preds[i : i + num]))
            box.lambdas = lambdas
            if self.presence is not None:
                size = sample.metainfo['input_size']
                box.presence = self.presence.predict(box, size)
            boxes.append(box)
        if fields is None:
            return boxes
        chosen = test_cfg.get('output_keypoint_indices')
        return boxes, [
            _concat(fields[i : i + num], chosen) for i in range(0, len(fields), num)
        ]

    def _num_instances(self, feats: Any, samples: Sequence[PoseDataSample]) -> int:
        rows = len(first_tensor(feats))
        expected = 1 if self.training or self.lambdas is None else len(self.lambdas)
        if rows % len(samples) or rows < expected * len(samples):
            raise ValueError(
                f'model.head (MIPNetHead) got {rows} rows of features for '
                f'{len(samples)} samples: something before it has to fold the '
                'instances, model.neck (MIMBNeck) or model.backbone (MIMBBackbone)'
            )
        return rows // len(samples)

    def _check_keypoints(self, sample: PoseDataSample) -> None:
        """Refuse what would end in a broadcast error or in a wrong loss."""
        head = self.head
        found = getattr(head, 'num_joints', getattr(head, 'out_channels', None))
        if getattr(getattr(head, 'decoder', None), 'heatmap_type', '') == 'combined':
            found //= 3  # and two offsets a keypoint
        weights = sample.get('gt_instance_labels', {}).get('keypoint_weights')
        flip = sample.metainfo.get('flip_indices')
        targets = None if weights is None else weights.shape[-1]
        metainfo = None if flip is None else len(flip)
        if found not in (None, targets or metainfo or found):
            raise ValueError(
                f'the numbers of keypoints differ: {found} in model.head, {targets} in '
                f'the annotations, {metainfo} in the metainfo of the dataset'
            )

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        move_stock_keys(self, state_dict, prefix, 'head')
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _per_instance(loss: nn.Module) -> nn.Module:
    # a list or a combination of losses is called part by part
    if isinstance(loss, (nn.ModuleList, nn.ModuleDict)):
        for name, part in loss.named_children():
            setattr(loss, name, _per_instance(part))
        return loss
    return loss if isinstance(loss, MultiInstanceLoss) else MultiInstanceLoss(loss)


@contextmanager
def _numpy_precision(feats: Any) -> Iterator[Any]:
    """Stock heads decode with numpy, which has no bfloat16: give them float32."""
    level = first_tensor(feats)
    probe = level.new_zeros(1, 1)  # the head's layers give what a product is
    if (probe @ probe).dtype != torch.bfloat16:
        yield feats
        return
    with torch.autocast(level.device.type, enabled=False):
        yield map_features(Tensor.float, feats)


def _concat(fields: Sequence[PixelData], chosen: Optional[list]) -> PixelData:
    """Lay the channels of N persons' fields one after the other."""
    merged = PixelData()
    for key in fields[0].keys():
        parts = [field.get(key) for field in fields]
        if chosen is not None and key == 'heatmaps':
            # MMPose chooses the keypoints of one person alone
            parts = [part[chosen] for part in parts]
        merged.set_field(torch.cat(parts), key)
    return merged
