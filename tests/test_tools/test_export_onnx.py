"""Export to ONNX, and the reader without MMPose beside MMPose's own inference."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS

from mipnet_mmpose import MIMB, load_model, use_lambdas

# isort: split
from mmpose.apis import inference_topdown

from ..conftest import (
    CODEC,
    REPO,
    coco_dataset_config,
    estimator_config,
    head_config,
    load_tool,
    val_pipeline,
)

onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnx')


export_onnx, run_onnx = load_tool('export_onnx'), load_tool('run_onnx')

STOCK = 'mmpose::body_2d_keypoint/'
RTMPOSE_S = f"""
_base_ = ['{STOCK}rtmpose/coco/rtmpose-s_8xb256-420e_coco-256x192.py']
custom_imports = dict(imports=['mipnet_mmpose'])
model = dict(
    neck=dict(type='MIMBNeck', in_channels=512, num_instances=3),
    head=dict(_delete_=True, type='MIPNetHead', head=_base_.model.head))
"""


def write_model(folder, model=None, config=None, seed=0, pipeline=None):
    """A config and a checkpoint of random weights, each λ far from the others."""
    path, checkpoint = folder / 'model.py', folder / 'model.pth'
    if config is not None:
        path.write_text(config)
    else:
        dataset = coco_dataset_config(
            folder, pipeline or val_pipeline(), test_mode=True
        )
        loader = dict(dataset=dataset)
        imports = dict(imports=['mipnet_mmpose'])
        Config(dict(custom_imports=imports, model=model, test_dataloader=loader)).dump(
            path
        )
    cfg = Config.fromfile(path)
    torch.manual_seed(seed)
    network = MODELS.build(cfg.model)
    for module in network.modules():
        if isinstance(module, MIMB):
            for layer in (*module.excite, *module.embed):
                if isinstance(layer, torch.nn.Linear):
                    torch.nn.init.normal_(layer.weight, std=2 * layer.in_features**-0.5)
            torch.nn.init.constant_(module.embed[1].bias, 1)  # no dead ReLU
    torch.save(dict(state_dict=network.state_dict(), meta={}), checkpoint)
    return str(path), str(checkpoint)


def export(folder, *args, **model):
    paths = write_model(folder, **model)
    export_onnx.main([*paths, str(folder / 'out.onnx'), *args])
    return paths, str(folder / 'out.onnx')


def picture(size=(160, 200)):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


BOXES = np.array([[20, 10, 90, 150], [60.5, 30, 180, 120.25]], np.float32)


def assert_same_poses(paths, file, image=None, boxes=BOXES):
    """Poses of the file without MMPose against MMPose's, without flip test."""
    image = picture() if image is None else image
    model = load_model(*paths, 'cpu')
    model.test_cfg['flip_test'] = False
    expected = inference_topdown(model, image, boxes)
    keypoints, scores = run_onnx.PoseModel(file)(image, boxes)
    for box, sample in enumerate(expected):
        poses = sample.pred_instances
        assert keypoints[box].shape == poses.keypoints.shape
        assert np.abs(keypoints[box] - poses.keypoints).max() < 0.1
        tolerance = 1e-4 * np.abs(poses.keypoint_scores).max()
        np.testing.assert_allclose(
            scores[box], poses.keypoint_scores, rtol=0, atol=tolerance
        )
    return keypoints


@pytest.mark.parametrize('where, num', [('backbone', 2), ('neck', 3)])
def test_heatmaps_of_any_batch_and_lambdas(tmp_path, where, num):
    paths, file = export(tmp_path, model=estimator_config(where, num))
    keypoints = assert_same_poses(paths, file)
    assert keypoints.shape == (2, num, 17, 2)
    assert np.abs(keypoints[:, 0] - keypoints[:, 1]).max() > 1
    session = onnxruntime.InferenceSession(file)
    assert [value.name for value in session.get_inputs()] == ['images', 'lambdas']
    network = export_onnx.pose_network(load_model(*paths, 'cpu'))
    images, lambdas = torch.randn(5, 3, 128, 96), torch.tensor([0.3, 1, 0, 0.7])
    (actual,) = session.run(
        ['heatmaps'], dict(images=images.numpy(), lambdas=lambdas.numpy())
    )
    with torch.no_grad(), use_lambdas(network.model, lambdas.tolist()):
        expected = network.model(images, None, mode='tensor')
    assert actual.shape == (5, 4, 17, 32, 24)
    tolerance = 1e-4 * expected.abs().max().item()
    np.testing.assert_allclose(
        actual.reshape(expected.shape), expected.numpy(), atol=tolerance
    )


