"""Poses for the boxes of an image, from a file that `mipnet export_onnx` wrote.

Needs numpy, opencv-python and onnxruntime, but neither PyTorch nor MMPose: take it as a
starting point for your own code. There is no flip test and no OKS-NMS. Prints JSON: for
each box, for each lambda, the keypoints as [x, y, score] in pixels of the image.
"""

import argparse
import json
import sys


def parse_args():
    parser = argparse.ArgumentParser(
        prog='mipnet run_onnx',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('model', metavar='MODEL', help='.onnx')
    add('image', metavar='IMAGE')
    box = 'left, top, right, bottom in pixels; once or more (default: all)'
    names = ('L', 'T', 'R', 'B')
    add('--bbox', type=float, nargs=4, action='append', metavar=names, help=box)
    add('--lambdas', type=float, nargs='+', metavar='λ')
    add('--draw', metavar='OUT', help='picture to write')
    args = parser.parse_args()
    if any(x >= r or y >= b for x, y, r, b in args.bbox or ()):
        parser.error('--bbox is left, top, right, bottom')
    return args


if __name__ == '__main__':
    ARGS = parse_args()  # before what takes a second to import

import cv2  # noqa: E402
import numpy as np  # noqa: E402

COLORS = [(40, 160, 255), (255, 140, 20), (80, 220, 60), (200, 60, 230)]  # of λ = 0 ...


class PoseModel:
    """The exported network, and what comes before and after it.

    Args:
        path (str): file of `mipnet export_onnx`; ``meta`` is what it says of itself.
    """

    def __init__(self, path):
        import onnxruntime

        providers = ['CPUExecutionProvider']
        self.session = onnxruntime.InferenceSession(path, providers=providers)
        meta = self.session.get_modelmeta().custom_metadata_map
        if 'input_size' not in meta:
            raise ValueError(f'{path} was not written by mipnet export_onnx')
        self.meta = {key: json.loads(value) for key, value in meta.items()}
        self.size = np.array(self.meta['input_size'])
        self.takes_lambdas = len(self.session.get_inputs()) == 2

    def __call__(self, image, boxes, lambdas=None):
        """Poses of B boxes for L values of λ.

        Args:
            image (np.ndarray): BGR uint8, (H, W, 3).
            boxes (np.ndarray): left, top, right, bottom in pixels, (B, 4).
            lambdas (Sequence[float], optional): values in 0 ... N-1. Defaults to
                those that the file names.

        Returns:
            tuple: keypoints (B, L, K, 2) in pixels of the image, scores (B, L, K),
            times the presence of each person where the file gives it.
        """
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        # padded boxes of the network's aspect
        scale = (boxes[:, 2:] - boxes[:, :2]) * self.meta['padding']
        width = np.maximum(scale[:, 0], scale[:, 1] * self.size[0] / self.size[1])
        scale = width[:, None] * self.size / self.size[0]
        corner = (boxes[:, :2] + boxes[:, 2:] - scale) / 2
        crops = [self.crop(image, *area) for area in zip(corner, scale)]
        feed = {'images': np.stack(crops)}
        last = self.meta['num_instances'] - 1
        lambdas = self.meta['lambdas'] if lambdas is None else lambdas
        if self.takes_lambdas:
            if not 0 <= min(lambdas) <= max(lambdas) <= last:
                raise ValueError(f'lambdas must be in 0 ... {last}, got {lambdas}')
            feed['lambdas'] = np.array(lambdas, np.float32)
        elif np.float32(lambdas).tolist() != self.meta['lambdas']:
            raise ValueError(f'the file holds the lambdas {self.meta["lambdas"]}')
        keypoints, scores = self.decode(*self.session.run(None, feed))
        if self.meta['presence']:
            scores *= self.presence(keypoints, scores, np.array(lambdas))
        scale, corner = scale[:, None, None], corner[:, None, None]
        return keypoints / self.size * scale + corner, scores

    def crop(self, image, corner, scale):
        """The normalised crop, (3, h, w)."""
        zoom = (self.size - self.meta['use_udp']) / scale
        matrix = np.c_[np.diag(zoom), -zoom * corner]
        crop = cv2.warpAffine(image, matrix, self.size.tolist(), flags=cv2.INTER_LINEAR)
        crop = crop[..., ::-1] if self.meta['color'] == 'RGB' else crop
        crop = (crop - np.float32(self.meta['mean'])) / np.float32(self.meta['std'])
        return crop.transpose(2, 0, 1)

    def presence(self, keypoints, scores, lambdas):
        """Whether there is such a person (B, L, 1), as Presence.predict has it."""
        square = ((keypoints - keypoints[:, [lambdas.argmin()]]) ** 2).sum(-1)
        area = self.size.prod() / 1.25**2  # of a box whose sides are a 1.25th
        alike = np.exp(-square / (8 * 0.067**2 * area)).mean(-1)
        weights = self.meta['presence']
        logits = weights['score'] * scores.mean(-1) + weights['oks'] * alike
        logits += weights['bias']
        return np.where(lambdas > 0, 1 / (1 + np.exp(-logits)), 1)[..., None]

    def decode(self, output, simcc_y=None):
        """Keypoints in pixels of the crop (B, L, K, 2), scores (B, L, K)."""
        codec = self.meta['codec']
        name = codec['type'].split('.')[-1]
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
        udp = name == 'UDPHeatmap'
        if not udp and name != 'MSRAHeatmap' or codec.get('heatmap_type') == 'combined':
            raise ValueError(f'this example does not decode {codec}')
        peaks = output.reshape(*output.shape[:-2], -1).argmax(-1)
        y, x = np.divmod(peaks, output.shape[-1])
        scores = output.max((-2, -1))
        keypoints = np.where(scores[..., None] > 0, np.stack([x, y], -1), -1.0)
        dark = udp or codec.get('unbiased')
        kernel = codec.get('blur_kernel_size', 11) if dark else 0
        for index in zip(*np.nonzero(scores > 0)):
            keypoints[index] += refine(output[index], keypoints[index], kernel, udp)
        return keypoints / (np.array(output.shape[:-3:-1]) - udp) * self.size, scores


def refine(heatmap, peak, kernel, udp):
    """From the peak of a heatmap (H, W) to the keypoint between pixels.

    A quarter of a pixel to the greater neighbour; with a kernel to the peak of the
    second-order expansion of the blurred heatmap's logarithm (DARK), as UDP has it or
    not.
    """
    (h, w), (x, y) = heatmap.shape, peak.astype(int)
    if not kernel:
        dx = heatmap[y, x + 1] - heatmap[y, x - 1] if 1 < x < w - 1 and 0 < y else 0
        dy = heatmap[y + 1, x] - heatmap[y - 1, x] if 1 < y < h - 1 and 0 < x else 0
        return np.sign([dx, dy]) * 0.25
    if not udp and not (1 < x < w - 2 and 1 < y < h - 2):
        return 0
    log = cv2.GaussianBlur(heatmap, (kernel, kernel), 0, borderType=cv2.BORDER_CONSTANT)
    limits = (1e-3, 50) if udp else (1e-10, None)
    log = (log * heatmap.max() / log.max()).clip(*limits)
    p = np.pad(np.log(log), 2, mode='edge')[y : y + 5, x : x + 5]
    gradient = np.array([p[2, 3] - p[2, 1], p[3, 2] - p[1, 2]]) / 2
    far = 1 if udp else 2
    dxx = (p[2, 2 + far] - 2 * p[2, 2] + p[2, 2 - far]) / far**2
    dyy = (p[2 + far, 2] - 2 * p[2, 2] + p[2 - far, 2]) / far**2
    dxy = (p[3, 3] - p[1, 3] - p[3, 1] + p[1, 1]) / 4
    if udp:
        cross = p[2, 3] + p[3, 2] + p[2, 1] + p[1, 2] - 2 * p[2, 2]
        dxy = (p[3, 3] + p[1, 1] - cross) / 2
    hessian = np.array([[dxx, dxy], [dxy, dyy]]) + np.finfo(np.float32).eps * np.eye(2)
    return -np.linalg.solve(hessian, gradient)


def draw(image, keypoints, scores, lambdas, skeleton, threshold=0.3):
    """The poses of all boxes on the image, a colour for each λ."""
    image = image.copy()
    for pose, score in zip(keypoints, scores):
        for i in reversed(range(len(pose))):
            for limb in skeleton:
                if min(score[i, limb]) >= threshold:
                    start, end = pose[i, limb].round().astype(int).tolist()
                    color = COLORS[round(lambdas[i]) % len(COLORS)]
                    cv2.line(image, start, end, color, 2, cv2.LINE_AA)
    return image


def main(args):
    image = cv2.imread(args.image)
    if image is None:
        sys.exit(f'error: {args.image} cannot be read as an image')
    boxes = args.bbox or [[0, 0, image.shape[1], image.shape[0]]]
    try:
        model = PoseModel(args.model)
        keypoints, scores = model(image, boxes, args.lambdas)
    except KeyboardInterrupt:
        sys.exit('interrupted')
    except Exception as error:  # onnxruntime has many kinds
        sys.exit(f'error: {error}')
    if args.draw:
        if not cv2.haveImageWriter(args.draw):
            sys.exit(f'error: --draw {args.draw} has no suffix of a picture')
        lambdas = args.lambdas or model.meta['lambdas']
        drawn = draw(image, keypoints, scores, lambdas, model.meta['skeleton'])
        if not cv2.imwrite(args.draw, drawn):
            sys.exit(f'error: {args.draw} cannot be written')
    poses = np.concatenate([keypoints, scores[..., None]], axis=-1)
    print(json.dumps(poses.round(3).tolist()))


if __name__ == '__main__':
    main(ARGS)
