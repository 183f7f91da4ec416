"""Export a MIPNet to ONNX and check the file against PyTorch.

The file takes `images` (B, 3, h, w), crops of the config's input size, normalised, and
`lambdas` (L,), real values in 0 ... N-1: it gives L poses for each crop. B and L are
free. With --lambdas the values are baked in and `images` is the only input. By head the
outputs are `heatmaps` (B, L, K, h', w'), `simcc_x` (B, L, K, w') and `simcc_y`
(B, L, K, h'), or `keypoints` (B, L, K, 2) in parts of the crop (with RLE (B, L, K, 4),
two deviations behind).

What is needed to crop, normalise and decode is in the file's metadata, one JSON value
a key. `mipnet run_onnx` is a reader without MMPose.
"""

import json
import sys
import warnings
from dataclasses import asdict
from inspect import signature
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mipnet_command import run_tool, tool_parser

TOLERANCE = 1e-4  # of the largest value of an output
OUTPUTS = {
    'MSRAHeatmap': ['heatmaps'],
    'UDPHeatmap': ['heatmaps'],
    'MegviiHeatmap': ['heatmaps'],
    'SimCCLabel': ['simcc_x', 'simcc_y'],
    'RegressionLabel': ['keypoints'],
    'IntegralRegressionLabel': ['keypoints'],
}


def parse_args(argv=None):
    parser = tool_parser('export_onnx', __doc__)
    add = parser.add_argument
    add('config', metavar='CONFIG', help="a path or a name, of MMPose's or of ours")
    add('checkpoint', type=Path, metavar='CKPT')
    add('out', type=Path, metavar='OUT', help='file to write, .onnx')
    baked = 'bake these in (default: they are an input)'
    add('--lambdas', type=float, nargs='+', metavar='λ', help=baked)
    add('--opset', type=int, default=16, help='(default: %(default)s)')
    return parser.parse_args(argv)


