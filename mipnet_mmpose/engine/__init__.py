from .hold_primary_hook import HoldPrimaryHook
from .mipnet_check_hook import MIPNetCheckHook

__all__ = ['HoldPrimaryHook', 'MIPNetCheckHook']
