from .draw_poses import COLORS, draw_poses
from .grid import add_titles, picture_grid, write_title
from .multi_instance_visualizer import MultiInstanceVisualizer

__all__ = [
    'COLORS',
    'MultiInstanceVisualizer',
    'add_titles',
    'draw_poses',
    'picture_grid',
    'write_title',
]