def test_presence_is_an_output(tmp_path):
    model = estimator_config()
    model['head']['presence'] = dict()
    paths = write_model(tmp_path, model=model)
    state = torch.load(paths[1])
    weights = torch.tensor([1.0, 0.5, -0.4, -0.7, 0.3])  # of the layer and of the poses
    state['state_dict']['head.presence.evidence'] = weights
    torch.save(state, paths[1])
    file = str(tmp_path / 'out.onnx')
    export_onnx.main([*paths, file])
    network = load_model(*paths, 'cpu')
    image = picture()
    expected = inference_topdown(network, image, BOXES)
    presence = np.array([sample.pred_instances.presence for sample in expected])
    scores = np.array([sample.pred_instances.keypoint_scores for sample in expected])
    assert (presence[:, 0] == 1).all() and (presence[:, 1] < 1).all()
    _, found = run_onnx.PoseModel(file)(image, BOXES)
    tolerance = 1e-4 * np.abs(scores).max()
    np.testing.assert_allclose(found, scores * presence[..., None], 0, tolerance)


def test_lambdas_baked_in(tmp_path):
    args = ['--lambdas', '1', '0.25']
    _, file = export(tmp_path, *args, model=estimator_config('backbone', 2))
    model = run_onnx.PoseModel(file)
    assert not model.takes_lambdas and model.meta['lambdas'] == [1, 0.25]
    assert model(picture(), BOXES)[0].shape == (2, 2, 17, 2)
    with pytest.raises(ValueError, match='holds the lambdas'):
        model(picture(), BOXES, [0])
    with pytest.raises(SystemExit, match='outside 0 ... 1'):
        export(tmp_path, '--lambdas', '2', model=estimator_config('backbone', 2))


@pytest.mark.parametrize('codec', ['MSRAHeatmap', 'UDPHeatmap'])
def test_refined_heatmaps(tmp_path, codec):
    """DARK, as MMPose's two codecs have it."""
    codec = dict(CODEC, type=codec, sigma=2.0)
    codec.update(dict(unbiased=True) if codec['type'] == 'MSRAHeatmap' else {})
    model = estimator_config('neck', 2)
    model['head']['head'] = head_config(codec=codec)
    pipeline = val_pipeline()
    pipeline[2]['use_udp'] = codec['type'] == 'UDPHeatmap'
    paths, file = export(tmp_path, model=model, pipeline=pipeline)
    # noise has no peaks to refine: heatmaps as a trained network gives them
    heatmaps = np.zeros((2, 2, 17, 32, 24), np.float32)
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 23, (2, 2, 17, 2))
    grid = np.mgrid[:32, :24][::-1].transpose(1, 2, 0)
    for index in np.ndindex(2, 2, 17):
        heatmaps[index] = np.exp(-((grid - points[index]) ** 2).sum(-1) / 8)
    actual, _ = run_onnx.PoseModel(file).decode(heatmaps)
    decoder = load_model(*paths, 'cpu').head.decoder
    for index in np.ndindex(2, 2):
        expected, _ = decoder.decode(heatmaps[index])
        assert np.abs(actual[index] - expected[0]).max() < 0.01


