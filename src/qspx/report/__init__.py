"""The dose-rationale report: a list of blocks, its figures and tables, and the writer that makes one file of it."""

from __future__ import annotations

from .blocks import Callout, Heading, Items, ReportError, text
from .courses import Course
from .effect_figures import local_figure, morris_figure, rank_figure, sobol_figure
from .html import write_report
from .populations import population_report
from .sections import axes_figure, calibration, frame_table

__all__ = [
    "Callout",
    "Course",
    "Heading",
    "Items",
    "ReportError",
    "axes_figure",
    "calibration",
    "frame_table",
    "local_figure",
    "morris_figure",
    "population_report",
    "rank_figure",
    "sobol_figure",
    "text",
    "write_report",
]
