"""Results as plain text for a terminal, and single solutions as files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx.cohort_result import CohortResult
from qspx.fih import DoseRationale
from qspx.simulation import Solution

if TYPE_CHECKING:
    import pandas as pd

ROWS = 15


def aligned(heads: Sequence[str], rows: Sequence[Sequence[Any]], left: int = 1) -> str:
    """Columns under their heads: the first `left` aligned left, numbers with three significant digits right."""
    cells = [[str(h) for h in heads], *([_cell(x) for x in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = [
        "  ".join(c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.3g}" if isinstance(value, float | np.floating) else str(value)


def estimates_text(rationale: DoseRationale) -> str:
    """Every estimate, lowest dose first, with how many times the proposed doses exceed it."""
    frame = rationale.estimates_table()
    proposed = rationale.proposal is not None
    heads = ["method", "applies to", "ug/kg", "5 %", "95 %", *(["first", "target"] if proposed else [])]
    rows = []
    for row in frame.to_dict("records"):
        name = row["method"] if row["decision_relevant"] else f"{row['method']} *"
        cells = [name, row["applies_to"], row["dose_ug_per_kg"], row["low_5"], row["high_95"]]
        rows.append([*cells, *([_fold(row["fold_first_injection"]), _fold(row["fold_target"])] if proposed else [])])
    notes = []
    if not all(e.decision_relevant for e in rationale.estimates):
        notes.append("* for context only, not decision-relevant")
    if proposed and (p := rationale.proposal):
        notes.append(
            f"first, target: the proposed first injection ({p.first_injection_ug_per_kg:g} ug/kg) and target dose "
            f"({p.target_ug_per_kg:g} ug/kg) as multiples of the estimate"
        )
    return "\n".join([aligned(heads, rows, left=2), *notes])


def _fold(value: float) -> str:
    return f"{value:.3g}x"


def ledger_text(ledger: pd.DataFrame, total: int, what: str = "virtual patients") -> str:
    """Counts per status; `ledger` has `n`, `meaning` and, first, the status."""
    rows = [
        [row[0], int(row[1]), row[2]] for row in ledger[[ledger.columns[0], "n", "meaning"]].itertuples(index=False)
    ]
    return "\n".join([f"{total} {what}:", *(f"  {n:>7}  {status}: {meaning}" for status, n, meaning in rows)])


def cohort_text(result: CohortResult) -> str:
    """5, 50 and 95 % of each endpoint over the population, per dose level."""
    parts = []
    for name in result.metrics:
        bands = result.quantiles(name, (0.05, 0.5, 0.95)).T
        rows = [[arm, *(float(x) for x in band)] for arm, band in zip(result.protocol.names, bands, strict=True)]
        parts.append(aligned([f"{name}, {result.units[name] or '1'}", "5 %", "50 %", "95 %"], rows))
    return "\n\n".join(parts)


def published_text(table: pd.DataFrame) -> str:
    """Published numbers beside the computed ones."""
    rows = [
        [
            "ok" if r["passed"] else "FAILED",
            r["name"],
            f"{r['published']:.6g}",
            f"{r['computed']:.6g}",
            r["unit"] or "1",
            f"{100 * r['relative_difference']:+.2g} %",
            f"{100 * r['tolerance']:.2g} %",
        ]
        for r in table.to_dict("records")
    ]
    return aligned(["", "number", "published", "computed", "unit", "difference", "tolerance"], rows, left=2)


def solution_frame(solution: Solution) -> pd.DataFrame:
    """Time and observables, their units in the names of the columns."""
    frame = solution.to_dataframe()
    units = frame.attrs["units"]
    return frame.rename(columns={name: f"{name} ({units[name]})" if units[name] else name for name in frame.columns})


def solution_text(solution: Solution) -> str:
    """About fifteen rows of the solution."""
    frame = solution_frame(solution)
    shown = frame.iloc[np.unique(np.linspace(0, len(frame) - 1, ROWS).round().astype(int))]
    rows = [[float(x) for x in row] for row in shown.itertuples(index=False)]
    return aligned(list(frame.columns), [[f"{row[0]:g}", *(f"{x:.4g}" for x in row[1:])] for row in rows], left=0)


def plot_solution(solution: Solution, path: str | Path) -> None:
    """One panel per observable, written as SVG, PDF or PNG by the ending of `path`."""
    import matplotlib.pyplot as plt

    names = solution.observables
    figure, axes = plt.subplots(
        len(names), 1, sharex=True, squeeze=False, figsize=(7, 2.4 * len(names)), layout="constrained"
    )
    for name, ax in zip(names, axes[:, 0], strict=True):
        solution.plot(name, ax)
        ax.set_xlabel("")
    axes[-1, 0].set_xlabel(f"time ({solution.model.time_unit})")
    figure.savefig(path)
    plt.close(figure)