@pytest.mark.parametrize('kind', ['rle', 'dsnt'])
def test_regression(tmp_path, kind):
    model = estimator_config('neck', 2)
    size = CODEC['input_size']
    if kind == 'rle':
        model['neck'] = dict(
            type='MIMBNeck',
            in_channels=8,
            num_instances=2,
            neck=dict(type='GlobalAveragePooling'),
        )
        head = dict(type='RLEHead', in_channels=8, num_joints=17)
        head['loss'] = dict(type='RLELoss', use_target_weight=True)
        head['decoder'] = dict(type='RegressionLabel', input_size=size)
    else:
        head = dict(type='DSNTHead', in_channels=8, num_joints=17)
        head.update(in_featuremap_size=(24, 32), deconv_out_channels=None)
        codec = dict(CODEC, type='IntegralRegressionLabel', sigma=2.0)
        head['loss'] = dict(
            type='MultipleLossWrapper',
            losses=[dict(type='SmoothL1Loss'), dict(type='JSDiscretLoss')],
        )
        head['decoder'] = codec
    model['head']['head'] = head
    paths, file = export(tmp_path, model=model)
    keypoints = assert_same_poses(paths, file)
    assert np.abs(keypoints[:, 0] - keypoints[:, 1]).max() > 0.01


@pytest.mark.slow
def test_rtmpose_with_three_instances(tmp_path):
    paths, file = export(tmp_path, config=RTMPOSE_S)
    assert assert_same_poses(paths, file).shape == (2, 3, 17, 2)
    meta = run_onnx.PoseModel(file).meta
    assert meta['input_size'] == [192, 256] and meta['num_instances'] == 3
    assert meta['codec']['type'] == 'SimCCLabel' and meta['color'] == 'RGB'
    assert meta['mean'] == pytest.approx([123.675, 116.28, 103.53])
    assert meta['keypoint_names'][0] == 'nose' and len(meta['flip_indices']) == 17


def test_command_line_needs_no_mmpose(tmp_path):
    _, file = export(tmp_path, model=estimator_config('neck', 2))
    cv2.imwrite(str(tmp_path / 'image.png'), picture())
    code = (
        'import sys; sys.modules.update(torch=None, mmengine=None, mmcv=None);'
        f'sys.argv = ["run_onnx", {file!r}, {str(tmp_path / "image.png")!r},'
        '"--bbox", *"20 10 90 150 --bbox 60 30 180 120 --lambdas 1".split(),'
        f'"--draw", {str(tmp_path / "drawn.png")!r}];'
        f'import runpy; runpy.run_path({str(REPO / "tools/run_onnx.py")!r},'
        'run_name="__main__")'
    )
    output = subprocess.run(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert np.shape(json.loads(output)) == (2, 1, 17, 3)
    assert cv2.imread(str(tmp_path / 'drawn.png')).shape == picture().shape


def test_lambda_1_alone_has_its_colour():
    keypoints = np.array([[[[10, 10], [50, 60]]]], float)
    args = keypoints, np.ones((1, 1, 2)), [1.0], [[0, 1]]
    drawn = run_onnx.draw(np.zeros((80, 80, 3), np.uint8), *args)
    colors = [(drawn == color).all(axis=2).sum() for color in run_onnx.COLORS]
    assert colors[1] > 20 and colors[0] == 0


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(export_onnx, 'TOLERANCE', -1)
    with pytest.raises(SystemExit, match='differs from PyTorch'):
        export(tmp_path, model=estimator_config('neck', 2))
    assert not list(tmp_path.glob('*.onnx*')) + list(tmp_path.glob('.*'))


def test_wrong_input_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit, match='no MIMB'):
        export(tmp_path, model=estimator_config(None))
    paths = write_model(tmp_path, estimator_config('neck', 2))
    state = torch.load(paths[1])
    del state['state_dict']['neck.mimbs.0.gate_scale']
    torch.save(state, paths[1])
    with pytest.raises(SystemExit, match='no weights for 1 .*gate_scale'):
        export_onnx.main([*paths, str(tmp_path / 'out.onnx')])
    with pytest.raises(SystemExit, match='nowhere.py does not exist'):
        export_onnx.main(['nowhere.py', 'x.pth', str(tmp_path / 'out.onnx')])
    with pytest.raises(SystemExit):
        export_onnx.main(['model.py', 'model.pth', 'out.pt'])
    assert 'OUT must end in .onnx' in capsys.readouterr().err
    with pytest.raises(ValueError, match='lambdas must be in 0 ... 1'):
        _, file = export(tmp_path, model=estimator_config('neck', 2))
        run_onnx.PoseModel(file)(picture(), BOXES, [1.5])
