from .mimb_neck import MIMBNeck

__all__ = ['MIMBNeck']
