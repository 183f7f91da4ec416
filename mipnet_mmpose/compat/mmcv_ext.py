"""Stand-in for ``mmcv._ext``, mmcv's compiled ops, on mmcv-lite.

Signatures are those with which ``mmcv.ops`` calls its extension. ``nms`` and average
``roi_align`` run through torchvision. Every other op can be looked up, or ``mmcv.ops``,
which MMPose and mmdet import whole, would not import; it raises when it is called.
"""

import torch
from torchvision import ops


def _missing(op_name):
    def raise_missing(*args, **kwargs):
        raise NotImplementedError(
            f'mmcv op "{op_name}" is compiled code, and only mmcv-lite is installed. '
            'Install full mmcv: pip uninstall mmcv-lite, then mim install mmcv'
        )

    return raise_missing


def __getattr__(name):
    if name.startswith('__'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return _missing(name)


def nms(boxes, scores, iou_threshold, offset):
    """Indices of the boxes kept, best first, of (N, 4) corners and (N,) scores.

    A width is ``x2 - x1 + offset`` pixels.
    """
    # torchvision wants one floating type for both, and no half on CPU
    dtype = torch.promote_types(boxes.dtype, scores.dtype)
    dtype = torch.promote_types(dtype, torch.float32)
    boxes = boxes.to(dtype)
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return ops.nms(boxes, scores.to(dtype), iou_threshold)


def roi_align_forward(input, rois, output, argmax_y, argmax_x, **options):
    """Write average RoIAlign of ``input`` (B, C, H, W) into ``output`` (R, C, h, w)."""
    if options.pop('pool_mode') == 0:
        _missing('roi_align (pool_mode="max")')()
    size = options.pop('aligned_height'), options.pop('aligned_width')
    output.copy_(ops.roi_align(input, rois.to(input.dtype), size, **options))
