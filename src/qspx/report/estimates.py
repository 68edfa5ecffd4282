"""Sections 2 to 5: the product, the data, human exposure, and every starting-dose estimate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .blocks import Block, Facts, Heading, Ref, missing, text
from .common import (
    NOT_STATED,
    capital,
    context_notes,
    context_rows,
    estimate_frame,
    input_frame,
    joined,
    ordered,
    readable,
    sentence,
    shown_frame,
    stated,
)
from .tables import Column, count, general, prose, significant, table_from, unit_words


def product(rationale: Any) -> Iterator[Block]:
    c = rationale.context
    yield Heading("Product, mechanism and risk assessment", "product")
    yield Facts((
        ("Product", stated(c.product)),
        ("Mechanism", stated(c.mechanism)),
        ("Indication", stated(c.indication)),
        ("Route", stated(c.route)),
        ("Population", _population(rationale)),
    ))  # fmt: skip
    yield missing(
        "A risk-factor assessment (agonism, Fc function, cross-reactivity, target expression in normal tissue, class "
        "history) was not supplied."
    )


def _population(rationale: Any) -> str:
    """The description of the population with the number of subjects in the ledger."""
    said = stated(rationale.context.population_description)
    if not rationale.ledger_total:
        return said
    number = f"Virtual patients in this analysis: {count(rationale.ledger_total)}."
    return number if said == NOT_STATED else f"{sentence(said)} {number}"


def nonclinical(rationale: Any) -> Iterator[Block]:
    yield Heading("Nonclinical data used", "nonclinical")
    if any(e.inputs for e in rationale.estimates):
        frame: Any = input_frame(rationale, by_input=True)
        frame = frame[frame["source"] != "this analysis"].reset_index(drop=True)  # results of ours are no data
        yield text("The values that entered the starting-dose estimates, each with its source. Appendix ",
                   Ref("section-inputs"), " lists them by method.")  # fmt: skip
        yield table_from(
            frame,
            [
                Column("name", "Input", width=30),
                Column("value", "Value", lambda value: general(readable(value)), align_right=True),
                Column("unit", "Unit", unit_words),
                Column("used_by", "Used by", count, "methods"),
                Column("source", "Source", stated, width=34),
            ],
            name="nonclinical_inputs",
            caption="Nonclinical and pharmacological inputs of the starting-dose estimates.",
        )
        yield missing("Study-level nonclinical data (donor-level assays, toxicology, toxicokinetics, immunogenicity) "
                      "were not supplied to this report.")  # fmt: skip
    else:
        yield missing("Nonclinical data were not supplied.")


def human_pk(rationale: Any) -> Iterator[Block]:
    yield Heading("Human pharmacokinetic prediction", "human-pk")
    if not rationale.estimates:
        yield missing("No dose estimates, and so no human pharmacokinetic predictions, were supplied.")
        return
    frame: Any = estimate_frame(rationale)
    yield text("Each estimate rests on its own model of human exposure and on a stated analyte. Doses matched on free "
               "and on total drug are not comparable with each other.")  # fmt: skip
    shared, differing = _shared(frame)
    yield table_from(
        shown_frame(frame),
        [
            Column("label", "Method", width=30),
            Column("pk_model", "Human PK model", lambda words: prose(readable(words)), width=28),
            Column("analyte", "Analyte"),
            Column("route", "Route"),
            Column("regimen", "Regimen"),
            *differing,
        ],
        name="exposure_basis",
        caption="Exposure basis of each estimate.",
        notes=(*shared, *context_notes(frame)),
        muted=context_rows(frame),
        data=frame[["method", "pk_model", "analyte", "route", "regimen", "body_weight_kg", "molar_mass_g_per_mol"]],
    )
    yield missing("Alternative human PK predictions (other scaling exponents, other species) were not supplied beyond "
                  "the models in the table.")  # fmt: skip


def _shared(frame: Any) -> tuple[list[str], list[Column]]:
    """Weight and molar mass: a sentence where all methods share the value, else a column."""
    shared, differing = [], []
    for key, title, unit in (("body_weight_kg", "Weight", "kg"), ("molar_mass_g_per_mol", "Molar mass", "g/mol")):
        if frame[key].nunique(dropna=False) == 1 and frame[key].notna().all():
            shared.append(f"{title.lower()} {general(frame[key].iloc[0])}\u00a0{unit}")
        else:
            differing.append(Column(key, title, general, unit))
    return [f"For every method: {joined(shared)}."] if shared else [], differing


def estimates(rationale: Any) -> Iterator[Block]:
    import pandas as pd

    yield Heading("Starting-dose estimates", "estimates")
    if not rationale.estimates:
        yield missing("No dose estimates were supplied.")
        return
    yield text("Every method that was computed is shown; the software neither ranks them nor selects one. ",
               Ref("table-comparison"), " and ", Ref("figure-forest"), " compare them.")  # fmt: skip
    frame: Any = estimate_frame(rationale)
    yield table_from(
        shown_frame(frame),
        [
            Column("label", "Method", width=27),
            Column("dose_ug_per_kg", "Dose", significant, "µg/kg"),
            Column("interval", "5–95\u00a0%", unit="µg/kg", align_right=True),
            Column("dose_flat_ug", "Flat dose", significant, "µg"),
            Column("safety_factor", "Safety factor", general),
            Column("target_level", "Target level", lambda words: prose(readable(words)), width=18),
            Column("limiting_criterion", "Limiting criterion", lambda words: prose(readable(words)), width=20),
        ],
        name="estimates",
        caption="Starting-dose estimates: dose, basis and safety factor.",
        notes=("Flat dose: dose per body weight times the reference weight of the method.", *context_notes(frame)),
        muted=context_rows(frame),
        data=frame,
    )
    yield Heading("Assumptions and notes by method", "method-notes", 2)
    said: dict[str, list[str]] = {}
    for e in ordered(rationale.estimates):
        for statement in (*e.assumptions, *e.notes):
            said.setdefault(capital(sentence(statement)), []).append(e.method)
    if said:
        frame = pd.DataFrame([(s, "; ".join(methods)) for s, methods in said.items()], columns=["statement", "methods"])
        yield table_from(
            frame,
            [Column("statement", "Assumption or note", width=52), Column("methods", "Methods", width=48)],
            name="method_notes",
            caption="Assumptions and notes recorded with the estimates.",
        )
    else:
        yield missing("No assumptions or notes were recorded with the methods.")
