"""Section 11: advisories, alternative assumptions, what would change the dose, limitations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .blocks import Block, Callout, Heading, Items, Ref, missing, text
from .common import slug
from .tables import Column, fold, significant, table_from


def uncertainty(rationale: Any) -> Iterator[Block]:
    yield Heading("Uncertainty and limitations", "uncertainty")
    yield Heading("Advisories", "advisories", 2)
    if rationale.advisories:
        for advisory in rationale.advisories:
            yield Callout("Advisory", "", (advisory,))
    else:
        yield text("The methods raised no advisory.")
    yield Heading("Alternative assumptions", "alternatives-considered", 2)
    if len(rationale.alternatives):
        yield table_from(
            rationale.alternatives,
            [
                Column("scenario", "Scenario", width=34),
                Column("dose_ug_per_kg", "Dose", significant, "µg/kg"),
                Column("fold_to_base", "Relative to base", fold),
                Column("note", "Note", width=38),
            ],
            name="alternatives",
            caption="The QSP dose under alternative structures, constants and populations.",
        )
    else:
        yield missing("Alternative assumptions (model structure, molar mass, wider population) were not examined.")
    yield Heading("What would change the dose", "what-would-change", 2)
    yield from _what_would_change(rationale)
    for title, anchor, items, absent in (
        ("Assumptions", "assumptions", rationale.assumptions, "No assumptions were recorded."),
        ("Limitations", "limitations", rationale.limitations, "No limitations were recorded."),
    ):
        yield Heading(title, anchor, 2)
        yield Items(tuple(items)) if items else missing(absent)


def _what_would_change(rationale: Any) -> Iterator[Block]:
    data = rationale.sensitivity
    if not len(data):
        yield missing("A sensitivity analysis of the dose was not supplied.")
        return
    largest = data.assign(size=data["elasticity_dose"].abs()).sort_values("size", ascending=False)
    largest = largest.drop_duplicates("parameter").head(5)
    weak = largest[largest["tag"].isin(["assumed", "estimated"])]
    yield text(f"The dose depends most on: {'; '.join(map(_described, largest.to_dict('records')))} (",
               Ref(f"figure-tornado-{slug(str(data['metric'].iloc[0]))}"), ").")  # fmt: skip
    if len(weak):
        names = ", ".join(str(row["meaning"] or row["parameter"]) for row in weak.to_dict("records"))
        yield text(f"Of these, the following are estimated or assumed, not measured: {names}. New data on them would "
                   "change the dose most.")  # fmt: skip


def _described(row: Mapping[str, Any]) -> str:
    return f"{row['meaning'] or row['parameter']} ({row['elasticity_dose']:+.2f})".replace("-", "−")
