"""Targets from a table, one row per number that is known of people.

| Type | Value1 | Value2 | Value3 |
| --- | --- | --- | --- |
| MEAN | mean | its standard error, if known | |
| STD | standard deviation, beside a MEAN row of the same output | | |
| MEAN_STD | mean | standard deviation | |
| QUANTILE | level, between 0 and 1 | value | |
| BIN | lower edge | upper edge | share |
| CORR | correlation with the output in Data2 (at Time2, in Group2; default: the same), both with mean and SD | | |
| SURVIVAL | time | share without the event beyond it | its standard error, if known |

Rows of one output and type make one target. The table of gQSPSim (Group, Time, Species, Type, Value1, Value2) is read
as it is; there, a MEAN_STD row matches E[(x - mean)²] alone, here mean and SD both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from qspx.vpop.outputs import PopulationError
from qspx.vpop.survival import Survival
from qspx.vpop.targets import AbstractTarget, Bins, Correlation, Mean, MeanSd, Quantiles

if TYPE_CHECKING:
    import pandas as pd

Name: TypeAlias = Callable[[Any, float, str], str | None]
COLUMNS = {"group": ("Group", "Arm"), "data": ("Data", "Observable", "Species")}
NEEDED = {"MEAN": 1, "STD": 1, "MEAN_STD": 2, "QUANTILE": 2, "BIN": 3, "CORR": 1, "SURVIVAL": 2}


class _Row(NamedTuple):
    where: str
    output: str
    kind: str
    values: tuple[float, float, float]  # NaN where empty
    n: float | None
    other: str | None  # output that it is correlated with


def targets_from_table(frame: pd.DataFrame, name: Name) -> tuple[AbstractTarget, ...]:
    """Targets, in the order of the table.

    Args:
        frame: columns Group (or Arm), Time, Data (or Observable, Species), Type, Value1, and as far as its types need
            them Value2, Value3, Data2, Time2, Group2; N where the number of people is known.
        name: `name(group, time, data)` is the output that a row means; None leaves the row out.

    Raises:
        PopulationError: naming row (the first is 1) and column.
    """
    rows = _rows(frame, name)
    parts: dict[tuple[str, str], list[_Row]] = {}
    for row in rows:
        kind = "MEAN" if row.kind in ("STD", "MEAN_STD") else row.kind
        parts.setdefault((kind, f"{row.output} {row.other or ''}"), []).append(row)
    moments = {some[0].output: _moments(some) for (kind, _), some in parts.items() if kind == "MEAN"}
    return tuple(_target(kind, some, moments) for (kind, _), some in parts.items())


def _column(frame: pd.DataFrame, what: str) -> str:
    found = [c for c in COLUMNS[what] if c in frame.columns]
    if not found:
        raise PopulationError(
            f"the table of targets needs a column {' or '.join(COLUMNS[what])}; it has {[*frame.columns]}."
        )
    return found[0]


def _rows(frame: pd.DataFrame, name: Name) -> list[_Row]:
    group, data = _column(frame, "group"), _column(frame, "data")
    if missing := {"Time", "Type", "Value1"} - set(frame.columns):
        raise PopulationError(f"the table of targets lacks the columns {sorted(missing)}; it has {[*frame.columns]}.")
    found = []
    for k, row in enumerate(frame.to_dict("records"), start=1):
        where = f"row {k} ({group} {row[group]}, Time {row['Time']}, {data} {row[data]})"
        time = _number(row, "Time", where)
        output = name(row[group], time, str(row[data]))
        if output is None:
            continue
        kind = str(row["Type"]).strip().upper()
        if kind not in NEEDED:
            raise PopulationError(
                f"{where}, column Type: one of {[*NEEDED]} is expected, but `{row['Type']}` was given."
            )
        first, second, third = (_number(row, f"Value{i}", where, NEEDED[kind] >= i) for i in (1, 2, 3))
        n = _number(row, "N", where, needed=False)
        found.append(
            _Row(
                where, output, kind, (first, second, third), None if np.isnan(n) else n, _other(row, where, name, group)
            )
        )
        if kind == "CORR" and found[-1].other is None:
            raise PopulationError(f"{where}, column Data2: a CORR row names there what it is correlated with.")
    return found


def _number(row: dict, column: str, where: str, needed: bool = True) -> float:
    """NaN where there is nothing, which is an error if the number is needed."""
    value = row.get(column)
    empty = (
        value is None
        or (isinstance(value, float) and np.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )
    if empty and not needed:
        return np.nan
    try:
        found = np.nan if empty else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = np.nan
    if not np.isfinite(found) and not (column in ("Value1", "Value2") and np.isinf(found)):  # edges of outer bins
        raise PopulationError(f"{where}, column {column}: a number is expected, but {value!r} was given.")
    return found


def _other(row: dict, where: str, name: Name, group: str) -> str | None:
    data = row.get("Data2")
    if not isinstance(data, str) or not data.strip():
        return None
    time = _number(row, "Time2", where, needed=False)
    second = row.get("Group2")
    named = row[group] if second is None or second != second else second  # NaN where empty
    found = name(named, float(row["Time"]) if np.isnan(time) else time, data.strip())
    if found is None:
        raise PopulationError(f"{where}, column Data2: `name` leaves out `{data}`, which the row is correlated with.")
    return found


@contextlib.contextmanager
def _at(rows: list[_Row]) -> Iterator[None]:
    """Says which rows an error is of."""
    try:
        yield
    except PopulationError as error:
        raise PopulationError(
            f"{rows[0].where}{' and others of the target' if len(rows) > 1 else ''}: {error}"
        ) from None


def _people(rows: list[_Row]) -> float | None:
    found = {r.n for r in rows}
    if len(found) > 1:
        raise PopulationError(
            f"column N: the rows of one target have one number of people, but {len(found)} were given."
        )
    return found.pop()


def _moments(rows: list[_Row]) -> MeanSd | Mean:
    with _at(rows):
        kinds = [r.kind for r in rows]
        if sorted(kinds) not in (["MEAN"], ["MEAN_STD"], ["MEAN", "STD"]):
            raise PopulationError(
                "column Type: an output has one MEAN_STD row, or one MEAN row and one STD row or none, but has "
                f"{' and '.join(kinds)}."
            )
        by = {r.kind: r for r in rows}
        first, n = by.get("MEAN_STD", by.get("MEAN", rows[0])), _people(rows)
        mean, second = first.values[:2]
        sd = by["STD"].values[0] if "STD" in by else second if first.kind == "MEAN_STD" else None
        if sd is not None:
            if "STD" in by and n is None and second > 0:
                n = (sd / second) ** 2  # people of whom SD and standard error of the mean speak
            return MeanSd(first.output, mean, sd, n)
        return Mean(first.output, mean, None if np.isnan(second) else second)


def _target(kind: str, rows: list[_Row], moments: dict[str, MeanSd | Mean]) -> AbstractTarget:
    first = rows[0]
    if kind == "MEAN":
        return moments[first.output]
    with _at(rows):
        n, columns = _people(rows), np.array([r.values for r in rows]).T
        if kind == "QUANTILE":
            return Quantiles(first.output, columns[0], columns[1], n)
        if kind == "BIN":
            if np.any(columns[0][1:] != columns[1][:-1]):
                raise PopulationError("column Value1: every bin starts where the one in the row before ends.")
            return Bins(first.output, [*columns[0], columns[1][-1]], columns[2], n)
        if kind == "SURVIVAL":
            errors = None if np.isnan(columns[2]).all() else columns[2]
            return Survival(first.output, columns[0], columns[1], n if errors is None else None, errors)
        pair = (first.output, str(first.other))
        if pair[0] == pair[1]:
            raise PopulationError(f"column Data2: `{pair[0]}` cannot be correlated with itself.")
        known = [moments.get(p) for p in pair]
        if len(rows) > 1 or not all(isinstance(m, MeanSd) for m in known):
            raise PopulationError(f"a correlation needs one CORR row, and mean and SD of both {pair} in the table.")
        one, two = (m for m in known if isinstance(m, MeanSd))
        return Correlation(pair, float(columns[0][0]), (one.mean, two.mean), (one.sd, two.sd), n)
