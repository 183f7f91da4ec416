"""Ultralight-SimplePose, a small network trained on COCO, as a model of MMPose.

The trunk is MMPose's MobileNetV2 of half width. Its upsampling is here, and what makes
training on a CPU take half the time: bfloat16, channels last, and no convolution whose
backward pass has no fast kernel.
"""

from types import MethodType
from typing import Dict, Tuple

import clone  # noqa: F401 (before MMPose)

# isort: split
import numpy as np
import torch
from mmcv.cnn import ConvModule
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS, OPTIM_WRAPPERS, init_default_scope
from mmpose.models.backbones import MobileNetV2
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = 128  # behind the trunk
LOSS_WEIGHT = 1000  # far above the epsilon of AdamW
SIZE, GRID = (192, 256), (48, 64)
CODEC = dict(type='MSRAHeatmap', input_size=SIZE, heatmap_size=GRID, sigma=2)


class DepthwiseUpsample(nn.Module):
    """Depthwise 4x4 transposed convolution of stride 2, padding 1.

    Its four phases are 3x3 convolutions with four taps each, which PyTorch runs many
    times as fast on a CPU.

    Shape:
        ``(B, C, H, W)`` → ``(B, C, 2H, 2W)``.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 4, 4))
        nn.init.normal_(self.weight, std=0.1)

    def _phase(self, row: int, column: int) -> Tensor:
        # output 2i + a takes from input i + d the tap a + 1 - 2d, d = -1, 0, 1
        kernel = self.weight.new_zeros(len(self.weight), 1, 3, 3)
        rows = [(d + 1, row + 1 - 2 * d) for d in (-1, 0, 1)]
        columns = [(d + 1, column + 1 - 2 * d) for d in (-1, 0, 1)]
        for y, tap_y in rows:
            for x, tap_x in columns:
                if 0 <= tap_y < 4 and 0 <= tap_x < 4:
                    kernel[:, :, y, x] = self.weight[:, :, tap_y, tap_x]
        return kernel

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        rows = []
        for a in (0, 1):
            columns = [
                F.conv2d(x, self._phase(a, b), None, 1, 1, 1, channels) for b in (0, 1)
            ]
            columns = [each.permute(0, 2, 3, 1) for each in columns]
            row = torch.stack(columns, 3)  # channels last
            rows.append(row.reshape(batch, height, 2 * width, channels))
        x = torch.stack(rows, 2).reshape(batch, 2 * height, 2 * width, channels)
        return x.permute(0, 3, 1, 2)


@MODELS.register_module()
class SimplePose(MobileNetV2):
    """MMPose's MobileNetV2, then ``upsample``: from stride 32 to stride 4.

    A 1x1 convolution to 128 channels, three times (upsampling, 1x1 convolution). Here
    and not in the head, so that :func:`MIMBBackbone` finds every place.

    Args:
        **kwargs: As for ``MobileNetV2``.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layers.remove('conv2')  # for classes
        del self.conv2
        layers = [*_conv(self.in_channels)]
        for _ in range(3):
            norm = nn.BatchNorm2d(CHANNELS)
            layers += [DepthwiseUpsample(CHANNELS), norm, nn.ReLU(inplace=True)]
            layers += _conv(CHANNELS)
        self.upsample = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Images (B, 3, H, W) → one level of features, (B, 128, H/4, W/4)."""
        return (self.upsample(super().forward(x)[-1]),)


def _conv(in_channels: int) -> Tuple[nn.Module, ...]:
    conv = nn.Conv2d(in_channels, CHANNELS, 1, bias=False)
    return conv, nn.BatchNorm2d(CHANNELS), nn.ReLU(inplace=True)


def model_config() -> dict:
    """The stock estimator around trunk and head."""
    return dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(
            type='PoseDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
        ),
        # the first stages have seen 118,000 photographs, ours are 1,581
        backbone=dict(
            type='SimplePose', widen_factor=0.5, out_indices=(6,), frozen_stages=3
        ),
        head=dict(
            type='HeatmapHead',
            in_channels=CHANNELS,
            out_channels=17,
            deconv_out_channels=None,
            loss=dict(
                type='KeypointMSELoss', use_target_weight=True, loss_weight=LOSS_WEIGHT
            ),
            decoder=CODEC,
        ),
        test_cfg=dict(flip_test=False),
    )


def read_onnx(path: str) -> Dict[str, Tensor]:
    """The weights of the released file, by the names that the model above gives them.

    MMPose rounds the 12 channels of the second stage up to 16: those four are zero.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    convs = [n for n in graph.node if n.op_type in ('Conv', 'ConvTranspose')]
    norms = [n for n in graph.node if n.op_type == 'BatchNormalization']
    init_default_scope('mmpose')
    model = MODELS.build(model_config())
    units = [
        (module.conv, module.bn)
        for module in model.backbone.modules()
        if isinstance(module, ConvModule)
    ]
    layers = list(model.backbone.upsample)
    units += zip(layers[::3], layers[1::3])
    if len(units) != len(norms) or len(units) + 1 != len(convs):
        raise ValueError(f'{path} has other layers than Ultralight-SimplePose')
    for (conv, norm), conv_node, norm_node in zip(units, convs, norms):
        conv.weight.data.zero_()
        _fill(conv.weight, arrays[conv_node.input[1]])
        names = ('weight', 'bias', 'running_mean', 'running_var')
        for name, key in zip(names, norm_node.input[1:]):
            _fill(getattr(norm, name), arrays[key])
    _fill(model.head.final_layer.weight, arrays[convs[-1].input[1]])
    bias = convs[-1].input[2:]
    _fill(model.head.final_layer.bias, arrays[bias[0]] if bias else np.zeros(17))
    return model.state_dict()


def _fill(tensor: Tensor, array: np.ndarray) -> None:
    """Copy into the first channels; what is left of a norm is that of the identity."""
    corner = tuple(slice(size) for size in array.shape)
    tensor.data[corner] = torch.tensor(array)


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """``AmpOptimWrapper`` for a CPU, which mmengine has for accelerators alone."""

    def optim_context(self, model: nn.Module):
        """Forward pass in bfloat16 where that keeps the precision."""
        return torch.autocast('cpu', dtype=torch.bfloat16)


@HOOKS.register_module()
class FastOnCPUHook(Hook):
    """Channels last, and float32 where bfloat16 has no fast backward pass, or MMPose
    decodes with numpy, which has no bfloat16.
    """

    def before_train(self, runner) -> None:
        """Change the model that is to be trained."""
        runner.model.to(memory_format=torch.channels_last)
        for module in runner.model.modules():
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                if module.stride != (1, 1):
                    module.forward = MethodType(_computed_in_float32, module)
            if isinstance(module, HeatmapHead):
                last = module.final_layer
                last.forward = MethodType(_float32, last)


def _float32(conv: nn.Conv2d, x: Tensor) -> Tensor:
    with torch.autocast('cpu', enabled=False):
        return nn.Conv2d.forward(conv, x.float())


def _computed_in_float32(conv: nn.Conv2d, x: Tensor) -> Tensor:
    return _float32(conv, x).to(x.dtype)
