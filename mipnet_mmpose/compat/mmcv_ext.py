"""Stand-in for ``mmcv._ext``, mmcv's compiled ops, on mmcv-lite.

Signatures are those with which ``mmcv.ops`` calls its extension. ``nms`` and
average ``roi_align`` run through torchvision, every other op can be looked up (so
that ``mmcv.ops`` imports and its modules register) and raises when it is called.

So another package's ``try: from mmcv.ops import X`` succeeds for an op that cannot
run. It cannot be otherwise: ``mmcv.ops`` imports all of its modules at once, and each
asserts that the extension has its ops; MMPose and mmdet import ``mmcv.ops``.
"""

import torch
from torchvision import ops

_NO_COMPILER = 'not available (mmcv-lite)'


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
    return _NO_COMPILER


def get_compiling_cuda_version():
    """Answer for ``mmcv.utils.collect_env``."""
    return _NO_COMPILER


def nms(boxes, scores, iou_threshold, offset):
    """Non-maximum suppression.

    Args:
        boxes (Tensor): shape (N, 4), x1, y1, x2, y2 in pixels.
        scores (Tensor): shape (N, ).
        iou_threshold (float): A box is dropped where its IoU with a better one
            is higher.
        offset (int): 0 or 1. Width is ``x2 - x1 + offset``.

    Returns:
        Tensor: Indices of the kept boxes, best first.
    """
    # torchvision wants one floating type for both, and no half on CPU.
    dtype = torch.promote_types(boxes.dtype, scores.dtype)
    dtype = torch.promote_types(dtype, torch.float32)
    boxes = boxes.to(dtype)
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return ops.nms(boxes, scores.to(dtype), iou_threshold)


def roi_align_forward(
    input,
    rois,
    output,
    argmax_y,
    argmax_x,
    aligned_height,
    aligned_width,
    spatial_scale,
    sampling_ratio,
    pool_mode,
    aligned,
):
    """Write average RoIAlign of ``input`` into ``output``.

    Args:
        input (Tensor): shape (B, C, H, W).
        rois (Tensor): shape (R, 5), image index, x1, y1, x2, y2 in pixels.
        output (Tensor): shape (R, C, aligned_height, aligned_width).
        argmax_y (Tensor): Unused, for max pooling alone. So is ``argmax_x``.
        pool_mode (int): 1 for average; 0, max, is not supported.
    """
    if pool_mode == 0:
        _missing('roi_align (pool_mode="max")')()
    size = (aligned_height, aligned_width)
    rois = rois.to(input.dtype)
    output.copy_(
        ops.roi_align(input, rois, size, spatial_scale, sampling_ratio, aligned)
    )


def roi_align_backward(
    grad_output,
    rois,
    argmax_y,
    argmax_x,
    grad_input,
    aligned_height,
    aligned_width,
    spatial_scale,
    sampling_ratio,
    pool_mode,
    aligned,
):
    """Write the gradient of :func:`roi_align_forward` into ``grad_input``."""
    size = (aligned_height, aligned_width)
    rois = rois.to(grad_output.dtype)
    # RoIAlign is linear in its input: any input has the same gradient.
    with torch.enable_grad():
        input = torch.zeros_like(grad_input, requires_grad=True)
        output = ops.roi_align(
            input, rois, size, spatial_scale, sampling_ratio, aligned
        )
    grad_input.copy_(torch.autograd.grad(output, input, grad_output)[0])
