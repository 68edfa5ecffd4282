"""Acceptance tables, as gQSPSim has them: one row per bound of a group, time and kind of data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qspx.vpop.outputs import PopulationError
from qspx.vpop.table_rows import Name, number, output_of, text

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("Group", "Time", "Data", "LB", "UB")


def read_bounds(
    frame: pd.DataFrame, name: Name
) -> tuple[dict[str, tuple[float, float]], dict[str, str], tuple[str, ...]]:
    """Bounds by output, their units where the table says them, and the rows that are left out. Raises `PopulationError`
    naming row and column."""
    if missing := set(COLUMNS) - set(frame.columns):
        raise PopulationError(f"the acceptance table lacks the columns {sorted(missing)}; it has {[*frame.columns]}.")
    bounds: dict[str, tuple[float, float]] = {}
    rows: dict[str, list[str]] = {}  # that bound an output
    units: dict[str, str | None] = {}
    left_out = []
    for k, row in enumerate(frame.to_dict("records"), start=1):
        where = f"row {k} (Group {row['Group']}, Time {row['Time']}, Data {row['Data']})"
        output = output_of(name, row["Group"], number(row, "Time", where), str(row["Data"]), where)
        if output is None:
            left_out.append(where)
            continue
        low, high = (number(row, c, where, needed=False, infinite=("LB", "UB")) for c in ("LB", "UB"))
        low, high = -np.inf if np.isnan(low) else low, np.inf if np.isnan(high) else high
        said = text(row, "Unit")
        if units.setdefault(output, said) != said:
            raise PopulationError(
                f"{where}, column Unit: the bounds of `{output}` are in {units[output]} in {rows[output][0]}, but in "
                f"{said} here."
            )
        rows.setdefault(output, []).append(f"{where} with {low:g} to {high:g}")
        before = bounds.get(output, (-np.inf, np.inf))
        bounds[output] = (max(before[0], low), min(before[1], high))
        if not bounds[output][0] < bounds[output][1]:
            raise PopulationError(
                f"no value of `{output}` is between the bounds (columns LB, UB) of {' and '.join(rows[output])}."
            )
    return bounds, {k: u for k, u in units.items() if u is not None}, tuple(left_out)
