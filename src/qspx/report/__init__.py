"""The dose-rationale report: a list of blocks, its figures and tables, and the writer that makes one file of it."""

from __future__ import annotations

from .blocks import Callout, Heading, Items, ReportError, text
from .courses import Course
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
    "population_report",
    "text",
    "write_report",
]
