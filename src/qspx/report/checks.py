"""Self-consistency of a rationale: what must add up before anything is printed."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from .blocks import ReportError
from .tables import check_sum, require_columns

EXCEEDANCE_COLUMNS = ("metric", "threshold", "unit", "dose", "dose_ug_per_kg", "probability", "low_5", "high_95")
_ROUNDING = 1e-9
_FOLD_TOLERANCE = 1e-6  # relative; folds are ratios of two stored numbers, so only rounding may separate them


def check_rationale(rationale: Any) -> None:
    """Raise ReportError when totals do not add up or two parts of the rationale disagree.

    Checked: the ledger's categories add up to its total and its shares to one; every method is named once; each
    fold's dose is that of its estimate, and its ratios are those of the recorded proposal; probabilities of exceeding a
    threshold lie between 0 and 1, within their intervals, and at the proposed doses.
    """
    _check_ledger(rationale)
    _check_methods(rationale)
    _check_folds(rationale)
    _check_exceedance(rationale)


def _check_ledger(rationale: Any) -> None:
    ledger = rationale.ledger
    require_columns(ledger, ("category", "n", "share", "meaning"), "rationale.ledger")
    if not len(ledger):
        if rationale.ledger_total:
            raise ReportError(
                f"Argument `rationale.ledger` must account for all {rationale.ledger_total} subjects, but it is empty."
            )
        return
    check_sum(list(ledger["n"]), rationale.ledger_total, "rationale.ledger")
    for category, n, share in zip(ledger["category"], ledger["n"], ledger["share"], strict=True):
        if rationale.ledger_total and not math.isclose(share, n / rationale.ledger_total, abs_tol=1e-6):
            raise ReportError(
                f"Argument `rationale.ledger` must hold shares of its total, but `{category}` has share {share} "
                f"for {n} of {rationale.ledger_total}."
            )


def _check_methods(rationale: Any) -> None:
    names = [estimate.method for estimate in rationale.estimates]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ReportError(f"Argument `rationale.estimates` must name every method once, but {twice} appear twice.")


def _check_folds(rationale: Any) -> None:
    folds = rationale.folds
    keys = ("method", "dose_ug_per_kg", "fold_first_injection", "fold_target")
    require_columns(folds, keys, "rationale.folds")
    if not len(folds):
        return
    doses = {estimate.method: estimate.dose_ug_per_kg for estimate in rationale.estimates}
    proposal = rationale.proposal
    for row in folds.to_dict("records"):
        if row["method"] not in doses:
            raise ReportError(f"Argument `rationale.folds` must name estimates, but there is no `{row['method']}`.")
        _agree(row["dose_ug_per_kg"], doses[row["method"]], row["method"], "dose_ug_per_kg")
        if proposal is not None:
            target = proposal.target_ug_per_kg
            _agree(row["fold_target"], target / row["dose_ug_per_kg"], row["method"], "fold_target")
            first = proposal.fractions[0] * target
            _agree(row["fold_first_injection"], first / row["dose_ug_per_kg"], row["method"], "fold_first_injection")


def _check_exceedance(rationale: Any) -> None:
    data, proposal = rationale.exceedance, rationale.proposal
    require_columns(data, EXCEEDANCE_COLUMNS, "rationale.exceedance")
    doses: dict[str, float] = {}
    if proposal is not None:
        target = proposal.target_ug_per_kg
        doses = {"first injection": proposal.fractions[0] * target, "target": target}
    for row in data.to_dict("records"):
        ordered = (0.0, row["low_5"], row["probability"], row["high_95"], 1.0)  # comparisons with NaN are False
        if any(low > high + _ROUNDING for low, high in pairwise(ordered)):
            raise ReportError(
                "Argument `rationale.exceedance` must hold probabilities between 0 and 1 within their intervals, but "
                f"that of `{row['metric']}` is {row['probability']} ({row['low_5']} to {row['high_95']})."
            )
        if row["dose"] not in doses:
            raise ReportError(
                f"Argument `rationale.exceedance` must be at the proposed doses {list(doses)}, but it names "
                f"`{row['dose']}`."
            )
        if not math.isclose(row["dose_ug_per_kg"], doses[row["dose"]], rel_tol=_FOLD_TOLERANCE):
            raise ReportError(
                f"Argument `rationale.exceedance` must be at the proposed doses, but the {row['dose']} is "
                f"{row['dose_ug_per_kg']} µg/kg there and {doses[row['dose']]} µg/kg in the proposal."
            )


def _agree(found: float, expected: float, method: str, column: str) -> None:
    if math.isfinite(found) and not math.isclose(found, expected, rel_tol=_FOLD_TOLERANCE):
        raise ReportError(
            f"Argument `rationale.folds` must agree with the estimates and the proposal, but `{column}` of `{method}` "
            f"is {found} where {expected} follows from them."
        )
