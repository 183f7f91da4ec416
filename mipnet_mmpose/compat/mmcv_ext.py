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

    raise_missing.__name__ = op_name
    return raise_missing


def __getattr__(name):
    if name.startswith('__'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return _missing(name)


def get_compiler_version():
    """Answer for ``mmcv.utils.collect_env``."""
    return 'not available (mmcv-lite)'


get_compiling_cuda_version = get_compiler_version


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
    output.copy_(_roi_align(input, rois, **options))


def roi_align_backward(grad_output, rois, argmax_y, argmax_x, grad_input, **options):
    """Write the gradient of :func:`roi_align_forward` into ``grad_input``."""
    # RoIAlign is linear in its input: any input has the same gradient
    with torch.enable_grad():
        input = torch.zeros_like(grad_input, requires_grad=True)
        output = _roi_align(input, rois, **options)
    grad_input.copy_(torch.autograd.grad(output, input, grad_output)[0])


def _roi_align(input, rois, pool_mode, aligned_height, aligned_width, **options):
    if pool_mode == 0:
        _missing('roi_align (pool_mode="max")')()
    size = (aligned_height, aligned_width)
    return ops.roi_align(input, rois.to(input.dtype), size, **options)
