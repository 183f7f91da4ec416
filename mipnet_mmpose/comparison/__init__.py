"""A MIPNet beside its baseline; ``tools/compare.py`` is the command for it."""

from .cost import measure_cost
from .crops import differing_people, draw_crops
from .figures import METRICS, check_figures, tabulate, withhold_boxes
from .people import People
from .plots import plot_bins, plot_curves
from .report import write_report
from .tested_model import CompareError, TestedModel, check_comparable, evaluators

__all__ = [
    'METRICS',
    'CompareError',
    'People',
    'TestedModel',
    'check_comparable',
    'check_figures',
    'differing_people',
    'draw_crops',
    'evaluators',
    'measure_cost',
    'plot_bins',
    'plot_curves',
    'tabulate',
    'withhold_boxes',
    'write_report',
]
