"""How crowded a picture is."""

import numpy as np


def crowd_index(annotations):
    """CrowdPose's measure of crowding (Li et al., CVPR 2019, Sec. 4).

    The mean over the persons with labelled joints of the number of other people's
    joints in the person's box over the number of its own joints, at most 1.
    """
    ratios = []
    joints = [np.reshape(a['keypoints'], (-1, 3)) for a in annotations]
    for number, annotation in enumerate(annotations):
        x, y, w, h = annotation['bbox']
        inside = [
            int(((j[:, 2] > 0) & (j[:, 0] >= x) & (j[:, 0] <= x + w)
                 & (j[:, 1] >= y) & (j[:, 1] <= y + h)).sum())
            for j in joints
        ]  # fmt: skip
        own = int((joints[number][:, 2] > 0).sum())
        if own:
            ratios.append((sum(inside) - inside[number]) / own)
    return float(min(np.mean(ratios), 1.0)) if ratios else 0.0
