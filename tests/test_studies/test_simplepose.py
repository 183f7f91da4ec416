"""The COCO-trained network as a model of MMPose, beside its own file."""

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS
from torch import nn

from ..conftest import _shared, load_tool

simplepose = load_tool('simplepose')


def test_upsampling_is_the_transposed_convolution():
    torch.manual_seed(0)
    ours = simplepose.DepthwiseUpsample(5).double()
    stock = nn.ConvTranspose2d(5, 5, 4, 2, 1, groups=5, bias=False).double()
    stock.weight.data.copy_(ours.weight)
    x = torch.randn(2, 5, 7, 6, dtype=torch.float64, requires_grad=True)
    out, expected = ours(x), stock(x)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    weight = torch.randn_like(out)
    (grad,) = torch.autograd.grad((out * weight).sum(), ours.weight)
    (truth,) = torch.autograd.grad((expected * weight).sum(), stock.weight)
    torch.testing.assert_close(grad, truth, rtol=0, atol=1e-12)


def test_model_answers_as_the_released_file():
    """Measured: 3e-7 of heatmaps whose largest value is 0.9."""
    onnx = pytest.importorskip('onnx')
    onnxruntime = pytest.importorskip('onnxruntime')
    path = str(_shared('MIPNET_WEIGHTS', 'weights') / 'ultralight_simplepose.onnx')
    model = MODELS.build(simplepose.model_config())
    model.load_state_dict(simplepose.read_onnx(path))
    file = onnx.load(path)
    file.opset_import[0].version = 9
    for node in file.graph.node:
        if node.op_type == 'BatchNormalization':
            kept = [a for a in node.attribute if a.name != 'spatial']
            del node.attribute[:]
            node.attribute.extend(kept)
    session = onnxruntime.InferenceSession(file.SerializeToString())
    image = torch.randn(1, 3, 256, 192)
    with torch.no_grad():
        found = model.eval()(image, None, mode='tensor').numpy()
    (expected,) = session.run(None, {'data': image.numpy()})
    assert np.abs(found - expected).max() < 1e-5
