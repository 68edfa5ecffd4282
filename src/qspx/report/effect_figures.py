"""Pictures of what parameters do to outputs: Sobol' indices, Morris' effects, rank correlations, local effects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .blocks import Figure, ReportError
from .common import capital
from .drawing import BLUE, GREY, INK, ORANGE, SMALL, new_figure, style, to_svg
from .tables import require_columns

Frame = Any  # a pandas.DataFrame; its stubs make a Series of every selection
ACROSS = 3  # panels side by side
MOST = 15  # parameters of a panel


def rank_figure(table: Frame, name: str = "rank-effects") -> Figure:
    """Partial rank correlations with their intervals, from `rank_effects`: a panel per output, strongest on top; open
    circles where the interval holds zero."""
    require_columns(table, ["output", "parameter", "correlation", "low", "high"], "table")

    def draw(ax: Any, rows: Frame, places: np.ndarray) -> None:
        ax.hlines(places, rows["low"], rows["high"], color=BLUE, lw=1.0)
        clear = (rows["low"] > 0) | (rows["high"] < 0)
        for keep, face in ((clear, BLUE), (~clear, "white")):
            ax.plot(rows["correlation"][keep], places[keep.to_numpy()], "o", color=BLUE, mfc=face, ms=3.5)
        ax.axvline(0, color=INK, lw=0.6)
        ax.set_xlim(-1.03, 1.03)

    words = f"Partial rank correlations with their intervals; open where zero is inside.{_missing(table)}"
    return _panels(table, "correlation", "partial rank correlation", draw, name, words)


def sobol_figure(table: Frame, name: str = "sobol-indices") -> Figure:
    """First-order (filled) and total (open) indices with their 95 % intervals, from `sobol_indices`."""
    require_columns(table, ["output", "parameter", "first", "first_width", "total", "total_width"], "table")

    def draw(ax: Any, rows: Frame, places: np.ndarray) -> None:
        for key, shift, colour, face in (("first", -0.17, BLUE, BLUE), ("total", 0.17, ORANGE, "white")):
            ax.hlines(places + shift, rows[key] - rows[f"{key}_width"], rows[key] + rows[f"{key}_width"], color=colour)
            ax.plot(rows[key], places + shift, "o", color=colour, mfc=face, ms=3.5, label=key)
        ax.axvline(0, color=INK, lw=0.6)

    words = f"Sobol' indices with their 95 % intervals: first order filled, total open.{_missing(table)}"
    return _panels(table, "total", "Sobol' index", draw, name, words)


def local_figure(table: Frame, name: str = "local-effects") -> Figure:
    """Change of the output per standard deviation of each parameter, from `local_effects`."""
    require_columns(table, ["output", "parameter", "effect"], "table")

    def draw(ax: Any, rows: Frame, places: np.ndarray) -> None:
        ax.barh(places, rows["effect"], height=0.62, color=[BLUE if x >= 0 else ORANGE for x in rows["effect"]])
        ax.axvline(0, color=INK, lw=0.6)

    words = f"Change of the output per standard deviation of a parameter, by exact derivatives.{_missing(table)}"
    return _panels(table, "effect", "change of the output", draw, name, words, shared=False)


def morris_figure(table: Frame, name: str = "morris-effects") -> Figure:
    """Mean size of the elementary effects against their standard deviation, from `morris_effects`. Far to the right:
    matters; above the line: not additive, or not linear."""
    require_columns(table, ["output", "parameter", "mean_absolute", "sd"], "table")
    outputs = list(dict.fromkeys(table["output"]))
    rows, across = -(-len(outputs) // ACROSS), min(len(outputs), ACROSS)
    words = (
        f"Elementary effects: mean size against standard deviation; dotted where the two are equal.{_missing(table)}"
    )
    with style():
        figure, axes = new_figure(2.4 * rows, rows, across, squeeze=False)
        for ax, output in zip(axes.flat, outputs, strict=False):
            mine = table[table["output"] == output].sort_values("mean_absolute", ascending=False)
            x, y = mine["mean_absolute"].to_numpy(float), mine["sd"].to_numpy(float)
            top = 1.15 * max(x.max(), y.max(), 1e-300)
            ax.plot([0, top], [0, top], ":", color=GREY, lw=0.8)
            ax.plot(x, y, "o", color=BLUE, ms=3.5)
            for k, label in enumerate(mine["parameter"][: MOST // 2]):
                ax.annotate(label, (x[k], y[k]), xytext=(3, 2), textcoords="offset points", fontsize=SMALL)
            ax.set(title=output, xlabel="mean size of the effect", ylabel="standard deviation", xlim=(0, None))
            ax.set_ylim(bottom=-0.02 * top)
        for ax in axes.flat[len(outputs) :]:
            ax.set_axis_off()
        return Figure(name, words, to_svg(figure, name, label=words), words)


def _missing(table: Frame) -> str:
    """What to say of patients that failed."""
    failed = int(table["failed"].max()) if "failed" in table and len(table) else 0
    return f" {capital(str(failed))} patients could not be solved and are left out." if failed else ""


def _panels(
    table: Frame,
    key: str,
    label: str,
    draw: Callable[[Any, Frame, np.ndarray], None],
    name: str,
    words: str,
    *,
    shared: bool = True,
) -> Figure:
    """A panel per output, parameters down the side: those with the largest `key` of any output, in one order."""
    if not len(table):
        raise ReportError("Argument `table` must have rows, but is empty.")
    outputs = list(dict.fromkeys(table["output"]))
    size = table[key].abs() / table.groupby("output")[key].transform(lambda x: max(x.abs().max(), 1e-300))
    order = size.groupby(table["parameter"]).max().sort_values(ascending=False, kind="stable").index[:MOST]
    rows, across = -(-len(outputs) // ACROSS), min(len(outputs), ACROSS)
    with style():
        height = rows * (0.55 + 0.17 * len(order))
        figure, axes = new_figure(height, rows, across, squeeze=False, sharey=True, sharex=shared)
        places = np.arange(len(order))
        for ax, output in zip(axes.flat, outputs, strict=False):
            mine = table[table["output"] == output].drop_duplicates("parameter").set_index("parameter").loc[order]
            draw(ax, mine, places)
            ax.set_title(output)
            ax.grid(axis="x")
            ax.tick_params(axis="y", length=0)
        axes[0, 0].set_yticks(places, list(order))
        axes[0, 0].set_ylim(len(order) - 0.4, -0.6)
        for ax in axes.flat[len(outputs) :]:
            ax.set_axis_off()
        figure.supxlabel(label, fontsize=7.5)
        return Figure(name, words, to_svg(figure, name, label=words), words)
