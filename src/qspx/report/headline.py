"""The proposed doses as multiples of the MABEL, MPAD and QSP estimates: page one's ratios."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .common import joined
from .tables import dose, significant

_FAMILIES = (("MABEL", ("MABEL", "modified MABEL")), ("MPAD", ("MPAD",)), ("QSP", ("QSP",)))
_ROUTES = {"subcutaneous": "SC", "sc": "SC", "s.c.": "SC", "intravenous": "IV", "iv": "IV", "i.v.": "IV"}


def proposed_route(rationale: Any) -> str:
    """Route of the proposal: the context's, else the one route of the simulated (MPAD, QSP) estimates, else ""."""
    words = str(rationale.context.route or "").strip().lower()
    if words:
        return next((code for name, code in _ROUTES.items() if name == words.split()[0].strip(",;")), "")
    routes = {e.route for e in rationale.estimates if e.family in ("MPAD", "QSP")}
    return routes.pop() if len(routes) == 1 else ""


def family_estimates(rationale: Any) -> list[tuple[str, list[Any]]]:
    """(name, decision-relevant estimates) of MABEL, MPAD and QSP, only like with like in one group.

    A family is reduced to the proposal's route where it has estimates of that route; else each route is a group. The
    MABEL of free and of total drug are separate groups, since doses matched on them are not comparable.
    """
    route, found = proposed_route(rationale), {}
    for name, families in _FAMILIES:
        every = [e for e in rationale.estimates if e.decision_relevant and e.family in families]
        matched = [e for e in every if e.route == route]
        for e in matched or every:
            analyte = f"{e.analyte}-drug " if name == "MABEL" and e.analyte in ("free", "total") else ""
            found.setdefault(f"{analyte}{'' if matched else f'{e.route} '}{name}", []).append(e)
    return list(found.items())


def ratio_lines(rationale: Any) -> tuple[str, ...]:
    """Three sentences: ratios of the first injection and of the target dose to each group of estimates, and what these
    rest on.

    Empty without a proposal or without estimates of these families.
    """
    proposal, groups = rationale.proposal, family_estimates(rationale)
    if proposal is None or not groups:
        return ()
    first = proposal.fractions[0] * proposal.target_ug_per_kg
    route = proposed_route(rationale)
    matched = bool(route) and all(e.route == route for _, members in groups for e in members)
    basis = "; ".join(_basis(name, members) for name, members in groups)
    return (
        f"First injection: {_ratios(first, groups)}.",
        f"Target dose: {_ratios(proposal.target_ug_per_kg, groups)}.",
        f"Decision-relevant estimates{f' for the {route} route' if matched else ''}: {basis}.",
    )


def _basis(name: str, members: Sequence[Any]) -> str:
    doses = [e.dose_ug_per_kg for e in members]
    if len(members) == 1:
        return f"{name} {dose(doses[0])}"
    return f"{len(members)} {name}, {significant(min(doses))}–{dose(max(doses))}"


def _ratios(numerator: float, groups: Sequence[tuple[str, Sequence[Any]]]) -> str:
    return joined([f"{_times(numerator, [e.dose_ug_per_kg for e in members])} {name}" for name, members in groups])


def _times(numerator: float, doses: Sequence[float]) -> str:
    low, high = significant(numerator / max(doses)), significant(numerator / min(doses))
    return f"{low}×" if low == high else f"{low}–{high}×"
