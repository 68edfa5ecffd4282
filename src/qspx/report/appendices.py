"""The appendices: parameters, species, equations, inputs by method, simulated quantiles, provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .blocks import Block, Equation, Equations, Heading, PageBreak, missing, text
from .common import input_frame, readable, stated, with_numbered_sources
from .equations import typeset
from .tables import Column, count, general, significant, table_from, unit_words


def parameters(rationale: Any) -> Iterator[Block]:
    yield PageBreak()
    yield Heading("Model parameters", "parameters", appendix=True)
    if not len(rationale.parameters):
        yield missing("No model parameters were supplied.")
        return
    shown, notes = with_numbered_sources(rationale.parameters)
    width = 8 if notes else 24
    yield table_from(
        shown,
        [
            Column("name", "Symbol", monospace=True, width=16),
            Column("value", "Value", general),
            Column("unit", "Unit", unit_words),
            Column("meaning", "Meaning", width=56 - width),
            Column("tag", "Evidence"),
            Column("source", "Source", width=width),
        ],
        notes=notes,
        data=rationale.parameters,
        name="parameters",
        caption="All parameters of the model at their typical values.",
    )


def species(rationale: Any) -> Iterator[Block]:
    yield Heading("Model species", "species", appendix=True)
    if not len(rationale.species):
        yield missing("No model species were supplied.")
        return
    yield table_from(
        rationale.species,
        [
            Column("name", "Symbol", monospace=True, width=20),
            Column("unit", "Unit", width=14),
            Column("meaning", "Meaning", width=66),
        ],
        name="species",
        caption="All species (states) of the model and their units.",
    )


def equations(rationale: Any) -> Iterator[Block]:
    yield Heading("Model equations", "equations", appendix=True)
    if not rationale.equations:
        yield missing("The model’s equations were not supplied.")
        return
    rows = typeset(rationale.equations)
    size = f"{count(len(rows))} equations, generated from the model’s own functions."
    yield text(f"{size} {_what_is_on_the_left(rationale)}{_how_printed(rows)}")
    yield Equations(rows)


def _what_is_on_the_left(rationale: Any) -> str:
    """True only when every equation is named after a species and has no left-hand side of its own."""
    names = set(rationale.species["name"]) if len(rationale.species) else set()
    if all(name in names and "=" not in latex for name, latex in rationale.equations):
        return "Each gives the rate of change of the species named on its left. "
    return ""


def _how_printed(rows: Sequence[Equation]) -> str:
    plain = sum(row.svg is None and bool(row.plain) for row in rows)
    source = sum(row.svg is None and not row.plain for row in rows)
    said = []
    if plain:
        said.append(f"{'All' if plain == len(rows) else count(plain)} are printed as plain text (· multiplies).")
    if source:
        said.append(f"{'All' if source == len(rows) else count(source)} could not be typeset and are printed as LaTeX.")
    if said:
        said.append("Their LaTeX is in rationale.json, under “equations”.")
    return " ".join(said)


def inputs(rationale: Any) -> Iterator[Block]:
    yield Heading("Inputs by method", "inputs", appendix=True)
    frame = input_frame(rationale)
    if not len(frame):
        yield missing("No inputs were recorded with the estimates.")
        return
    shown = frame.assign(method=frame["method"].where(frame["method"] != frame["method"].shift(), ""))
    yield table_from(
        shown,
        [
            Column("method", "Method", str, width=32),
            Column("name", "Input", width=24),
            Column("value", "Value", lambda value: general(readable(value)), align_right=True),
            Column("unit", "Unit", unit_words),
            Column("source", "Source", stated, width=26),
        ],
        name="inputs",
        caption="Inputs of each starting-dose estimate; a method is named on its first row.",
        data=frame,
    )


def simulations(rationale: Any) -> Iterator[Block]:
    yield Heading("Simulated quantiles", "quantiles", appendix=True)
    if not len(rationale.curves):
        yield missing("No simulations of a metric against dose were supplied.")
        return
    quantiles = [Column(f"q{q}", f"{int(q)} %", significant) for q in ("05", "25", "50", "75", "95")]
    yield table_from(
        rationale.curves,
        [
            Column("metric", "Metric"),
            Column("unit", "Unit"),
            Column("dose_ug_per_kg", "Dose", significant, "µg/kg"),
            *quantiles,
            Column("n_ok", "Solved", count),
            Column("n_failed", "Failed", count),
        ],
        name="curves",
        caption="Population quantiles of each metric at each simulated dose.",
    )


def provenance(rationale: Any) -> Iterator[Block]:
    import pandas as pd

    yield Heading("Provenance", "provenance", appendix=True)
    rows = list(flat(rationale.provenance))
    if rows:
        yield table_from(
            pd.DataFrame(rows, columns=["item", "value"]),
            [Column("item", "Item", monospace=True, width=32), Column("value", "Value", monospace=True, width=68)],
            name="provenance",
            caption="Versions, seeds, hashes, tolerances and run times of this analysis.",
        )
    else:
        yield missing("No provenance (versions, seeds, hashes, tolerances) was supplied.")
    yield missing("Test results of the software and a change log of this document were not supplied.")


def flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of nested mappings and lists as ("a.b.c", text)."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(tree, Sequence) and not isinstance(tree, str) and any(isinstance(v, Mapping) for v in tree):
        for i, value in enumerate(tree):
            yield from flat(value, f"{prefix}[{i}]")
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        yield prefix, ", ".join(map(str, tree))
    else:
        yield prefix, str(tree)
