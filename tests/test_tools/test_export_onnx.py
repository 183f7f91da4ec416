"""Export to ONNX, and the reader without MMPose beside MMPose's own inference."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import KEYPOINT_CODECS, MODELS

from mipnet_mmpose import MIMB, load_model, use_lambdas

# isort: split
from mmpose.apis import inference_topdown

from ..conftest import (
    CODEC,
    REPO,
    coco_dataset_config,
    estimator_config,
    load_tool,
    run_script,
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


def write_model(folder, model=None, config=None):
    """A config and a checkpoint of random weights, each λ far from the others."""
    path, checkpoint = folder / 'model.py', folder / 'model.pth'
    loader = dict(dataset=coco_dataset_config(folder, val_pipeline(), test_mode=True))
    imports = dict(imports=['mipnet_mmpose'])
    if config is None:
        cfg = Config(dict(custom_imports=imports, model=model, test_dataloader=loader))
        config = cfg.pretty_text
    path.write_text(config)
    torch.manual_seed(0)
    network = MODELS.build(Config.fromfile(path).model)
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
    run_script(export_onnx, *paths, folder / 'out.onnx', *args)
    return paths, str(folder / 'out.onnx')


def picture(size=(160, 200)):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


BOXES = np.array([[20, 10, 90, 150], [60.5, 30, 180, 120.25]], np.float32)


def assert_same_poses(paths, file):
    """Poses of the file without MMPose against MMPose's, without flip test."""
    model = load_model(*paths, 'cpu')
    model.test_cfg['flip_test'] = False
    poses = [s.pred_instances for s in inference_topdown(model, picture(), BOXES)]
    keypoints, scores = run_onnx.PoseModel(file)(picture(), BOXES)
    expected = np.array([p.keypoint_scores for p in poses])
    if 'presence' in poses[0]:
        presence = np.array([p.presence for p in poses])
        assert (presence[:, 0] == 1).all() and (presence[:, 1] < 1).all()
        expected = expected * presence[..., None]
    tolerance = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(scores, expected, rtol=0, atol=tolerance)
    assert np.abs(keypoints - [p.keypoints for p in poses]).max() < 0.1
    return keypoints


@pytest.fixture(scope='module')
def neck_files(tmp_path_factory):
    """Config, checkpoint and export of a MIPNet with its block in the neck."""
    folder = tmp_path_factory.mktemp('neck')
    paths, file = export(folder, model=estimator_config('neck', 3))
    return folder, paths, file


def test_heatmaps_of_any_batch_and_lambdas(neck_files):
    _, paths, file = neck_files
    keypoints = assert_same_poses(paths, file)
    assert keypoints.shape == (2, 3, 17, 2)
    assert np.abs(keypoints[:, 0] - keypoints[:, 1]).max() > 1
    session = onnxruntime.InferenceSession(file)
    assert [value.name for value in session.get_inputs()] == ['images', 'lambdas']
    model = load_model(*paths, 'cpu')
    images, lambdas = torch.randn(5, 3, 128, 96), torch.tensor([0.3, 1, 0, 1.7])
    feed = dict(images=images.numpy(), lambdas=lambdas.numpy())
    (actual,) = session.run(['heatmaps'], feed)
    with torch.no_grad(), use_lambdas(model, lambdas.tolist()):
        expected = model(images, None, mode='tensor').numpy()
    assert actual.shape == (5, 4, 17, 32, 24)
    tolerance = 1e-4 * expected.max()
    np.testing.assert_allclose(actual.reshape(expected.shape), expected, 0, tolerance)


def test_presence_is_weighted_as_in_the_config(tmp_path):
    model = estimator_config()
    model['head']['presence'] = dict(score=0.5, oks=-0.7, bias=0.3)
    paths, file = export(tmp_path, model=model)
    assert_same_poses(paths, file)


def test_lambdas_baked_in(neck_files, tmp_path):
    _, paths, _ = neck_files
    file = str(tmp_path / 'out.onnx')
    run_script(export_onnx, *paths, file, '--lambdas', 1, 0.25)
    model = run_onnx.PoseModel(file)
    assert not model.takes_lambdas and model.meta['lambdas'] == [1, 0.25]
    assert model(picture(), BOXES)[0].shape == (2, 2, 17, 2)
    with pytest.raises(ValueError, match='holds the lambdas'):
        model(picture(), BOXES, [0])
    model.meta['lambdas'] = np.float32([0.1, 1]).tolist()
    model(picture(), BOXES, [0.1, 1])
    with pytest.raises(SystemExit, match='outside 0 ... 2'):
        run_script(export_onnx, *paths, file, '--lambdas', 3)


@pytest.mark.parametrize(
    'codec', [dict(type='MSRAHeatmap', unbiased=True), dict(type='UDPHeatmap')]
)
def test_refined_heatmaps(codec):
    """DARK, as MMPose's two codecs have it."""
    codec = dict(CODEC, **codec, sigma=2.0)
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 23, (2, 2, 17, 1, 1, 2))
    grid = np.mgrid[:32, :24][::-1].transpose(1, 2, 0)
    heatmaps = np.exp(-((grid - points) ** 2).sum(-1) / 8).astype(np.float32)
    reader = object.__new__(run_onnx.PoseModel)  # without a file
    reader.meta, reader.size = dict(codec=codec), np.array(CODEC['input_size'])
    actual, _ = reader.decode(heatmaps)
    decoder = KEYPOINT_CODECS.build(codec)
    for index in np.ndindex(2, 2):
        expected, _ = decoder.decode(heatmaps[index])
        assert np.abs(actual[index] - expected[0]).max() < 0.01


