"""The user's own criteria against the proposal, and what the quantiles and intervals of the estimates rest on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .common import joined, ordered, sentence
from .tables import dose, percent, significant

_FAMILIES = ("QSP", "cytokine threshold")
_APPLY = ("single dose", "target dose")
_FEW = 5  # patients beyond a quantile under which it hangs on single ones
_COUNTED = ("one", "two", "three", "four", "five")


def criteria(rationale: Any) -> list[Any]:
    """The decision-relevant estimates that are criteria of the user's for a single or target dose, lowest first."""
    return [e for e in ordered(rationale.estimates)
            if e.family in _FAMILIES and e.decision_relevant and e.applies_to in _APPLY]  # fmt: skip


def criterion_lines(rationale: Any) -> tuple[str, ...]:
    """One sentence per criterion that the proposed target exceeds, or one that says that it exceeds none.

    Empty without a proposal or without criteria.
    """
    every, proposal = criteria(rationale), rationale.proposal
    if proposal is None or not every:
        return ()
    target = proposal.target_ug_per_kg
    exceeded = [e for e in every if target > e.dose_ug_per_kg]
    if exceeded:
        return tuple(_exceeds(rationale, e, target) for e in exceeded)
    named = joined([f"{e.method} ({dose(e.dose_ug_per_kg)})" for e in every])
    return (f"The proposed target exceeds no criterion of the user’s: {named}.",)


def _exceeds(rationale: Any, estimate: Any, target: float) -> str:
    said = (
        f"The proposed target is {significant(target / estimate.dose_ug_per_kg)} times the dose of the criterion "
        f"“{estimate.method}” ({dose(estimate.dose_ug_per_kg)})"
    )
    share = exceeding_share(rationale, estimate)
    if share is None:
        return f"{said}."
    at = "with the target as a single dose" if estimate.applies_to == "single dose" else "at the target"
    return f"{said}; {at} {percent(share)} of the virtual patients exceed its threshold."


def exceeding_share(rationale: Any, estimate: Any) -> float | None:
    """Share of the population over the threshold of `estimate` at the proposed target; None where it is not known."""
    levels = [t for t in rationale.thresholds if f" / {estimate.method} / " in f" / {t.label} / "]
    if len(levels) != 1 or not len(rationale.exceedance):
        return None
    (level,) = levels
    for row in rationale.exceedance.to_dict("records"):
        same = row["metric"] == level.metric and math.isclose(row["threshold"], level.value)
        if same and row["dose"] == "target":
            return row["probability"]
    return None


def interval_notes(estimates: Sequence[Any]) -> tuple[str, ...]:
    """What the 5–95 % intervals contain, as recorded with the estimates: one note per text, with its methods when the
    texts differ."""
    said: dict[str, list[str]] = {}
    for e in ordered([e for e in estimates if e.interval is not None]):
        texts = [words.removeprefix("interval: ") for words in e.assumptions if words.startswith("interval: ")]
        said.setdefault("; ".join(texts) or "what they contain was not recorded", []).append(e.method)
    if len(said) == 1:
        return tuple(f"5–95 % intervals: {sentence(words)}" for words in said)
    return tuple(f"5–95 % intervals of {joined(methods)}: {sentence(words)}" for words, methods in said.items())


def thin_tails(rationale: Any) -> tuple[str, ...]:
    """A sentence per quantile criterion with fewer than five virtual patients beyond its quantile."""
    n, said = rationale.ledger_total, {}
    for e in ordered(rationale.estimates):
        for quantile in (i.value for i in e.inputs if i.name == "quantile over the population"):
            beyond = n * min(quantile, 1 - quantile)
            if n and beyond < _FEW - 1e-9:
                said.setdefault((quantile, beyond), []).append(e.method)
    return tuple(_thin(n, q, beyond, methods) for (q, beyond), methods in said.items())


def _thin(n: int, quantile: float, beyond: float, methods: Sequence[str]) -> str:
    few = _COUNTED[max(math.ceil(beyond - 1e-9), 1) - 1]
    side = "upper" if quantile > 0.5 else "lower" if quantile < 0.5 else "middle"
    return f"The {100 * quantile:g} % quantile of {n} virtual patients rests on the {side} {few}: {'; '.join(methods)}."
