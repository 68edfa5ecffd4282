"""Section 7: credibility of the model: assessment table, factors, verification, sensitivity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import figures
from .blocks import Block, Callout, Figure, Heading, Items, Table, missing, text
from .common import find_leaf, slug, stated
from .drawing import axes_svg
from .tables import Column, general, percent, significant, table_from, yes_no

if TYPE_CHECKING:
    import pandas as pd

HARDLY = 0.05  # |d log D* / d log p| below which an input is listed as one that the dose hardly depends on
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
    yield from _sensitivity(rationale)
    yield Heading("Validation and identifiability", "validation", 2)
    yield missing(
        "Neither a comparison with data that were not used to build the model nor an identifiability analysis was "
        "supplied."
    )


def _passed(rationale: Any) -> str:
    checks = rationale.verification
    if not len(checks):
        return "not supplied"
    passed = int(checks["passed"].astype(bool).sum())
    return f"{passed} of {len(checks)} published values reproduced within the stated tolerance (section 7.3)"


def _assessment_table(rationale: Any) -> Table:
    import pandas as pd

    c = rationale.context
    tolerances = sorted(set(rationale.verification["tolerance"])) if len(rationale.verification) else []
    within = ", ".join(f"{general(100 * tolerance)}\u00a0%" for tolerance in tolerances)
    criteria = f"Published values reproduced within {within}, as set per value (section 7.3)" if within else ""
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
        yield missing("No published values were supplied to verify the model against.")
        return
    failed = checks[~checks["passed"].astype(bool)]
    if len(failed):
        yield Callout(
            "Warning",
            f"{len(failed)} of {len(checks)} published values are not reproduced within tolerance",
            tuple(str(name) for name in failed["name"]),
        )
    yield table_from(
        checks.reset_index(drop=True),
        [
            Column("name", "Quantity", width=26),
            Column("published", "Published", general),
            Column("computed", "Computed", significant),
            Column("unit", "Unit"),
            Column("relative_difference", "Difference", _signed_percent, align_right=True),
            Column("tolerance", "Tolerance", percent),
            Column("passed", "Within", yes_no),
            Column("source", "Source", width=26),
        ],
        name="verification",
        caption="Published values against this implementation.",
    )
    if (checks["published"] != 0).any():
        alt = "Ratio of computed to published value for each check, with the tolerance as a grey bar."
        ax = figures.verification_ratios(checks)
        yield Figure("verification_ratios", "Computed over published values.",
                     axes_svg(ax, "verification_ratios", label=alt), alt)  # fmt: skip


def _signed_percent(value: float) -> str:
    return f"{100 * value:+.1f}\u00a0%".replace("-", "−") if value == value else "–"


def _sensitivity(rationale: Any) -> Iterator[Block]:
    data = rationale.sensitivity
    if not len(data):
        yield missing("A sensitivity analysis of the dose was not supplied.")
        return
    for metric in dict.fromkeys(data["metric"]):
        yield _tornado(data[data["metric"] == metric], str(metric))
    shown = data.assign(size=data["elasticity_dose"].abs())
    shown = shown.sort_values(["metric", "size", "parameter"], ascending=[True, False, True]).reset_index(drop=True)
    several = data["metric"].nunique() > 1
    columns = [
        Column("meaning", "Input", width=27),
        Column("parameter", "Symbol", monospace=True, width=15),
        *([Column("metric", "Metric")] if several else []),
        Column("elasticity_dose", "Elasticity", _signed, align_right=True),
        Column("rank_correlation", "Rank correlation", _signed, align_right=True),
        Column("tag", "Evidence"),
        Column("source", "Source", width=30),
    ]
    yield table_from(
        shown[shown["size"] >= HARDLY].reset_index(drop=True),
        columns,
        name="sensitivity",
        caption="Sensitivity of the dose to its inputs. Elasticity: d log D* / d log p at the typical subject; rank "
        "correlation: over the virtual population.",
        notes=(f"Inputs with an elasticity below {HARDLY} in size are listed in the text.",),
        data=data,
    )
    largest = data.assign(size=data["elasticity_dose"].abs()).groupby("parameter", sort=False)["size"].max()
    meanings = dict(zip(data["parameter"], data["meaning"], strict=True))
    hardly = [str(meanings[name] or name) for name in largest[largest < HARDLY].index]
    if hardly:
        yield text(f"The dose hardly depends on these inputs (elasticity below {HARDLY} in size):")
        yield Items(tuple(hardly))


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−") if value == value else "–"


def _tornado(data: pd.DataFrame, metric: str) -> Figure:
    name = f"tornado-{slug(metric)}"
    alt = f"Bars of the elasticity of the dose with respect to each input, largest first, for {metric}."
    ax = figures.tornado(data)
    return Figure(
        name,
        f"Sensitivity of the dose that meets the criterion on {metric}. The evidence behind each input is in brackets.",
        axes_svg(ax, name, label=alt),
        alt,
    )
