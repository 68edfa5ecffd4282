"""The report on virtual populations: how near the data, how many patients, who was rejected, and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import population_figures as pictures
from . import population_tables as tables
from .blocks import Block, Figure, Heading, ReportError, Table
from .common import slug
from .courses import Course, course_blocks
from .html import html_page
from .tables import csv_text

if TYPE_CHECKING:
    import pandas as pd

    from ..vpop import PopulationProblem, VirtualPopulation
    from ..vpop.laws import AbstractLaw

Populations = Mapping[str, "VirtualPopulation"]


def population_report(
    populations: Populations,
    out: str | Path,
    *,
    laws: Mapping[str, AbstractLaw] | None = None,
    courses: Sequence[Course] = (),
    comparison: pd.DataFrame | None = None,
    problem: PopulationProblem | None = None,
    sections: Sequence[Block] = (),
    title: str = "Patients over people",
) -> Path:
    """Write `report.html` (one file, opens offline), tables as CSV and figures as SVG into the folder `out`; returns
    its path. The same populations give the same bytes.

    Args:
        populations: by name.
        laws: the people that all of them are shown against, by name: distances, marginals, pairs.
        courses: bands over time, per quantity and arm, with what was measured.
        comparison: the table of `compare`, if methods were compared.
        problem: of the populations; their diversity is then shown too.
        sections: blocks of your own before the ledger, beginning with a `Heading`: `rank_figure(...)` of a sensitivity
            analysis, for example.

    Raises:
        ReportError: if no population is given, or a course is not well defined.
        PopulationError: if a law or course speaks of an output that a population does not have.
    """
    if not populations:
        raise ReportError("Argument `populations` must hold at least one virtual population, but is empty.")
    blocks = [*_blocks(populations, laws or {}, courses, comparison, problem, sections)]
    folder = Path(out)
    for kind in ("tables", "figures"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for block in blocks:
        if isinstance(block, Table):
            (folder / "tables" / f"{block.name}.csv").write_text(csv_text(block), encoding="utf-8")
        elif isinstance(block, Figure):
            (folder / "figures" / f"{block.name}.svg").write_text(block.svg, encoding="utf-8")
    path = folder / "report.html"
    path.write_text(
        html_page(blocks, title, kind="Virtual populations", subtitle=_subtitle(populations)), encoding="utf-8"
    )
    return path


def _subtitle(populations: Populations) -> str:
    models = dict.fromkeys(v.cohort.model.name for v in populations.values())
    return f"{', '.join(models)} · {len(populations)} population{'s' if len(populations) > 1 else ''}"


def _blocks(
    populations: Populations,
    laws: Mapping[str, AbstractLaw],
    courses: Sequence[Course],
    comparison: pd.DataFrame | None,
    problem: PopulationProblem | None,
    sections: Sequence[Block],
) -> Iterator[Block]:
    yield Heading("Patients and weights", "patients")
    yield tables.patients_table(populations, problem)
    yield pictures.weights(populations)
    for label, law in laws.items():
        name = slug(label)
        yield Heading(f"Against {label}", f"against-{name}")
        yield from tables.fit_table(populations, law, f"fit-{name}", label)
        yield pictures.marginals(populations, law, f"marginals-{name}")
        if len(law.names) > 1:
            for who, v in populations.items():
                yield pictures.pairs(v, law, f"pairs-{name}-{slug(who)}", who)
    if any(v.targets for v in populations.values()):
        yield Heading("What the weights were made to match", "targets")
        yield from tables.target_tables(populations)
    if courses:
        yield Heading("Courses", "courses")
        yield from course_blocks(populations, courses)
    if comparison is not None:
        yield Heading("Methods side by side", "methods")
        yield from tables.comparison_blocks(comparison)
    yield from sections
    yield Heading("Everyone who was looked at", "ledger")
    for name, ledger in tables.ledgers(populations).items():
        yield from tables.ledger_tables(name, ledger)
        if (figure := pictures.reasons(ledger, name)) is not None:
            yield figure
