"""A MIPNet beside its baseline; ``tools/compare.py`` is the command for it."""

from .compare_models import compare_models
from .figures import METRICS
from .people import People
from .tested_model import CompareError, TestedModel

__all__ = ['METRICS', 'CompareError', 'People', 'TestedModel', 'compare_models']
