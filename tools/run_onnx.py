"""Poses for the boxes of an image, from a file that tools/export_onnx.py wrote.

Needs numpy, opencv-python and onnxruntime, but neither PyTorch nor MMPose: take it as a
starting point for your own code. There is no flip test and no OKS-NMS. Prints JSON: for
each box, for each lambda, the keypoints as [x, y, score] in pixels of the image.
"""

import argparse
import json
import sys

import cv2
import numpy as np
import onnxruntime


class PoseModel:
    """The exported network with what comes before and after it.

    Args:
        path (str): file of tools/export_onnx.py.
        providers (Sequence[str]): of onnxruntime.

    Attributes:
        meta (dict): what the file says of itself, such as ``keypoint_names``.
    """

    def __init__(self, path, providers=('CPUExecutionProvider',)):
        self.session = onnxruntime.InferenceSession(path, providers=list(providers))
        meta = self.session.get_modelmeta().custom_metadata_map
        if 'input_size' not in meta:
            raise ValueError(f'{path} was not written by tools/export_onnx.py')
        self.meta = {key: json.loads(value) for key, value in meta.items()}
        self.size = np.array(self.meta['input_size'])
        self.takes_lambdas = len(self.session.get_inputs()) == 2

    def __call__(self, image, boxes, lambdas=None):
        """Poses of B boxes for L values of λ.

        Args:
            image (np.ndarray): BGR uint8, (H, W, 3).
            boxes (np.ndarray): x0, y0, x1, y1 in pixels, (B, 4).
            lambdas (Sequence[float], optional): values in 0 ... N-1. Defaults to
                those that the file names.

        Returns:
            tuple: keypoints (B, L, K, 2) in pixels of the image, scores (B, L, K),
            times the presence of each person where the file gives it.
        """
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        center, scale = self.crop_area(boxes)
        feed = {'images': np.stack([self.crop(image, *c) for c in zip(center, scale)])}
        if self.takes_lambdas:
            lambdas = self.meta['lambdas'] if lambdas is None else lambdas
            if not 0 <= min(lambdas) <= max(lambdas) <= self.meta['num_instances'] - 1:
                last = self.meta['num_instances'] - 1
                raise ValueError(f'lambdas must be in 0 ... {last}, got {lambdas}')
            feed['lambdas'] = np.array(lambdas, np.float32)
        elif lambdas is not None:
            raise ValueError(f'the file holds the lambdas {self.meta["lambdas"]}')
        outputs = self.session.run(None, feed)
        presence = np.ones(1, np.float32)
        if self.session.get_outputs()[-1].name == 'presence':
            presence = outputs.pop()[..., None]
        keypoints, scores = self.decode(*outputs)
        corner = (center - scale / 2)[:, None, None]
        return keypoints / self.size * scale[:, None, None] + corner, scores * presence

    def crop_area(self, boxes):
        """Centre and size of the crops: padded boxes of the network's aspect."""
        scale = (boxes[:, 2:] - boxes[:, :2]) * self.meta['padding']
        aspect = self.size[0] / self.size[1]
        width = np.maximum(scale[:, 0], scale[:, 1] * aspect)
        scale = np.stack([width, width / aspect], axis=1)
        return (boxes[:, :2] + boxes[:, 2:]) / 2, scale

    def crop(self, image, center, scale):
        """The normalised crop, (3, h, w)."""
        zoom = (self.size - self.meta['use_udp']) / scale
        matrix = np.c_[np.diag(zoom), zoom * (scale / 2 - center)]
        crop = cv2.warpAffine(image, matrix, self.size.tolist(), flags=cv2.INTER_LINEAR)
        crop = crop[..., ::-1] if self.meta['color'] == 'RGB' else crop
        crop = (crop - np.float32(self.meta['mean'])) / np.float32(self.meta['std'])
        return crop.transpose(2, 0, 1)

    def decode(self, output, simcc_y=None):
        """Keypoints in pixels of the crop (B, L, K, 2), scores (B, L, K)."""
        codec = self.meta['codec']
        name = codec['type'].split('.')[-1]
        if name == 'MSRAHeatmap' and not codec.get('unbiased'):
            keypoints, scores = peaks(output)
            shift = quarter_pixels(output, keypoints.astype(int))
            grid = np.array(output.shape[:-3:-1])
            return (keypoints + shift) / grid * self.size, scores
        if name == 'UDPHeatmap' and codec.get('heatmap_type', 'gaussian') == 'gaussian':
            keypoints, scores = peaks(output)
            shift = dark(output, keypoints, codec.get('blur_kernel_size', 11))
            grid = np.array(output.shape[:-3:-1])
            return (keypoints + shift) / (grid - 1) * self.size, scores
        if name == 'SimCCLabel' and not codec.get('use_dark'):
            keypoints = np.stack([output.argmax(-1), simcc_y.argmax(-1)], axis=-1)
            scores = np.minimum(output.max(-1), simcc_y.max(-1))
            keypoints = np.where(scores[..., None] > 0, keypoints, -1)
            return keypoints / codec.get('simcc_split_ratio', 2.0), scores
        if name in ('RegressionLabel', 'IntegralRegressionLabel'):
            scores = np.ones(output.shape[:-1], np.float32)
            if output.shape[-1] == 4:
                scores -= output[..., 2:].mean(-1)
            return output[..., :2] * self.size, scores
        raise ValueError(f'this example does not decode {codec}')


