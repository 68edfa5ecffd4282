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
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qspx.vpop.outputs import PopulationError
from qspx.vpop.survival import Survival
from qspx.vpop.table_rows import Name, number, output_of, text
from qspx.vpop.targets import AbstractTarget, Bins, Correlation, Mean, MeanSd, Quantiles

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {"group": ("Group", "Arm"), "data": ("Data", "Observable", "Species")}
EDGES = ("Value1", "Value2")  # of outer bins, which may be infinite
NEEDED = {"MEAN": 1, "STD": 1, "MEAN_STD": 2, "QUANTILE": 2, "BIN": 3, "CORR": 1, "SURVIVAL": 2}


class _Row(NamedTuple):
    where: str
    output: str
    kind: str
    values: tuple[float, float, float]  # NaN where empty
    n: float | None
    other: str | None  # output that it is correlated with
    unit: str | None


def targets_from_table(frame: pd.DataFrame, name: Name) -> tuple[AbstractTarget, ...]:
    """Targets, in the order of the table.

    Args:
        frame: columns Group (or Arm), Time, Data (or Observable, Species), Type, Value1, and as far as its types need
            them Value2, Value3, Data2, Time2, Group2; N where the number of people is known; Unit where the numbers
            have one (of a SURVIVAL row, that of the time), to be checked against the outputs'.
        name: `name(group, time, data)` is the output that a row means, or `SKIP` to leave the row out.

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
        time = number(row, "Time", where)
        output = output_of(name, row[group], time, str(row[data]), where)
        if output is None:
            continue
        kind = str(row["Type"]).strip().upper()
        if kind not in NEEDED:
            raise PopulationError(
                f"{where}, column Type: one of {[*NEEDED]} is expected, but `{row['Type']}` was given."
            )
        first, second, third = (number(row, f"Value{i}", where, NEEDED[kind] >= i, EDGES) for i in (1, 2, 3))
        n = number(row, "N", where, needed=False)
        found.append(
            _Row(
                where,
                output,
                kind,
                (first, second, third),
                None if np.isnan(n) else n,
                _other(row, where, name, group),
                text(row, "Unit"),
            )
        )
        if kind == "CORR" and found[-1].other is None:
            raise PopulationError(f"{where}, column Data2: a CORR row names there what it is correlated with.")
    return found


def _other(row: dict, where: str, name: Name, group: str) -> str | None:
    data = row.get("Data2")
    if not isinstance(data, str) or not data.strip():
        return None
    time = number(row, "Time2", where, needed=False)
    second = row.get("Group2")
    named = row[group] if second is None or second != second else second  # NaN where empty
    found = output_of(
        name, named, float(row["Time"]) if np.isnan(time) else time, data.strip(), f"{where}, column Data2"
    )
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


def _unit(rows: list[_Row]) -> str | None:
    found = {r.unit for r in rows}
    if len(found) > 1:
        raise PopulationError(
            f"column Unit: the rows of one target have one unit, but {sorted(map(str, found))} were given."
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
        first, n, unit = by.get("MEAN_STD", by.get("MEAN", rows[0])), _people(rows), _unit(rows)
        mean, second = first.values[:2]
        sd = by["STD"].values[0] if "STD" in by else second if first.kind == "MEAN_STD" else None
        if sd is not None:
            if "STD" in by and n is None and second > 0:
                n = (sd / second) ** 2  # people of whom SD and standard error of the mean speak
            return MeanSd(first.output, mean, sd, n, unit=unit)
        if n is not None and np.isnan(second):
            raise PopulationError(
                f"column N: {n:g} people say how sure a mean is only with their SD; give a STD row (or MEAN_STD), the "
                "standard error in Value2, or no N for a mean that is exact."
            )
        return Mean(first.output, mean, None if np.isnan(second) else second, unit=unit)


def _target(kind: str, rows: list[_Row], moments: dict[str, MeanSd | Mean]) -> AbstractTarget:
    first = rows[0]
    if kind == "MEAN":
        return moments[first.output]
    with _at(rows):
        n, unit, columns = _people(rows), _unit(rows), np.array([r.values for r in rows]).T
        if kind == "QUANTILE":
            return Quantiles(first.output, columns[0], columns[1], n, unit)
        if kind == "BIN":
            if np.any(columns[0][1:] != columns[1][:-1]):
                raise PopulationError("column Value1: every bin starts where the one in the row before ends.")
            return Bins(first.output, [*columns[0], columns[1][-1]], columns[2], n, unit)
        if kind == "SURVIVAL":
            errors = None if np.isnan(columns[2]).all() else columns[2]
            return Survival(first.output, columns[0], columns[1], n if errors is None else None, errors, unit=unit)
        pair = (first.output, str(first.other))
        if pair[0] == pair[1]:
            raise PopulationError(f"column Data2: `{pair[0]}` cannot be correlated with itself.")
        known = [moments.get(p) for p in pair]
        if len(rows) > 1 or not all(isinstance(m, MeanSd) for m in known):
            raise PopulationError(f"a correlation needs one CORR row, and mean and SD of both {pair} in the table.")
        one, two = (m for m in known if isinstance(m, MeanSd))
        return Correlation(pair, float(columns[0][0]), (one.mean, two.mean), (one.sd, two.sd), n)
