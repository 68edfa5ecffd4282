"""Pictures of virtual populations: marginals and pairs over those of people, weights, reasons of rejection."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .blocks import Figure
from .common import slug
from .drawing import BLUE, GREY, INK, PALETTE, new_figure, plain_log_ticks, style, to_svg
from .population_tables import MOST_REASONS

if TYPE_CHECKING:
    from .._status import Ledger
    from ..vpop import VirtualPopulation
    from ..vpop.laws import AbstractLaw

Populations = Mapping[str, "VirtualPopulation"]
ACROSS = 3  # panels side by side
BINS = np.linspace(-4, 4, 33)  # standard deviations of the logarithm
MOST = 1000  # dots of a kind
FEW = 300  # dots that can be larger


def _natural(law: AbstractLaw, z: np.ndarray, j: int) -> np.ndarray:
    """Values of output j at scores."""
    return np.exp(law.fitted.mean[j] + law.fitted.sd[j] * np.clip(z, BINS[0], BINS[-1]))


def marginals(populations: Populations, law: AbstractLaw, name: str) -> Figure:
    """A histogram per output on a logarithmic axis; people filled, populations as outlines."""
    people, n = law.draws(min(3000, law.size), np.random.default_rng(0)), len(law.names)
    rows, across = -(-n // ACROSS), min(n, ACROSS)
    words = "Marginal distributions of patients over those of people; what lies outside is drawn at the ends."
    with style():
        figure, axes = new_figure(0.3 + 1.75 * rows, rows, across, squeeze=False)
        for j, ax in enumerate(axes.flat[:n]):
            edges = _natural(law, BINS, j)
            equal = np.full(len(people), 1 / len(people))
            ax.hist(_natural(law, people[:, j], j), edges, weights=equal, color=GREY, alpha=0.35, label="people")
            for (label, v), colour in zip(populations.items(), PALETTE * 9, strict=False):
                keep = v.weights > 0
                z = law.scores(v.outputs.columns(law.names)[keep])[:, j]
                x, w = _natural(law, z, j), v.weights[keep]
                ax.hist(x, edges, weights=w, histtype="step", color=colour, label=label, lw=1.1)
            _log_axis(ax.xaxis, ax.set_xscale)
            ax.set(xlabel=law.names[j], yticks=[])
            ax.spines["left"].set_visible(False)
        for ax in axes.flat[n:]:
            ax.set_axis_off()
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=6.5)
        return Figure(name, words, to_svg(figure, name, label=words), words)


def pairs(population: VirtualPopulation, law: AbstractLaw, name: str, title: str) -> Figure:
    """Every pair of outputs: people black, patients of equal weight in blue."""
    places = [(i, j) for i in range(len(law.names)) for j in range(i)]
    rows, across = -(-len(places) // ACROSS), min(len(places), ACROSS)
    people = law.draws(min(MOST, law.size), np.random.default_rng(0))
    some = population.select(min(MOST, max(len(population), 1)), 0)
    z = law.scores(some.outputs.columns(law.names))
    words = f"{title}: pairs of outputs, people black, patients drawn to equal weight blue."
    with style():
        figure, axes = new_figure(2.15 * rows, rows, across, squeeze=False)
        for ax, (i, j) in zip(axes.flat, places, strict=False):
            clouds = [(people, INK), (z, BLUE)]
            for points, colour in sorted(clouds, key=lambda c: -len(c[0])):  # the smaller cloud on top
                size = 2.2 if len(points) > FEW else 4.0
                x, y = (_natural(law, points[:, k], k) for k in (j, i))
                ax.plot(x, y, ".", color=colour, ms=size, mew=0, alpha=0.5)
            _log_axis(ax.xaxis, ax.set_xscale)
            _log_axis(ax.yaxis, ax.set_yscale)
            ax.set(xlabel=law.names[j], ylabel=law.names[i])
        for ax in axes.flat[len(places) :]:
            ax.set_axis_off()
        return Figure(name, words, to_svg(figure, name, label=words), words)


def _log_axis(axis: Any, set_scale: Any) -> None:
    from matplotlib.ticker import LogLocator

    set_scale("log")
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=8))
    plain_log_ticks(axis)


def weights(populations: Populations) -> Figure:
    """Of every patient, times their number: one is an equal weight."""
    words = "Weights times the number of patients: one is an equal weight; beyond the range they are drawn at its ends."
    edges = np.logspace(-3, 2, 41)
    with style():
        figure, ax = new_figure(2.2)
        for (name, v), colour in zip(populations.items(), PALETTE * 9, strict=False):
            w = v.weights[v.weights > 0]
            # the label says how many they are worth
            label = f"{name}: effective {v.effective_size:.0f} of {len(w)}"
            ax.hist(np.clip(w * len(w), edges[0], edges[-1]), edges, histtype="step", color=colour, label=label)
        ax.axvline(1.0, color=GREY, lw=0.8, ls=(0, (1, 2)))
        ax.set(xscale="log", xlabel="weight × number of patients (1: equal)", ylabel="patients")
        plain_log_ticks(ax.xaxis)
        ax.legend()
        return Figure("weights", words, to_svg(figure, "weights", label=words), words)


def reasons(ledger: Ledger, title: str) -> Figure | None:
    """Bars of the reasons for which patients are not usable, most frequent first; None where there are none."""
    found = [(text, n) for texts in ledger.reasons.values() for text, n in texts.items()]
    found = sorted(found, key=lambda item: -item[1])[:MOST_REASONS]
    if not found:
        return None
    name, words = f"reasons-{slug(title)}", f"{title}: patients per reason of rejection; one may have several."
    with style():
        figure, ax = new_figure(0.45 + 0.19 * len(found))
        places = np.arange(len(found))
        ax.barh(places, [n for _, n in found], color=BLUE, height=0.65)
        for y, (_, n) in zip(places, found, strict=True):
            ax.text(n, y, f" {n / ledger.total:.1%}", va="center", fontsize=6.5)
        ax.set_yticks(places, ["\n".join(textwrap.wrap(text, 52)) for text, _ in found])
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_ylim(len(found) - 0.4, -0.6)
        ax.set_xlim(0, 1.12 * found[0][1])
        ax.set_xlabel(f"patients, and share of the {ledger.total} that were looked at")
        return Figure(name, words, to_svg(figure, name, label=words), words)
