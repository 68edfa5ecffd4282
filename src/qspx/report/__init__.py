"""The dose-rationale report: a list of blocks, its figures and tables, and the writer that makes one file of it."""

from __future__ import annotations

from .blocks import Callout, Heading, Items, ReportError, text
from .html import write_report
from .sections import axes_figure, calibration, frame_table

__all__ = [
    "Callout",
    "Heading",
    "Items",
    "ReportError",
    "axes_figure",
    "calibration",
    "frame_table",
    "text",
    "write_report",
]
