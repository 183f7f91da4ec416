from .mimb_backbone import MIMBBackbone

__all__ = ['MIMBBackbone']