RLE = dict(
    type='RLEHead',
    loss=dict(type='RLELoss', use_target_weight=True),
    decoder=dict(type='RegressionLabel', input_size=CODEC['input_size']),
)
LOSSES = [dict(type='SmoothL1Loss'), dict(type='JSDiscretLoss')]
DSNT = dict(
    type='DSNTHead',
    in_featuremap_size=(24, 32),
    deconv_out_channels=None,
    loss=dict(type='MultipleLossWrapper', losses=LOSSES),
    decoder=dict(CODEC, type='IntegralRegressionLabel', sigma=2.0),
)


@pytest.mark.parametrize('head', [RLE, DSNT])
def test_regression(tmp_path, head):
    model = estimator_config('neck', 2)
    if head is RLE:
        model['neck']['neck'] = dict(type='GlobalAveragePooling')
    model['head']['head'] = dict(head, in_channels=8, num_joints=17)
    paths, file = export(tmp_path, model=model)
    keypoints = assert_same_poses(paths, file)
    assert np.abs(keypoints[:, 0] - keypoints[:, 1]).max() > 0.01


def test_of_several_stages_the_last_one_is_exported(tmp_path):
    model = estimator_config('neck', 2)
    cpm = dict(in_channels=3, out_channels=17, feat_channels=8, num_stages=2)
    model['backbone'] = dict(type='CPM', **cpm)
    model['neck']['in_channels'] = [17, 17]
    head = model['head']['head']
    head.update(type='CPMHead', in_channels=17, num_stages=2, final_layer=None)
    head['decoder'] = dict(CODEC, heatmap_size=(12, 16))
    assert_same_poses(*export(tmp_path, model=model))


@pytest.mark.slow
def test_rtmpose_with_three_instances(tmp_path):
    paths, file = export(tmp_path, config=RTMPOSE_S)
    assert assert_same_poses(paths, file).shape == (2, 3, 17, 2)
    meta = run_onnx.PoseModel(file).meta
    assert meta['input_size'] == [192, 256] and meta['num_instances'] == 3
    assert meta['codec']['type'] == 'SimCCLabel' and meta['color'] == 'RGB'
    assert meta['mean'] == pytest.approx([123.675, 116.28, 103.53])
    assert meta['keypoint_names'][0] == 'nose' and len(meta['flip_indices']) == 17


def test_command_line_needs_no_mmpose(neck_files, tmp_path):
    _, _, file = neck_files
    cv2.imwrite(str(tmp_path / 'image.png'), picture())
    code = (
        'import sys; sys.modules.update(torch=None, mmengine=None, mmcv=None);'
        f'sys.argv = ["run_onnx", {file!r}, {str(tmp_path / "image.png")!r},'
        '"--bbox", *"20 10 90 150 --bbox 60 30 180 120 --lambdas 1".split(),'
        f'"--draw", {str(tmp_path / "drawn.png")!r}];'
        f'import runpy; runpy.run_path({str(REPO / "tools/run_onnx.py")!r},'
        'run_name="__main__")'
    )
    output = subprocess.check_output([sys.executable, '-c', code], text=True)
    assert np.shape(json.loads(output)) == (2, 1, 17, 3)
    assert cv2.imread(str(tmp_path / 'drawn.png')).shape == picture().shape


def test_lambda_1_alone_has_its_colour():
    keypoints = np.array([[[[10, 10], [50, 60]]]], float)
    args = keypoints, np.ones((1, 1, 2)), [1.0], [[0, 1]]
    drawn = run_onnx.draw(np.zeros((80, 80, 3), np.uint8), *args)
    colors = [(drawn == color).all(axis=2).sum() for color in run_onnx.COLORS]
    assert colors[1] > 20 and colors[0] == 0


def test_a_file_that_differs_is_not_written(neck_files, tmp_path, monkeypatch):
    monkeypatch.setattr(export_onnx, 'TOLERANCE', -1)
    with pytest.raises(SystemExit, match='differs from PyTorch'):
        run_script(export_onnx, *neck_files[1], tmp_path / 'out.onnx')
    assert not list(tmp_path.iterdir())
    config, checkpoint = neck_files[1]
    weights = torch.load(checkpoint, weights_only=False)
    weights['state_dict']['neck.mimbs.0.gate_scale'] *= np.nan
    torch.save(weights, tmp_path / 'nan.pth')
    with pytest.raises(SystemExit, match='differs from PyTorch'):
        run_script(export_onnx, config, tmp_path / 'nan.pth', tmp_path / 'out.onnx')


def test_a_model_that_lacks_some_is_named(neck_files, tmp_path):
    config, checkpoint = neck_files[1]
    out = tmp_path / 'out.onnx'
    with pytest.raises(SystemExit, match='no MIMB'):
        export(tmp_path, model=estimator_config(None))
    weights = torch.load(checkpoint, weights_only=False)
    del weights['state_dict']['neck.mimbs.0.gate_scale']
    torch.save(weights, tmp_path / 'less.pth')
    with pytest.raises(SystemExit, match='no weights for 1 .*gate_scale'):
        run_script(export_onnx, config, tmp_path / 'less.pth', out)
