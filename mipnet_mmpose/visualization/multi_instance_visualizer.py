import numpy as np
from mmengine.structures import InstanceData
from mmpose.registry import VISUALIZERS
from mmpose.visualization import PoseLocalVisualizer

from .draw_poses import COLORS, draw_poses


@VISUALIZERS.register_module()
class MultiInstanceVisualizer(PoseLocalVisualizer):
    """``PoseLocalVisualizer`` for overlapping people.

    One colour a person instead of one a body part, λ over the head, keypoints
    below ``kpt_thr`` hollow instead of left out. With
    ``skeleton_style='openpose'`` it draws what the stock visualizer draws.

    Args:
        *args, **kwargs: As for ``PoseLocalVisualizer``; ``kpt_color`` and
            ``link_color`` are not used.
    """

    def _draw_instances_kpts(
        self,
        image: np.ndarray,
        instances: InstanceData,
        kpt_thr: float = 0.3,
        show_kpt_idx: bool = False,
        skeleton_style: str = 'mmpose',
    ) -> np.ndarray:
        if skeleton_style != 'mmpose' or 'keypoints' not in instances:
            return super()._draw_instances_kpts(
                image, instances, kpt_thr, show_kpt_idx, skeleton_style
            )
        keypoints = instances.get('transformed_keypoints', instances.keypoints)
        drawing = draw_poses(
            image.astype(np.uint8),
            np.asarray(keypoints)[..., :2],
            instances.get('keypoints_visible', instances.get('keypoint_scores')),
            self.skeleton or (),
            [color[::-1] for color in COLORS],  # RGB
            kpt_thr,
            int(self.line_width),
            instances.get('lambdas'),
            int(self.radius),
        )
        self.set_image(drawing)
        return self.get_image()
