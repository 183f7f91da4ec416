"""How crowded an image is, by CrowdPose's index.

The function stands in ``synthcrowd``: that package may import nothing of ours, and
writes the index into its annotations.
"""

from ..synthcrowd.crowding import crowd_index

__all__ = ['crowd_index']
