"""Section 1, the executive summary, and section 12, the conclusion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import figures
from .blocks import (
    Block,
    Callout,
    Contents,
    Decision,
    Facts,
    Figure,
    Heading,
    Items,
    PageBreak,
    Ref,
    Strong,
    Table,
    missing,
    text,
)
from .common import (
    NOT_STATED,
    context_notes,
    context_rows,
    estimate_frame,
    marks,
    schedule,
    sentence,
    shown_frame,
    stated,
)
from .criteria import criterion_lines, interval_notes, thin_tails
from .drawing import axes_svg
from .headline import ratio_lines
from .tables import Column, dose, fold, significant, table_from
from .uncertainty import grouped_advisories


def summary(rationale: Any) -> Iterator[Block]:
    yield Heading("Executive summary", "summary")
    yield _decision(rationale)
    if rationale.estimates:
        yield _comparison_table(rationale)
        yield _forest(rationale)
        if thin := thin_tails(rationale):
            yield Callout("Warning", "Quantiles that rest on few virtual patients", thin)
    else:
        yield missing("No dose estimates were supplied, so there is no comparison of methods.")
    if n := len(grouped_advisories(rationale.advisories)):
        noun = "advisory applies" if n == 1 else "advisories apply"
        yield text(Strong(f"{n} {noun} to these estimates"), "; see section ", Ref("section-advisories"), ".")
    yield PageBreak()
    yield Contents()
    yield PageBreak()


def _decision(rationale: Any) -> Decision:
    proposal = rationale.proposal
    question = f"Question of interest: {stated(rationale.context.question_of_interest)}"
    if proposal is None:
        return Decision(
            "No recommendation was recorded",
            (),
            (
                "The choice of the starting dose is the user’s. None was recorded with this analysis, and the software "
                "does not choose one.",
                question,
            ),
        )
    first = proposal.fractions[0] * proposal.target_ug_per_kg
    return Decision(
        "Proposed by the user",
        (
            ("First injection", dose(first)),
            ("Target dose", dose(proposal.target_ug_per_kg)),
            ("Cycle 1", schedule(proposal)),
        ),
        (*ratio_lines(rationale), *criterion_lines(rationale), f"Recorded reason: {stated(proposal.reason)}", question),
    )


def _comparison_table(rationale: Any) -> Table:
    frame: Any = estimate_frame(rationale)
    shown = shown_frame(frame)
    columns = [
        Column("label", "Method", width=43),
        Column("dose_ug_per_kg", "Dose", significant, "µg/kg"),
        Column("interval", "5–95\u00a0%", unit="µg/kg", align_right=True),
        Column("applies_to", "Applies to"),
    ]
    caption = "Starting-dose estimates, lowest first"
    if len(rationale.folds) and rationale.proposal is not None:
        caption += ", and the ratios of the proposed first injection and target dose to each"
        columns += [
            Column("fold_first_injection", "First injection", fold, "÷ dose"),
            Column("fold_target", "Target", fold, "÷ dose"),
        ]
    keys = ["method", "family", "dose_ug_per_kg", "q05_ug_per_kg", "q50_ug_per_kg", "q95_ug_per_kg", "applies_to",
            "decision_relevant", "fold_first_injection", "fold_target"]  # fmt: skip
    return table_from(
        shown,
        columns,
        name="comparison",
        caption=f"{caption}.",
        notes=(*context_notes(frame), *interval_notes(rationale.estimates)),
        muted=context_rows(frame),
        data=frame[keys],
    )


def _forest(rationale: Any) -> Figure:
    ax = figures.forest(rationale.estimates, marks=marks(rationale))
    alt = f"Forest plot of {len(rationale.estimates)} starting-dose estimates on a logarithmic dose axis."
    marked = "; vertical lines: proposed doses" if marks(rationale) else ""
    return Figure(
        "forest",
        f"All dose estimates; bars: 5–95 % intervals (see the notes above); hollow: context only{marked}.",
        axes_svg(ax, "forest", label=alt),
        alt,
    )


def conclusion(rationale: Any) -> Iterator[Block]:
    c, proposal = rationale.context, rationale.proposal
    yield Heading("Conclusion", "conclusion")
    if proposal is None:
        yield text("The recommendation is the user’s and none was recorded. This report compares ",
                   f"{len(rationale.estimates)} estimates and stops there.")  # fmt: skip
    else:
        first = proposal.fractions[0] * proposal.target_ug_per_kg
        yield text("The user proposes a ", Strong(f"first injection of {dose(first)}"), " and a ",
                   Strong(f"target dose of {dose(proposal.target_ug_per_kg)}"),
                   f", given as {schedule(proposal)}. Reason: {sentence(stated(proposal.reason))}")  # fmt: skip
        if compared := (*ratio_lines(rationale), *criterion_lines(rationale)):
            yield Items(compared)
    facts = (
        ("Question of interest", stated(c.question_of_interest)),
        ("Context of use", stated(c.context_of_use)),
        ("Model influence", stated(c.model_influence)),
        ("Consequence of a wrong decision", stated(c.decision_consequence)),
        ("Model risk", stated(c.model_risk)),
        ("Model impact", stated(c.model_impact)),
    )
    if given := tuple(fact for fact in facts if fact[1] != NOT_STATED):
        yield Facts(given)
    if absent := [name.lower() for name, value in facts if value == NOT_STATED]:
        yield missing(f"Not stated: {', '.join(absent)}.")
    yield text("Headings follow the vocabulary of ICH M15; see the remark at the head of section ",
               Ref("section-credibility"), ".")  # fmt: skip
