"""Figures of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from qspx.calibrate.fit_result import Fit

LINEAR = 0.1  # log-posterior below the best up to which the axis is linear


def _axes(ax: Any, **size: Any) -> Any:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained", **size)[1]


def _below_best(ax: Any) -> None:
    ax.set_yscale("symlog", linthresh=LINEAR)
    ax.set(ylabel="log-posterior below the best")
    ax.set_ylim(bottom=-0.2 * LINEAR)


def plot_waterfall(fit: Fit, ax: Any = None) -> Any:
    """How far below the best every start ended, sorted; steps are local maxima. Starts that failed are counted."""
    ax = _axes(ax)
    gap = fit.value - fit.search.value[fit.order]
    shown = np.isfinite(gap)
    converged = fit.search.status[fit.order] <= 2
    rank = np.arange(1, len(gap) + 1)
    for marker, rows, label in (("o", shown & converged, "converged"), ("x", shown & ~converged, "not converged")):
        if rows.any():
            ax.plot(rank[rows], gap[rows], marker, label=label)
    _below_best(ax)
    ax.set(xlabel="start, from the best to the worst", title=f"{int((~shown).sum())} of {len(gap)} starts failed")
    ax.legend()
    return ax


def plot_parameters(fit: Fit, ax: Any = None, within: float = 10.0) -> Any:
    """Where the starts ended between the bounds of every parameter: those `within` so much of the best log-posterior,
    the best in bold."""
    names = fit.objective.names
    ax = _axes(ax, figsize=(6.4, 1.0 + 0.3 * len(names)))
    rows = [k for k in fit.order if fit.search.value[k] >= fit.value - within]
    height = np.arange(len(names))[::-1]
    for k in rows[::-1]:
        best = k == rows[0]
        strength = 1.0 - 0.9 * (fit.value - fit.search.value[k]) / within
        style = {"color": "C3", "lw": 2.0} if best else {"color": "C0", "lw": 0.8, "alpha": strength}
        ax.plot(fit.search.place[k], height, marker="o", ms=3, **style)
    ax.set_yticks(height, names)
    ax.set(xlim=(-0.02, 1.02), xlabel="place between the bounds, on the estimation scale")
    ax.set_title(f"{len(rows)} starts within {within:g} of the best")
    return ax


def plot_history(fit: Fit, ax: Any = None) -> Any:
    """How far below the best every start was after each step."""
    ax = _axes(ax)
    for k in fit.order[::-1]:
        steps = int(fit.search.iterations[k]) + 1
        colour = "C3" if k == fit.order[0] else "C0"
        ax.plot(fit.value - fit.run.history[:steps, k], color=colour, lw=0.8, alpha=0.7)
    _below_best(ax)
    ax.set(xlabel="step")
    return ax


def plot_predictions(fit: Fit, ax: Any = None) -> Any:
    """Measured against predicted; limits of censored measurements as open symbols."""
    ax = _axes(ax)
    o, found = fit.objective, fit.predict()
    for k, g in enumerate(o.groups):
        for rows, fill in ((g.rows[o.censored[g.rows] == 0], "full"), (g.rows[o.censored[g.rows] != 0], "none")):
            ax.plot(found.prediction[rows], o.value[rows], "o", ms=4, color=f"C{k % 10}", fillstyle=fill)
    both = np.concatenate([found.prediction, o.value])
    ends = [np.nanmin(both), np.nanmax(both)]
    ax.plot(ends, ends, color="0.5", lw=0.8)
    if ends[0] > 0 and any(g.noise.scale != "lin" for g in o.groups):
        ax.set(xscale="log", yscale="log")
    ax.set(xlabel="predicted", ylabel="measured")
    return ax


def plot_residuals(fit: Fit, ax: Any = None) -> Any:
    """Standardised residuals against time; limits of censored measurements as open symbols."""
    ax = _axes(ax)
    o = fit.objective
    z = np.asarray(o.residuals(fit.x))
    for k, g in enumerate(o.groups):
        for rows, fill in ((g.rows[o.censored[g.rows] == 0], "full"), (g.rows[o.censored[g.rows] != 0], "none")):
            ax.plot(o.time[rows], z[rows], "o", ms=4, color=f"C{k % 10}", fillstyle=fill)
    ax.axhline(0.0, color="0.5", lw=0.8)
    ax.set(xlabel="time", ylabel="standardised residual")
    return ax
