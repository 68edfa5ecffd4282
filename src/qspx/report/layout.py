"""The outline of the dose-rationale report: which sections there are, in which order.

Twelve sections and the appendices always appear. A section without data says in one sentence what is missing, so that
a reader never has to guess whether something was forgotten or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import appendices, credibility, estimates, model, simulations, summary, uncertainty
from .blocks import Block
from .checks import check_rationale


def default_title(rationale: Any) -> str:
    """The report's title when none is given."""
    product = str(rationale.context.product or "").strip()
    return f"First-in-human dose rationale: {product}" if product else "First-in-human dose rationale"


def layout(rationale: Any, sections: Sequence[Block] = ()) -> tuple[Block, ...]:
    """The report on `rationale` (a `DoseRationale`) as blocks, with `sections` of the user's own before the conclusion.

    Raises ReportError when the rationale contradicts itself (see `checks.check_rationale`).
    """
    check_rationale(rationale)
    outline = (
        summary.summary,
        estimates.product,
        estimates.nonclinical,
        estimates.human_pk,
        estimates.estimates,
        model.model,
        credibility.credibility,
        model.population,
        simulations.simulations,
        simulations.escalation,
        uncertainty.uncertainty,
        lambda _: sections,
        summary.conclusion,
        appendices.parameters,
        appendices.species,
        appendices.equations,
        appendices.inputs,
        appendices.simulations,
        appendices.provenance,
    )
    return tuple(block for section in outline for block in section(rationale))
