"""Export a MIPNet to ONNX and check the file against PyTorch.

The file takes `images` (B, 3, h, w), crops of the config's input size, normalised, and
`lambdas` (L,), real values in 0 ... N-1: it gives L poses for each crop. B and L are
free. With --lambdas the values are baked in and `images` is the only input. By head the
outputs are `heatmaps` (B, L, K, h', w'), `simcc_x` (B, L, K, w') and `simcc_y`
(B, L, K, h'), or `keypoints` (B, L, K, 2) in parts of the crop (with RLE (B, L, K, 4),
two deviations behind). A head with presence also gives `presence` (B, L), the
probability that there is such a person.

What is needed to crop, normalise and decode is in the file's metadata, one JSON value
a key. tools/run_onnx.py is a reader without MMPose.
"""

import argparse
import json
import sys
import warnings
from inspect import signature
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from mmengine.config import Config, DictAction
from torch import nn

# before mmpose.apis, which mmcv-lite alone cannot import
# isort: split
import mipnet_mmpose
from mipnet_mmpose.datasets.unwrap import find_pipeline
from mipnet_mmpose.models.lambdas import LambdaModule
from mipnet_mmpose.models.mimb import encode_lambdas
from mipnet_mmpose.models.stock_checkpoint import load_whole_checkpoint
from mipnet_mmpose.whole_files import written_whole

# isort: split
from mmpose.apis import init_model
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.models.heads import RLEHead

TOLERANCE = 1e-4  # of the largest value of an output
OUTPUTS = {
    'MSRAHeatmap': ['heatmaps'],
    'UDPHeatmap': ['heatmaps'],
    'MegviiHeatmap': ['heatmaps'],
    'SimCCLabel': ['simcc_x', 'simcc_y'],
    'RegressionLabel': ['keypoints'],
    'IntegralRegressionLabel': ['keypoints'],
}
PIPELINE = ('LoadImage', 'GetBBoxCenterScale', 'TopdownAffine', 'PackPoseInputs')


class ExportError(Exception):
    """What keeps a model from being exported, in a sentence."""


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, metavar='CONFIG')
    parser.add_argument('checkpoint', type=Path, metavar='CKPT')
    parser.add_argument('out', type=Path, metavar='OUT', help='file to write, .onnx')
    parser.add_argument(
        '--lambdas',
        type=float,
        nargs='+',
        metavar='λ',
        help='bake these in; by default they are an input',
    )
    parser.add_argument('--opset', type=int, default=16, help='default: %(default)s')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='override settings of the config, key=value',
    )
    args = parser.parse_args(argv)
    if args.out.suffix != '.onnx':
        parser.error(f'OUT must end in .onnx, got {args.out}')
    return args


