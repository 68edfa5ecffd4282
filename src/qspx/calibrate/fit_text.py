"""A fit as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qspx.calibrate.fit_status import FIT_STATUS_ADVICE, FitStatus

if TYPE_CHECKING:
    from qspx.calibrate.fit_result import Fit

HEADER = ("parameter", "estimate", "scale", "SE", "95 % CI", "bound", "gradient")


def fit_text(fit: Fit) -> str:
    """Best log-posterior, one row per parameter, and what became of every start; that the best did not converge, where
    it did not, in place of standard errors."""
    rows: list[tuple[str, ...]] = [HEADER]
    for r in fit.to_dataframe().to_dict("records"):
        interval = "-" if np.isnan(r["low"]) else f"{r['low']:.4g} to {r['high']:.4g}"
        uncertainty = (_number(r["se"]), interval) if fit.converged else ("-", "-")
        numbers = (f"{r['estimate']:.5g}", r["scale"], *uncertainty)
        rows.append((r["parameter"], *numbers, r["bound"] or "-", f"{r['gradient']:.1e}"))
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADER))]
    table = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    n = len(fit.run.start_value)
    lines = [
        *([warning] if (warning := not_converged(fit)) else []),
        f"log-posterior {fit.value:.8g}; {fit.hits()} of {n} starts within 0.1 of it",
        *table,
        f"largest gradient {np.abs(fit.gradient).max(initial=0.0):.1e}; "
        f"{int(fit.search.evaluations.sum())} evaluations of the gradient",
        f"{n} starts ({fit.run.discarded} candidates replaced, not finite):",
        *(f"  {r['n']} {r['status']}: {r['meaning']}" for r in fit.ledger.to_dict("records")),
    ]
    return "\n".join(lines + _notes(fit))


def not_converged(fit: Fit) -> str:
    """That the search of the best start did not end at an optimum, and why; nothing where it did."""
    if fit.converged:
        return ""
    reason = FIT_STATUS_ADVICE[FitStatus(int(fit.search.status[fit.order[0]]))]
    return f"NOT CONVERGED: of the best start, {reason}. Standard errors and intervals hold at an optimum only."


def _number(x: float) -> str:
    return "-" if np.isnan(x) else f"{x:.3g}"


def _notes(fit: Fit) -> list[str]:
    notes = []
    if fit.search.status[fit.order[0]] == FitStatus.AT_KINK:
        notes.append(
            "The best lies at a kink: some residuals are zero, and the gradient is that of one side. Standard errors "
            "are those of the expected information."
        )
    held = [name for name, k in zip(fit.objective.names, fit.at_bound, strict=True) if k]
    if held:
        notes.append(f"At a bound, and held there for the standard errors of the others: {', '.join(held)}.")
    unknown = [name for name, se in zip(fit.objective.names, fit.information.se, strict=True) if np.isinf(se)]
    if unknown and fit.converged:
        notes.append(f"Not told by the measurements (others make up for them): {', '.join(unknown)}.")
    if fit.hits() == 1 and len(fit.run.start_value) > 1:
        notes.append("Only one start found this value: use more starts before believing that it is the best there is.")
    return notes
