from .mipnet_check_hook import MIPNetCheckHook

__all__ = ['MIPNetCheckHook']
