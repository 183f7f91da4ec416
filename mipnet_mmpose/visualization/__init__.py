from .draw_poses import COLORS, draw_poses
from .multi_instance_visualizer import MultiInstanceVisualizer

__all__ = ['COLORS', 'MultiInstanceVisualizer', 'draw_poses']