def peaks(heatmaps):
    """Where each heatmap is greatest, and its value there; (-1, -1) where it is 0."""
    flat = heatmaps.reshape(*heatmaps.shape[:-2], -1)
    y, x = np.divmod(flat.argmax(-1), heatmaps.shape[-1])
    scores = flat.max(-1)
    return np.where(scores[..., None] > 0, np.stack([x, y], -1), -1.0), scores


def quarter_pixels(heatmaps, keypoints):
    """A quarter of a pixel from each peak towards its greater neighbour."""
    h, w = heatmaps.shape[-2:]
    x, y = keypoints[..., 0], keypoints[..., 1]
    index = np.ogrid[tuple(slice(n) for n in heatmaps.shape[:-2])]

    def at(dx, dy):
        return heatmaps[(*index, (y + dy).clip(0, h - 1), (x + dx).clip(0, w - 1))]

    dx = np.where((x > 1) & (x < w - 1) & (y > 0), at(1, 0) - at(-1, 0), 0)
    dy = np.where((y > 1) & (y < h - 1) & (x > 0), at(0, 1) - at(0, -1), 0)
    return np.sign(np.stack([dx, dy], axis=-1)) * 0.25


def dark(heatmaps, keypoints, kernel):
    """From each peak to that of the logarithm's second-order expansion (UDP)."""
    shift = np.zeros_like(keypoints)
    for index in np.ndindex(heatmaps.shape[:-2]):
        heatmap = heatmaps[index]
        if heatmap.max() <= 0:
            continue
        blurred = cv2.GaussianBlur(
            heatmap, (kernel, kernel), 0, borderType=cv2.BORDER_CONSTANT
        )
        blurred *= heatmap.max() / blurred.max()
        log = np.pad(np.log(np.clip(blurred, 1e-3, 50)), 1, mode='edge')
        x, y = keypoints[index].astype(int)
        (nw, n, _), (w, c, e), (_, s, se) = log[y : y + 3, x : x + 3]
        gradient = np.array([e - w, s - n]) / 2
        mixed = (se - e - s + 2 * c - w - n + nw) / 2
        hessian = np.array([[e - 2 * c + w, mixed], [mixed, s - 2 * c + n]])
        shift[index] = -np.linalg.solve(
            hessian + np.finfo(np.float32).eps * np.eye(2), gradient
        )
    return shift


def draw(image, keypoints, scores, skeleton, threshold=0.3):
    """The poses of all boxes on the image, one colour for each λ."""
    colors = [(40, 160, 255), (255, 140, 20), (80, 220, 60), (200, 60, 230)]
    image = image.copy()
    for pose, score in zip(keypoints, scores):
        for i in reversed(range(len(pose))):
            for limb in skeleton:
                if min(score[i, limb]) >= threshold:
                    start, end = pose[i, limb].round().astype(int).tolist()
                    cv2.line(image, start, end, colors[i % 4], 2, cv2.LINE_AA)
    return image


def parse_box(text):
    try:
        x0, y0, x1, y1 = (float(value) for value in text.split(','))
    except ValueError:
        x0, y0, x1, y1 = 0, 0, 0, 0
    if x1 <= x0 or y1 <= y0:
        raise argparse.ArgumentTypeError(f'{text!r} is not X0,Y0,X1,Y1')
    return [x0, y0, x1, y1]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('model', metavar='MODEL', help='.onnx')
    parser.add_argument('image', metavar='IMAGE')
    parser.add_argument(
        '--boxes',
        type=parse_box,
        nargs='+',
        metavar='X0,Y0,X1,Y1',
        help='in pixels; the whole image by default',
    )
    parser.add_argument('--lambdas', type=float, nargs='+', metavar='λ')
    parser.add_argument('--draw', metavar='OUT', help='picture to write')
    args = parser.parse_args()
    image = cv2.imread(args.image)
    if image is None:
        sys.exit(f'error: {args.image} cannot be read as an image')
    boxes = args.boxes or [[0, 0, image.shape[1], image.shape[0]]]
    try:
        model = PoseModel(args.model)
        keypoints, scores = model(image, boxes, args.lambdas)
    except Exception as error:  # onnxruntime has many kinds
        sys.exit(f'error: {error}')
    if args.draw:
        cv2.imwrite(args.draw, draw(image, keypoints, scores, model.meta['skeleton']))
    poses = np.concatenate([keypoints, scores[..., None]], axis=-1)
    json.dump(poses.round(3).tolist(), sys.stdout)
    print()


if __name__ == '__main__':
    main()
