"""Section 6, the model, and section 8, the virtual population."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import figures
from .blocks import Block, Figure, Heading, Items, Ref, Table, missing, text
from .common import stated, with_numbered_sources
from .drawing import axes_svg
from .tables import Column, count, percent, significant, spread, table_from, unit_words


def model(rationale: Any) -> Iterator[Block]:
    yield Heading("QSP model", "model")
    n_species, n_parameters = len(rationale.species), len(rationale.parameters)
    if not (n_species or n_parameters or rationale.equations):
        yield missing("No mechanistic model was part of this analysis.")
        return
    size = f"The model has {n_species} species and {n_parameters} parameters"
    yield text(f"{size} (appendices ", Ref("section-parameters"), " to ", Ref("section-equations"), ").")
    if n_parameters:
        yield _tag_table(rationale.parameters)
    yield missing("A diagram of the model’s structure was not supplied.")
    yield Heading("Structural findings", "lints", 2)
    if rationale.lints:
        yield text("Automatic checks of valency, arm identity and mass balance report the following. Accepted "
                   "deviations are named as such.")  # fmt: skip
        yield Items(tuple(rationale.lints))
    else:
        yield text("The structural checks report no finding.")


def _tag_table(parameters: Any) -> Table:
    meanings = {
        "measured": "measured for this product",
        "literature": "taken from published work",
        "estimated": "fitted to data",
        "assumed": "assumed, without direct support",
        "covariate": "property of the subject",
        "constant": "physical constant or conversion between units",
    }
    tally = parameters.groupby("tag", sort=False).size().rename("n").reset_index()
    tally["share"] = tally["n"] / tally["n"].sum()
    tally["meaning"] = [meanings.get(str(tag), "as tagged by the model’s author") for tag in tally["tag"]]
    return table_from(
        tally,
        [
            Column("tag", "Evidence", width=20),
            Column("n", "Parameters", count),
            Column("share", "Share", percent),
            Column("meaning", "Meaning", width=50),
        ],
        name="evidence",
        caption="Evidence behind the model’s parameters.",
    )


def population(rationale: Any) -> Iterator[Block]:
    yield Heading("Virtual population", "population")
    frame = rationale.population
    if len(frame):
        parameters = rationale.parameters
        known = dict(zip(parameters["name"], parameters["meaning"], strict=True)) if len(parameters) else {}
        shown = frame.assign(meaning=[known.get(name) or name for name in frame["parameter"]])
        shown["range"] = [spread(a, b) for a, b in zip(frame["sample_q05"], frame["sample_q95"], strict=True)]
        shown, notes = with_numbered_sources(shown)
        yield table_from(
            shown,
            [
                Column("meaning", "Parameter", width=22),
                Column("parameter", "Symbol", monospace=True, width=13),
                Column("distribution", "Distribution", width=18),
                Column("unit", "Unit", unit_words),
                Column("sample_q50", "Median", significant, "sampled"),
                Column("range", "5–95\u00a0%", unit="sampled", align_right=True),
                Column("source", "Source", stated, width=18),
            ],
            name="population",
            caption="Sources of between-subject variability and the sampled ranges.",
            notes=notes,
            data=frame,
        )
        alt = "Sampled 5 to 95 % range of each varied parameter relative to its median."
        ax = figures.population_spread(shown)
        yield Figure("population_spread", "Sampled spread of the varied parameters relative to their medians.",
                     axes_svg(ax, "population_spread", label=alt), alt)  # fmt: skip
    else:
        yield missing("No virtual population was supplied: all simulations are of one typical subject.")
    yield Heading("Ledger of subjects", "ledger-of-subjects", 2)
    if len(rationale.ledger):
        yield text("Every subject that was sampled appears in exactly one category; the categories add up to "
                   f"{count(rationale.ledger_total)}.")  # fmt: skip
        yield ledger_table(rationale)
    else:
        yield missing("No ledger of solved, failed and excluded subjects was supplied.")


def ledger_table(rationale: Any) -> Table:
    """The ledger with its total as the last row."""
    import pandas as pd

    total = pd.DataFrame(
        [{"category": "Total", "n": rationale.ledger_total, "share": 1.0, "meaning": "all subjects sampled"}]
    )
    frame = pd.concat([rationale.ledger[["category", "n", "share", "meaning"]], total], ignore_index=True)
    return table_from(
        frame,
        [
            Column("category", "Category"),
            Column("n", "Subjects", count),
            Column("share", "Share", percent),
            Column("meaning", "Meaning", width=50),
        ],
        name="ledger",
        caption="Ledger of virtual subjects.",
    )
