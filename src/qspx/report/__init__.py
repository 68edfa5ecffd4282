"""The dose-rationale report: a list of blocks, its figures and tables, and the writer that makes one file of it."""

from __future__ import annotations

from .blocks import ReportError
from .html import write_report

__all__ = ["ReportError", "write_report"]
