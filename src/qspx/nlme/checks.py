"""Arguments of population fits that are of the wrong type."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from qspx._checks import mapping, require_kind, shown
from qspx._errors import CalibrationError


def of_kind(value: Any, kind: type, argument: str, fix: str = "") -> None:
    """Raise `CalibrationError` unless `value` is of this class; `fix` is a sentence that says what to write instead."""
    require_kind(value, kind, argument, fix, CalibrationError)


def sequence_of(values: Any, kind: type, argument: str, example: str) -> tuple[Any, ...]:
    """A sequence of objects of one class as a tuple. Raises `CalibrationError` for anything else."""
    fix = f"Write a sequence of them, as in [{example}]."
    if isinstance(values, str | Mapping | kind) or not isinstance(values, Iterable):
        raise CalibrationError(f"Argument `{argument}` must be a sequence, but {shown(values)} was given. {fix}")
    found = tuple(values)
    for each in found:
        of_kind(each, kind, argument, fix)
    return found


def mapping_of(values: Any, kind: type, argument: str, example: str) -> Mapping[str, Any]:
    """A mapping from names to objects of one class. Raises `CalibrationError` for anything else."""
    for name, each in mapping(values, argument, CalibrationError, example).items():
        of_kind(each, kind, f"{argument}` for `{name}", f"For example {example}.")
    return values


def whole(value: Any, least: int, argument: str) -> None:
    """Raise `CalibrationError` unless it is a whole number that is large enough."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise CalibrationError(
            f"Argument `{argument}` must be a whole number >= {least}, but {shown(value)} was given."
        )


def positive(value: Any, argument: str) -> None:
    """Raise `CalibrationError` unless it is a finite number > 0."""
    real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (real and math.isfinite(value) and value > 0):
        raise CalibrationError(f"Argument `{argument}` must be a number > 0, but {shown(value)} was given.")


def number_or_name(value: Any, argument: str) -> None:
    """Raise `CalibrationError` unless it is a finite number or a name."""
    real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (isinstance(value, str) or (real and math.isfinite(value))):
        raise CalibrationError(
            f"Argument `{argument}` must be a number, or the name of one that is estimated, but {shown(value)} was "
            "given."
        )