class PoseNetwork(nn.Module):
    """The network of a multi-instance pose estimator, with λ as an input.

    Args:
        model (TopdownPoseEstimator): in eval mode.

    Attributes:
        num_instances (int): N.
        lambdas (Tensor): those of the model's config, 0 … N−1 by default.
        outputs (list[str]): names of the outputs.

    Shape:
        images ``(B, 3, h, w)``, lambdas ``(L,)`` → each output ``(B, L, K, ...)``.
        λ outside 0 … N−1 are moved to the nearest end.

    Raises:
        ExportError: if the model has no MIMB, or a codec of unknown outputs.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.lambda_modules = [
            module for module in model.modules() if isinstance(module, LambdaModule)
        ]
        if not self.lambda_modules:
            raise ExportError('the model has no MIMB, there is no lambda to export')
        codec = type(model.head.decoder).__name__
        if codec not in OUTPUTS:
            raise ExportError(
                f'model.head.head.decoder is a {codec}; known are {", ".join(OUTPUTS)}'
            )
        self.outputs = list(OUTPUTS[codec])
        self.presence = model.head.presence
        self.pose_outputs = len(self.outputs)
        if self.presence is not None:
            self.outputs.append('presence')
        self.num_instances = self.lambda_modules[0].num_instances
        self.register_buffer('lambdas', torch.tensor(self.lambda_modules[0].lambdas))

    def forward(self, images, lambdas=None):
        lambdas = self.lambdas if lambdas is None else lambdas
        instances = torch.arange(self.num_instances, dtype=lambdas.dtype)
        distance = lambdas.clamp(0, self.num_instances - 1)[:, None] - instances
        codes = (1 - distance.abs()).clamp(min=0)  # encode_lambdas, as a graph
        for module in self.lambda_modules:
            module._test_codes = codes
        feats = self.model.extract_feat(images)
        outputs = self.model.head(feats)
        if not isinstance(outputs, (list, tuple)):
            outputs = (outputs,)
        outputs = outputs[: self.pose_outputs]  # integral regression adds its heatmaps
        if isinstance(self.model.head.head, RLEHead):
            points, deviations = outputs[0].split(2, dim=-1)
            outputs = [torch.cat([points, deviations.sigmoid()], dim=-1)]
        shown = self.model.test_cfg.get('output_keypoint_indices')
        grouped = []
        for output in outputs:
            rows = (images.shape[0], lambdas.shape[0], *output.shape[1:])
            grouped.append(output.reshape(rows))
            if shown is not None:
                grouped[-1] = grouped[-1][:, :, list(shown)]
        if self.presence is not None:
            grouped.append(self.presence.predict(feats, lambdas))
        return tuple(grouped)


def describe(model, network):
    """What a user of the file needs to know, by metadata key."""
    try:
        pipeline = find_pipeline(model.cfg)
    except ValueError as error:
        raise ExportError(error) from error
    transforms = {step['type'].split('.')[-1]: step for step in pipeline}
    for name in transforms:
        if name not in PIPELINE:
            print(
                f'warning: test_dataloader.dataset.pipeline has {name}, which nothing '
                'in the file tells of',
                file=sys.stderr,
            )
    if 'TopdownAffine' not in transforms:
        raise ExportError('test_dataloader.dataset.pipeline has no TopdownAffine')
    affine = transforms['TopdownAffine']
    codec = dict(model.cfg.model.head.head.decoder)
    preprocessor = model.data_preprocessor
    swaps = preprocessor._channel_conversion
    normalises = preprocessor._enable_normalize
    meta = model.dataset_meta
    names = [meta['keypoint_id2name'][i] for i in range(meta['num_keypoints'])]
    return dict(
        input_size=affine['input_size'],
        padding=transforms.get('GetBBoxCenterScale', {}).get('padding', 1.25),
        use_udp=affine.get('use_udp', False),
        color='RGB' if swaps else 'BGR',  # images are read as BGR
        mean=preprocessor.mean.ravel().tolist() if normalises else [0, 0, 0],
        std=preprocessor.std.ravel().tolist() if normalises else [1, 1, 1],
        codec=codec,
        num_instances=network.num_instances,
        lambdas=network.lambdas.tolist(),
        keypoint_names=names,
        skeleton=meta['skeleton_links'],
        flip_indices=meta['flip_indices'],
        mipnet_mmpose_version=mipnet_mmpose.__version__,
    )


def export(network, path, metadata, baked, opset):
    """Write the ONNX file."""
    import onnx

    width, height = metadata['input_size']
    # two λ at least: with one alone a folded batch would look unfolded to the tracer
    lambdas = torch.tensor([0.0, network.num_instances - 1.0])
    axes = {'images': {0: 'B'}, 'lambdas': {0: 'L'}}
    axes.update({name: {0: 'B', 1: 'L'} for name in network.outputs})
    if baked:
        axes = {name: {0: 'B'} for name in ('images', *network.outputs)}
    options = {}
    if 'dynamo' in signature(torch.onnx.export).parameters:
        options['dynamo'] = False  # the exporter that torch 1.13 has, too
    images = torch.randn(2, 3, height, width)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of values that the trace takes as fixed
        torch.onnx.export(
            network,
            (images,) if baked else (images, lambdas),
            str(path),
            opset_version=opset,
            input_names=['images'] if baked else ['images', 'lambdas'],
            output_names=network.outputs,
            dynamic_axes=axes,
            **options,
        )
    file = onnx.load(str(path))
    onnx.helper.set_model_props(
        file, {key: json.dumps(value) for key, value in metadata.items()}
    )
    onnx.checker.check_model(file)
    onnx.save(file, str(path))


def largest_difference(network, path, metadata, baked, batch_sizes=(1, 7)):
    """Of onnxruntime and PyTorch, relative to the largest value of the output."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=['CPUExecutionProvider']
    )
    width, height = metadata['input_size']
    num = network.num_instances
    largest = 0.0
    for batch_size in batch_sizes:
        images = torch.randn(batch_size, 3, height, width)
        between = torch.linspace(0, num - 1, num + 1)
        for lambdas in [network.lambdas] if baked else [network.lambdas, between]:
            feed = {'images': images.numpy(), 'lambdas': lambdas.numpy()}
            feed = {value.name: feed[value.name] for value in session.get_inputs()}
            with torch.no_grad():
                expected = network(images, lambdas)
            for actual, output in zip(session.run(None, feed), expected):
                if actual.shape != output.shape:
                    raise ExportError(
                        f'{path} gives {actual.shape}, PyTorch {tuple(output.shape)}'
                    )
                difference = np.abs(actual - output.numpy()).max()
                largest = max(largest, difference / output.abs().max().item())
    return largest


def load_model(config, checkpoint, cfg_options=None):
    """A pose estimator on the CPU, with the meta information of its test set."""
    try:
        cfg = Config.fromfile(config)
        cfg.merge_from_dict(cfg_options or {})
        model = init_model(cfg, device='cpu')
        load_whole_checkpoint(model, checkpoint)
    except ExportError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise ExportError(
            f'{config} with {checkpoint}: {type(error).__name__}: {error}'
        ) from error
    meta = dataset_meta_from_config(cfg, 'test')
    if meta is not None:
        model.dataset_meta = meta
    return model


def main(argv=None):
    args = parse_args(argv)
    for path in (args.config, args.checkpoint):
        if not path.is_file():
            sys.exit(f'error: {path} does not exist')
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        sys.exit(f'error: {error}: pip install onnx onnxruntime')
    try:
        model = load_model(args.config, args.checkpoint, args.cfg_options)
        network = PoseNetwork(model).eval()
        baked = args.lambdas is not None
        if baked:
            encode_lambdas(args.lambdas, network.num_instances)  # checks their range
            network.lambdas = torch.tensor(args.lambdas)
        metadata = describe(model, network)
        with written_whole(args.out) as part:
            export(network, part, metadata, baked, args.opset)
            difference = largest_difference(network, part, metadata, baked)
            if not difference <= TOLERANCE:
                raise ExportError(
                    f'onnxruntime differs from PyTorch by {difference:.1e} of the '
                    f'largest value, more than {TOLERANCE:.0e}; {args.out} is not '
                    'written'
                )
    except (ExportError, OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'onnxruntime and PyTorch differ by {difference:.1e} of the largest value')
    print(args.out)


if __name__ == '__main__':
    main()
