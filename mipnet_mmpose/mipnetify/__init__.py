"""A stock top-down config becomes a MIPNet."""

from .changes import check_topdown, crop_size, mipnet_changes, mipnetify
from .config_text import apply_changes, config_text
from .places import MIMB_PLACES, default_places, parse_place

__all__ = ['MIMB_PLACES', 'apply_changes', 'check_topdown', 'config_text', 'crop_size']
__all__ += ['default_places', 'mipnet_changes', 'mipnetify', 'parse_place']
