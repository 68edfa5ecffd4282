"""What several sections need: the estimates as a frame, the proposal in words, names for files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .tables import significant, spread

if TYPE_CHECKING:
    import pandas as pd


NOT_STATED = "not stated"


CONTEXT_ONLY = "† Context only: not decision-relevant for this modality; shown for comparison."


def stated(value: Any) -> str:
    """Text as given, or "not stated"."""
    return str(value or "").strip() or NOT_STATED


def slug(words: str) -> str:
    """A file name and anchor from free text."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "unnamed"


def capital(words: str) -> str:
    """`words` with its first letter in upper case."""
    return words[:1].upper() + words[1:]


def short_metric(metric: str) -> str:
    """The metric without its window and schedule: "peak nACT" of "peak nACT, days 0 to 28, single dose"."""
    depth = 0
    for i, letter in enumerate(metric):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            return metric[:i].strip() or metric
    return metric


def readable(value: Any) -> Any:
    """Text in which the window of a metric reads as one: "max(C, ..28)" as "max(C, t ≤ 28)"."""
    return re.sub(r", \.\.(?=[\d.]+\))", ", t ≤ ", value) if isinstance(value, str) else value


def joined(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def sentence(words: str) -> str:
    words = str(words).strip()
    return words if words.endswith((".", "!", "?", ":")) else f"{words}."


def ordered(estimates: Sequence[Any]) -> list[Any]:
    """Estimates from the lowest dose to the highest: the order of every table and of the forest plot."""
    return sorted(estimates, key=lambda e: (e.dose_ug_per_kg, e.method))


def marks(rationale: Any) -> dict[str, float]:
    """The doses to mark in figures: first injection and target of the recorded proposal; none without one."""
    proposal = rationale.proposal
    if proposal is None:
        return {}
    first = proposal.fractions[0] * proposal.target_ug_per_kg
    if proposal.fractions[0] == 1:
        return {"first injection = target": first}
    return {"first injection": first, "target": proposal.target_ug_per_kg}


def schedule(proposal: Any) -> str:
    """The proposal's cycle 1 in words: "0.500, 1.50, 5.00 µg/kg on days 0, 3, 7"."""
    doses = ", ".join(significant(f * proposal.target_ug_per_kg) for f in proposal.fractions)
    days = ", ".join(f"{day:g}" for day in proposal.days)
    return f"{doses} µg/kg on day{'s' if len(proposal.days) > 1 else ''} {days}"


def estimate_frame(rationale: Any) -> pd.DataFrame:
    """All estimates as a data frame, lowest dose first, with the folds joined on."""
    import pandas as pd

    folds = {row["method"]: row for row in rationale.folds.to_dict("records")}
    rows = []
    for e in ordered(rationale.estimates):
        low, middle, high = e.interval if e.interval is not None else (None, None, None)
        rows.append({
            "method": e.method, "family": e.family, "dose_ug_per_kg": e.dose_ug_per_kg, "q05_ug_per_kg": low,
            "q50_ug_per_kg": middle, "q95_ug_per_kg": high, "dose_flat_ug": e.dose_flat_ug,
            "body_weight_kg": e.body_weight_kg, "molar_mass_g_per_mol": e.molar_mass_g_per_mol, "route": e.route,
            "regimen": e.regimen, "applies_to": e.applies_to, "analyte": e.analyte, "target_level": e.target_level,
            "pk_model": e.pk_model, "limiting_criterion": e.limiting_criterion, "safety_factor": e.safety_factor,
            "decision_relevant": e.decision_relevant,
            "fold_first_injection": folds.get(e.method, {}).get("fold_first_injection"),
            "fold_target": folds.get(e.method, {}).get("fold_target"),
        })  # fmt: skip
    return pd.DataFrame(rows)


def shown_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns for print: the method with its mark, the interval as a range."""
    shown = frame.copy()
    marked = zip(frame["method"], frame["decision_relevant"], strict=True)
    shown["label"] = [method if relevant else f"{method}\u00a0†" for method, relevant in marked]
    shown["interval"] = [spread(a, b) for a, b in zip(frame["q05_ug_per_kg"], frame["q95_ug_per_kg"], strict=True)]
    return shown


def context_rows(frame: pd.DataFrame) -> list[int]:
    return [i for i, relevant in enumerate(frame["decision_relevant"]) if not relevant]


def context_notes(frame: pd.DataFrame) -> tuple[str, ...]:
    return (CONTEXT_ONLY,) if context_rows(frame) else ()


def input_frame(rationale: Any, *, by_input: bool = False) -> pd.DataFrame:
    """Inputs of all estimates: one row per method and input, or (`by_input`) one row per distinct input."""
    import pandas as pd

    rows = [
        {"method": e.method, "name": i.name, "value": i.value, "unit": i.unit, "source": i.source}
        for e in ordered(rationale.estimates)
        for i in e.inputs
    ]
    if not by_input:
        return pd.DataFrame(rows, columns=["method", "name", "value", "unit", "source"])
    distinct: dict[tuple[Any, ...], int] = {}
    for row in rows:
        key = (row["name"], row["value"], row["unit"], row["source"])
        distinct[key] = distinct.get(key, 0) + 1
    return pd.DataFrame(
        [(*key, n) for key, n in distinct.items()], columns=["name", "value", "unit", "source", "used_by"]
    )


_WORTH_A_NUMBER = 3  # rows with the same long source from which on sources are numbered


def with_numbered_sources(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """`frame` with its column source as "[1]" and the sources as notes, where long ones repeat; else as it is."""
    sources = [str(source or "").strip() for source in frame["source"]]
    distinct = [source for source in dict.fromkeys(sources) if source]
    if not any(sources.count(source) >= _WORTH_A_NUMBER and len(source) > 20 for source in distinct):
        return frame, ()
    number = {source: f"[{k + 1}]" for k, source in enumerate(distinct)}
    notes = tuple(f"{number[source]} {sentence(source)}" for source in distinct)
    return frame.assign(source=[number.get(source, "") for source in sources]), notes


def find_leaf(tree: Any, key: str) -> str:
    """The first value called `key` anywhere in nested mappings, as text; "" when there is none."""
    if not isinstance(tree, Mapping):
        return ""
    if key in tree and not isinstance(tree[key], Mapping):
        return str(tree[key])
    return next((found for value in tree.values() if (found := find_leaf(value, key))), "")