def pose_network(model):
    """The network of a multi-instance pose estimator, with λ as an input.

    images ``(B, 3, h, w)``, lambdas ``(L,)`` → each output ``(B, L, K, ...)``, λ moved
    into 0 … N−1.
    """
    import torch
    from mmpose.models.heads import RLEHead

    from mipnet_mmpose.models.lambdas import LambdaModule

    folds = [module for module in model.modules() if isinstance(module, LambdaModule)]
    if not folds:
        raise ValueError('the model has no MIMB, there is no lambda to export')
    codec = type(getattr(model.head, 'decoder', None)).__name__
    shown = model.test_cfg.get('output_keypoint_indices')
    if codec not in OUTPUTS:
        known = f'known are {[*OUTPUTS]}'
        raise ValueError(f'model.head.head.decoder is a {codec}; {known}')

    class PoseNetwork(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model
            self.num_instances = folds[0].num_instances
            self.lambdas = torch.arange(self.num_instances).float()
            self.outputs = OUTPUTS[codec]

        def forward(self, images, lambdas=None):
            lambdas = self.lambdas if lambdas is None else lambdas
            last = self.num_instances - 1
            distance = lambdas.clamp(0, last)[:, None] - torch.arange(last + 1.0)
            codes = (1 - distance.abs()).clamp(min=0)  # encode_lambdas, as a graph
            for module in folds:
                module._test_codes = codes
            feats = model.extract_feat(images)
            outputs = model.head(feats)
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            if isinstance(model.head.head, RLEHead):
                points, deviations = outputs[0].split(2, dim=-1)
                outputs = [torch.cat([points, deviations.sigmoid()], dim=-1)]
            if OUTPUTS[codec] == ['heatmaps']:
                outputs = outputs[-1:]  # of the last stage, as MMPose decodes
            outputs = outputs[: len(OUTPUTS[codec])]
            if shown is not None:
                outputs = [output[:, list(shown)] for output in outputs]
            size = (images.shape[0], lambdas.shape[0])
            return tuple(output.reshape(*size, *output.shape[1:]) for output in outputs)

    return PoseNetwork().eval()


def describe(model, network):
    """What a user of the file needs to know, by metadata key."""
    import mipnet_mmpose
    from mipnet_mmpose.apis.inference import image_pipeline, shown_skeleton

    transforms = {str(s['type']).split('.')[-1]: s for s in image_pipeline(model.cfg)}
    if 'TopdownAffine' not in transforms:
        raise ValueError('test_dataloader.dataset.pipeline has no TopdownAffine')
    affine = transforms['TopdownAffine']
    preprocessor, meta = model.data_preprocessor, model.dataset_meta
    normalises, presence = preprocessor._enable_normalize, model.head.presence
    shown = model.test_cfg.get('output_keypoint_indices')
    shown = range(meta['num_keypoints']) if shown is None else shown
    return dict(
        input_size=affine['input_size'],
        padding=transforms.get('GetBBoxCenterScale', {}).get('padding', 1.25),
        use_udp=affine.get('use_udp', False),
        color='RGB' if preprocessor._channel_conversion else 'BGR',  # read as BGR
        mean=preprocessor.mean.ravel().tolist() if normalises else [0, 0, 0],
        std=preprocessor.std.ravel().tolist() if normalises else [1, 1, 1],
        codec=dict(model.cfg.model.head.head.decoder),
        num_instances=network.num_instances,
        lambdas=network.lambdas.tolist(),
        presence=presence and asdict(presence),
        keypoint_names=[meta['keypoint_id2name'][i] for i in shown],
        skeleton=shown_skeleton(model),
        flip_indices=meta['flip_indices'],
        mipnet_mmpose_version=mipnet_mmpose.__version__,
    )


def export(network, path, metadata, baked, opset):
    """Write the ONNX file."""
    import onnx
    import torch

    width, height = metadata['input_size']
    # two λ at least: with one alone a folded batch would look unfolded to the tracer
    lambdas = torch.tensor([0.0, network.num_instances - 1.0])
    axes = {'images': {0: 'B'}, 'lambdas': {0: 'L'}}
    axes.update({name: {0: 'B', 1: 'L'} for name in network.outputs})
    if baked:
        axes = {name: {0: 'B'} for name in ('images', *network.outputs)}
    options = {}
    if 'dynamo' in signature(torch.onnx.export).parameters:
        options['dynamo'] = False  # the exporter that torch 2.0 has, too
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
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    onnx.helper.set_model_props(file, texts)
    onnx.checker.check_model(file)
    onnx.save(file, str(path))


def largest_difference(network, path, metadata, baked):
    """Of onnxruntime and PyTorch, relative to the largest value of the output."""
    import numpy as np
    import onnxruntime
    import torch

    providers = ['CPUExecutionProvider']
    session = onnxruntime.InferenceSession(str(path), providers=providers)
    width, height = metadata['input_size']
    num, largest = network.num_instances, 0.0
    for batch_size in (1, 7):
        images = torch.randn(batch_size, 3, height, width)
        between = torch.linspace(0, num - 1, num + 1)
        for lambdas in [network.lambdas] if baked else [network.lambdas, between]:
            feed = {'images': images.numpy(), 'lambdas': lambdas.numpy()}
            feed = {value.name: feed[value.name] for value in session.get_inputs()}
            with torch.no_grad():
                expected = network(images, lambdas)
            for actual, output in zip(session.run(None, feed), expected):
                difference = abs(actual - output.numpy()).max()
                difference /= output.abs().max().item() or 1
                largest = np.maximum(largest, difference)  # of NaN it is NaN
    return largest


def run(args):
    """Export and check; nothing is written where the check fails."""
    import torch

    from mipnet_mmpose import load_model
    from mipnet_mmpose.models.mimb import encode_lambdas
    from mipnet_mmpose.whole_files import written_whole

    model = load_model(args.config, args.checkpoint, 'cpu')
    network = pose_network(model)
    baked = args.lambdas is not None
    if baked:
        encode_lambdas(args.lambdas, network.num_instances)  # checks their range
        network.lambdas = torch.tensor(args.lambdas)
    metadata = describe(model, network)
    with written_whole(args.out) as part:
        export(network, part, metadata, baked, args.opset)
        difference = largest_difference(network, part, metadata, baked)
        if not difference <= TOLERANCE:
            raise ValueError(
                f'onnxruntime differs from PyTorch by {difference:.1e} of the largest '
                f'value, more than {TOLERANCE:.0e}; {args.out} is not written'
            )
    print(f'onnxruntime and PyTorch differ by {difference:.1e} of the largest value')
    print(args.out)


if __name__ == '__main__':
    run_tool(run, parse_args())
