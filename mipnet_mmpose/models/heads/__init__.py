from .mipnet_head import MIPNetHead

__all__ = ['MIPNetHead']
