"""Reading tables of targets and bounds row by row, so that a mistake is placed."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from qspx.vpop.outputs import PopulationError


class Skip(enum.Enum):
    """What `name` says of a row that is left out on purpose."""

    SKIP = "skip"


SKIP: Final = Skip.SKIP
Name: TypeAlias = Callable[[Any, float, str], str | Skip | None]


def output_of(name: Name, group: Any, time: float, data: str, where: str) -> str | None:
    """The output that `name` gives a row, None for one that is left out. Raises `PopulationError` where `name` gives
    None: a row that a lookup does not know is more often a misspelling than of no use."""
    found = name(group, time, data)
    if found is SKIP:
        return None
    if not isinstance(found, str):
        raise PopulationError(
            f"{where}: `name({group!r}, {time:g}, {data!r})` must return the output that the row means, but returned "
            f"{found!r}. Return `qspx.vpop.SKIP` for a row that is to be left out."
        )
    return found


def is_empty(value: Any) -> bool:
    """Whether a cell holds nothing."""
    return (
        value is None
        or (isinstance(value, float) and bool(np.isnan(value)))
        or (isinstance(value, str) and not value.strip())
    )


def number(
    row: Mapping[str, Any], column: str, where: str, needed: bool = True, infinite: Collection[str] = ()
) -> float:
    """The number in a cell; NaN where there is nothing, which is an error if the number is needed. Columns that may
    hold an infinite one are `infinite`. Raises `PopulationError` with row and column."""
    value = row.get(column)
    if is_empty(value) and not needed:
        return np.nan
    try:
        found = np.nan if is_empty(value) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = np.nan
    if not np.isfinite(found) and not (column in infinite and np.isinf(found)):
        raise PopulationError(f"{where}, column {column}: a number is expected, but {value!r} was given.")
    return found


def text(row: Mapping[str, Any], column: str) -> str | None:
    """What a cell says; None where there is nothing."""
    value = row.get(column)
    return None if is_empty(value) else str(value).strip()
