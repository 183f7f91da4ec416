from .backbones import MIMBBackbone
from .heads import MIPNetHead
from .lambdas import use_lambdas
from .losses import MultiInstanceLoss
from .mimb import MIMB, encode_lambdas, fold, unfold
from .necks import MIMBNeck

__all__ = [
    'MIMB',
    'MIMBBackbone',
    'MIMBNeck',
    'MIPNetHead',
    'MultiInstanceLoss',
    'encode_lambdas',
    'fold',
    'unfold',
    'use_lambdas',
]
