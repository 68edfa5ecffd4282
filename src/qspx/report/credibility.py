"""Section 7: credibility of the model: assessment table, factors, verification, sensitivity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import figures
from .blocks import Block, Callout, Figure, Heading, Table, missing, text
from .common import find_leaf, stated, with_numbered_sources
from .drawing import axes_svg
from .sensitivity import sensitivity
from .tables import Column, general, percent, significant, table_from, unit_words, yes_no

_TO_CHECK = (
    "The names of the rows and factors in this section follow ICH M15 and ASME V&V 40 as reported in secondary "
    "sources. Check them against the final texts before submission."
)


def credibility(rationale: Any) -> Iterator[Block]:
    yield Heading("Credibility", "credibility")
    yield Callout("Note", "Wording to be checked against the final texts", (_TO_CHECK,))
    yield Heading("Assessment of the model-informed evidence", "m15-assessment", 2)
    yield _assessment_table(rationale)
    yield Heading("Credibility factors", "vv40", 2)
    yield _factor_table(rationale)
    yield Heading("Verification", "verification-of-model", 2)
    yield from _verification(rationale)
    yield Heading("Sensitivity of the dose", "sensitivity-of-dose", 2)
    yield from sensitivity(rationale)
    yield Heading("Validation and identifiability", "validation", 2)
    yield missing(
        "Neither a comparison with data that were not used to build the model nor an identifiability analysis was "
        "supplied."
    )


_ANCHOR = 0.3  # relative; looser tolerances are of printed results whose inputs are not all known


def _passed(rationale: Any) -> str:
    return f"{passed_words(rationale.verification)} (section 7.3)" if len(rationale.verification) else "not supplied"


def passed_words(checks: Any) -> str:
    """How many reference values (tight tolerance) and published anchors (1.3-fold or looser) are met, and how closely:
    "4 of 4 reference values within 0.5 %, 10 of 10 published anchors within 1.5-fold (largest deviation +43 %)"."""
    loose = checks["tolerance"] >= _ANCHOR
    groups = (("reference value", checks[~loose], percent), ("published anchor", checks[loose], _as_fold))
    return ", ".join(_met(noun, group, shown) for noun, group, shown in groups if len(group))


def _met(noun: str, group: Any, shown: Callable[[float], str]) -> str:
    passed, n = int(group["passed"].astype(bool).sum()), len(group)
    limits = joined_range([shown(x) for x in sorted(set(group["tolerance"]))])
    difference = group["relative_difference"]
    worst = difference.loc[difference.abs().idxmax()] if difference.notna().any() else float("nan")
    said = f" (largest deviation {_signed_percent(worst)})" if worst == worst else ""
    return f"{passed} of {n} {noun}{'s' if n > 1 else ''} within {limits}{said}"


def joined_range(words: Sequence[str]) -> str:
    """The one word, or the first and the last: "10 % to 25 %"."""
    return words[0] if len(words) == 1 else f"{words[0]} to {words[-1]}"


def _as_fold(tolerance: float) -> str:
    return f"{1 + tolerance:.3g}-fold"


def _assessment_table(rationale: Any) -> Table:
    import pandas as pd

    c = rationale.context
    tolerances = sorted(set(rationale.verification["tolerance"])) if len(rationale.verification) else []
    ends = [general(100 * tolerance) for tolerance in tolerances[:: max(len(tolerances) - 1, 1)]]
    within = f"{'–'.join(ends)}\u00a0%" if ends else ""
    criteria = f"Reference values reproduced within {within}, as recorded per value (section 7.3)" if within else ""
    lints = len(rationale.lints)
    outcome = [_passed(rationale)]
    outcome.append(f"{lints} structural finding{'s' if lints != 1 else ''} (section 6)" if lints else
                   "no structural finding")  # fmt: skip
    residual = len(rationale.limitations)
    rows = (
        ("Question of interest", stated(c.question_of_interest)),
        ("Context of use", stated(c.context_of_use)),
        ("Model influence", stated(c.model_influence)),
        ("Consequence of a wrong decision", stated(c.decision_consequence)),
        ("Model risk", stated(c.model_risk)),
        ("Model impact", stated(c.model_impact)),
        ("Technical criteria", stated(criteria)),
        ("Outcome of the evaluation", "; ".join(outcome)),
        ("Residual uncertainty", f"{residual} limitation{'s' if residual != 1 else ''} recorded (section 11)"
         if residual else stated("")),
    )  # fmt: skip
    return table_from(
        pd.DataFrame(rows, columns=["item", "content"]),
        [Column("item", "Item", width=28), Column("content", "Content", width=72)],
        name="m15_assessment",
        caption="Assessment table in the vocabulary of ICH M15 (wording to be checked against the final text).",
    )


def _factor_table(rationale: Any) -> Table:
    import pandas as pd

    versions, tolerances = find_leaf(rationale.provenance, "qspx"), _find_tolerances(rationale.provenance)
    tally = rationale.parameters["tag"].value_counts(sort=False) if len(rationale.parameters) else {}
    tags = ", ".join(f"{n} {tag}" for tag, n in tally.items())
    alternatives = len(rationale.alternatives)
    noun = "alternative" if alternatives == 1 else "alternatives"
    form = f"{alternatives} {noun} examined (section 11.2)" if alternatives else ""
    absent = "not supplied"
    rows = (
        ("Code verification", "Software quality assurance", f"qspx {versions}" if versions else absent),
        ("Code verification", "Numerical code verification", _passed(rationale)),
        ("Calculation verification", "Discretisation error", "ordinary differential equations; no spatial grid"),
        ("Calculation verification", "Numerical solver error", tolerances or absent),
        ("Calculation verification", "Use error", absent),
        ("Model", "Model form", form or absent),
        ("Model", "Model inputs", f"parameters by evidence: {tags}" if tags else absent),
        ("Comparator", "Test samples", absent),
        ("Comparator", "Test conditions", absent),
        ("Assessment", "Equivalency of inputs", absent),
        ("Assessment", "Output comparison", _passed(rationale)),
        ("Applicability", "Relevance of the quantities of interest", absent),
        ("Applicability", "Relevance of the validation to the context of use", absent),
    )
    return table_from(
        pd.DataFrame(rows, columns=["group", "factor", "evidence"]),
        [
            Column("group", "Group", width=22),
            Column("factor", "Factor", width=34),
            Column("evidence", "Evidence in this report", width=44),
        ],
        name="credibility_factors",
        caption="Credibility factors after ASME V&V 40 (wording to be checked against the final text). The rigour "
        "planned and achieved per factor is for the sponsor to assess.",
    )


def _find_tolerances(provenance: Mapping[str, Any]) -> str:
    found = [(name, find_leaf(provenance, name)) for name in ("rtol", "atol")]
    return ", ".join(f"{name} {value}" for name, value in found if value)


def _verification(rationale: Any) -> Iterator[Block]:
    checks = rationale.verification
    if not len(checks):
        yield missing("No reference values were supplied to verify the model against.")
        return
    failed = checks[~checks["passed"].astype(bool)]
    if len(failed):
        yield Callout(
            "Warning",
            f"{len(failed)} of {len(checks)} reference values are not reproduced within tolerance",
            tuple(str(name) for name in failed["name"]),
        )
    yield text(f"{passed_words(checks)}.")
    shown, notes = with_numbered_sources(checks.reset_index(drop=True))
    width = 8 if notes else 24
    yield table_from(
        shown,
        [
            Column("name", "Quantity", width=52 - width),
            Column("published", "Reference", general),
            Column("computed", "Computed", significant),
            Column("unit", "Unit", unit_words),
            Column("relative_difference", "Difference", _signed_percent, align_right=True),
            Column("tolerance", "Tolerance", percent),
            Column("passed", "Within", yes_no),
            Column("source", "Source", width=width),
        ],
        name="verification",
        caption="Reference values (published or from independent implementations) against this implementation.",
        notes=("Tolerances as recorded with the model.", *notes),
        data=checks,
    )
    if (checks["published"] != 0).any():
        alt = "Ratio of computed to reference value for each check, with the tolerance as a grey bar."
        ax = figures.verification_ratios(checks)
        yield Figure("verification_ratios", "Computed over reference values; grey: tolerance.",
                     axes_svg(ax, "verification_ratios", label=alt), alt)  # fmt: skip


def _signed_percent(value: float) -> str:
    return f"{100 * value:+.1f}\u00a0%".replace("-", "−") if value == value else "–"
