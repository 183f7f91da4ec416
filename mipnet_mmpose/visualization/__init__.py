from .draw_poses import COLORS, draw_poses

__all__ = ['COLORS', 'draw_poses']
