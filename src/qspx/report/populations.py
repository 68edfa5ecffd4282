"""The report on virtual populations: how near the data, how many patients, who was rejected, and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..weighted import weighted_quantile
from .blocks import Block, Figure, Heading, ReportError, Table, text
from .common import slug
from .drawing import BLUE, GREY, INK, PALETTE, new_figure, style, to_svg
from .html import html_page
from .tables import Column, count, csv_text, significant, table_from, yes_no

if TYPE_CHECKING:
    from ..vpop import VirtualPopulation
    from ..vpop.laws import AbstractLaw

NUMBERS = {
    "patients": "patients",
    "effective_size": "effective",
    "ks_sum": "sum of KS",
    "ks_over_noise": "KS over noise",
    "energy": "energy distance",
    "correlation_error": "correlation error",
}


def write_population_report(
    populations: Mapping[str, VirtualPopulation],
    law: AbstractLaw,
    out: str | Path,
    *,
    title: str = "Virtual populations",
    bands: Mapping[str, tuple[list[str], list[float]]] | None = None,
    measured: Mapping[str, tuple[Any, Any]] | None = None,
) -> Path:
    """Write `report.html` (one file), tables as CSV and figures as SVG into the folder `out`; returns its path.

    Args:
        populations: by name.
        law: the people that all of them are shown against.
        bands: courses to draw, by heading: names of outputs, and their times.
        measured: times and values of people to draw into the bands, by the same headings.

    Raises:
        ReportError: if no population is given, or an output of `bands` is missing.
    """
    if not populations:
        raise ReportError("Argument `populations` must hold at least one virtual population, but is empty.")
    blocks: list[Block] = [Heading("Fit", "fit"), *_fit(populations, law)]
    blocks += [Heading("Marginals", "marginals"), _marginals(populations, law)]
    blocks += [
        Heading("Pairs", "pairs"),
        _pairs(populations, law),
        Heading("Weights", "weights"),
        _weights(populations),
    ]
    for heading, (names, times) in (bands or {}).items():
        blocks.append(Heading(heading, f"band-{slug(heading)}", 2))
        blocks.append(_band(populations, heading, names, times, (measured or {}).get(heading)))
    blocks.append(Heading("Everyone who was looked at", "ledger"))
    for name, vpop in populations.items():
        frame = vpop.ledger.table()
        columns = [Column("status", "status"), Column("n", "patients", count), Column("meaning", "meaning")]
        blocks.append(table_from(frame, columns, name=f"ledger-{slug(name)}", caption=f"{name}: {vpop.ledger}."))
    folder = Path(out)
    for kind in ("tables", "figures"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for block in blocks:
        if isinstance(block, Table):
            (folder / "tables" / f"{block.name}.csv").write_text(csv_text(block), encoding="utf-8")
        elif isinstance(block, Figure):
            (folder / "figures" / f"{block.name}.svg").write_text(block.svg, encoding="utf-8")
    path = folder / "report.html"
    path.write_text(html_page(blocks, title), encoding="utf-8")
    return path


def _fit(populations: Mapping[str, VirtualPopulation], law: AbstractLaw) -> list[Block]:
    import pandas as pd

    rows = [{"name": name, **v.diagnostics(law)} for name, v in populations.items()]
    columns = [Column("name", "population"), *(Column(k, v, significant) for k, v in NUMBERS.items())]
    blocks: list[Block] = [
        text(
            "Distances to the people, of weighted patients. “KS over noise” is the sum of Kolmogorov-Smirnov distances "
            "over that of an independent sample of the effective size; well below one says that the fit is closer than "
            "chance, as it is for weights fitted to the same data."
        ),
        table_from(pd.DataFrame(rows), columns, name="fit", caption="Fit and effective size."),
    ]
    for name, v in populations.items():
        if v.targets:
            shown = [
                Column("feature", "feature"),
                Column("target", "target", significant),
                Column("error", "standard error", significant),
                Column("achieved", "achieved", significant),
                Column("reached", "reached", yes_no),
            ]
            table = v.target_table()
            caption = f"{name}: {len(table) - len(v.unreached)} of {len(table)} features of the target reached."
            blocks.append(table_from(table, shown, name=f"targets-{slug(name)}", caption=caption))
    return blocks


def _marginals(populations: Mapping[str, VirtualPopulation], law: AbstractLaw) -> Figure:
    people = law.draws(3000, np.random.default_rng(0))
    edges = np.linspace(-4, 4, 33)
    with style():
        figure, axes = new_figure(2.2, 1, len(law.names), squeeze=False)
        for j, (ax, name) in enumerate(zip(axes[0], law.names, strict=True)):
            ax.hist(people[:, j], edges, density=True, color=GREY, alpha=0.4, label="people")
            for (label, v), colour in zip(populations.items(), PALETTE * 9, strict=False):
                keep = v.weights > 0
                z = law.scores(v.outputs.columns(law.names)[keep])[:, j]
                ax.hist(z, edges, weights=v.weights[keep], density=True, histtype="step", color=colour, label=label)
            ax.set(xlabel=f"{name}, standardised logarithm", yticks=[])
        axes[0][0].legend()
        return Figure("marginals", "Marginal distributions over those of the people.", to_svg(figure, "marginals"))


def _pairs(populations: Mapping[str, VirtualPopulation], law: AbstractLaw) -> Figure:
    people = law.draws(1000, np.random.default_rng(0))
    pairs = [(i, j) for i in range(len(law.names)) for j in range(i)] or [(0, 0)]
    with style():
        figure, axes = new_figure(2.2 * len(populations), len(populations), len(pairs), squeeze=False)
        for row, (name, v) in zip(axes, populations.items(), strict=True):
            some = v.select(min(1000, len(v)), 0)
            z = law.scores(some.outputs.columns(law.names))
            for ax, (i, j) in zip(row, pairs, strict=True):
                ax.plot(people[:, j], people[:, i], ".", color=GREY, ms=1.5, label="people")
                ax.plot(z[:, j], z[:, i], ".", color=BLUE, ms=1.5, alpha=0.5, label=name)
                ax.set(xlabel=law.names[j], ylabel=law.names[i], xlim=(-4, 4), ylim=(-4, 4))
            row[0].set_title(name, loc="left")
        words = "Pairs of outputs (standardised logarithms): people grey, patients of equal weight blue."
        return Figure("pairs", words, to_svg(figure, "pairs"))


def _weights(populations: Mapping[str, VirtualPopulation]) -> Figure:
    with style():
        figure, ax = new_figure(2.2)
        for (name, v), colour in zip(populations.items(), PALETTE * 9, strict=False):
            w = v.weights[v.weights > 0]
            label = f"{name}: effective {v.effective_size:.0f} of {len(w)}"
            ax.hist(np.clip(w * len(w), 1e-3, 1e2), np.logspace(-3, 2, 41), histtype="step", color=colour, label=label)
        ax.set(xscale="log", xlabel="weight × number of patients (1: equal)", ylabel="patients")
        ax.legend()
        return Figure("weights", "Weights; those outside the range are drawn at its ends.", to_svg(figure, "weights"))


def _band(populations: Mapping[str, VirtualPopulation], heading: str, names, times, measured) -> Figure:
    name = f"band-{slug(heading)}"
    with style():
        figure, ax = new_figure(2.6)
        for (label, v), colour in zip(populations.items(), PALETTE * 9, strict=False):
            band = weighted_quantile(v.outputs.columns(names), [0.05, 0.5, 0.95], v.weights, axis=0)
            ax.fill_between(times, band[0], band[2], color=colour, alpha=0.2, lw=0)
            ax.plot(times, band[1], color=colour, label=label)
        if measured is not None:
            ax.plot(*measured, ".", color=INK, ms=3, label="people")
        ax.set(xlabel="time", ylabel=heading)
        ax.legend()
        return Figure(name, f"{heading}: median and 5–95 % of the patients.", to_svg(figure, name))
