"""A MIPNet beside its baseline; ``tools/compare.py`` is the command for it."""

from .cost import measure_cost
from .figures import by_overlap, fewer_boxes
from .report import write_report
from .tested_model import TestedModel

__all__ = ['TestedModel', 'by_overlap', 'fewer_boxes', 'measure_cost', 'write_report']
