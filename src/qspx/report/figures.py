"""The report's figures. Each function takes data and an optional `ax`, draws, and returns the Axes.

Figures are drawn at print size with the palette of Okabe and Ito (distinguishable with colour-vision deficiency and,
through line style and marker, in black and white). Curves are labelled directly.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .common import capital, short_metric
from .drawing import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALETTE,
    SMALL,
    mark_doses,
    new_axes,
    new_figure,
    place_log_ticks,
    plain_log_ticks,
    style,
    with_unit,
)
from .labels import label_ends, label_thresholds, wrap_titles
from .tables import significant

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

Frame = Any  # a pandas.DataFrame; its stubs make a Series of every selection


def forest(
    estimates: Sequence[Any],
    *,
    marks: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """All dose estimates on one log axis, lowest on top, with 5–95 % intervals where there are any.

    `estimates` have the attributes of `DoseEstimate`. Those that are not decision-relevant are hollow, grey and
    marked "context only". `marks` are doses in µg/kg drawn as vertical lines (first injection, target).
    """
    ordered = sorted(estimates, key=lambda e: (e.dose_ug_per_kg, e.method))
    labels = ["\n".join(textwrap.wrap(e.method, 44)) for e in ordered]
    with style():
        second_lines = sum(label.count("\n") for label in labels)
        ax = ax if ax is not None else new_axes(0.6 + 0.18 * max(len(ordered), 1) + 0.09 * second_lines)
        _draw_forest(ax, ordered, labels, marks or {})
    return ax


def _draw_forest(ax: Axes, ordered: Sequence[Any], labels: Sequence[str], marks: Mapping[str, float]) -> None:
    ax.set_xscale("log")
    ends = list(marks.values())
    for row, estimate in enumerate(ordered):
        colour = BLUE if estimate.decision_relevant else GREY
        value = estimate.dose_ug_per_kg
        ends.append(value)
        if row % 2:
            ax.axhspan(row - 0.5, row + 0.5, color="#f4f5f6", linewidth=0, zorder=0)
        if estimate.interval is not None:
            low, middle, high = estimate.interval
            ends += [low, high]
            ax.plot([low, high], [row, row], color=colour, linewidth=1.4, solid_capstyle="butt")
            ax.plot([low, high], [row, row], color=colour, linestyle="", marker="|", markersize=5)
            if abs(middle / value - 1) > 0.02:
                ax.plot([middle], [row], color=colour, linestyle="", marker="|", markersize=7)
        ax.plot([value], [row], "o", markersize=5, color=colour, zorder=3,
                markerfacecolor=colour if estimate.decision_relevant else "white")  # fmt: skip
        shown = significant(value)
        if estimate.interval is not None:
            shown += f"  ({significant(estimate.interval[0])}–{significant(estimate.interval[2])})"
        if not estimate.decision_relevant:
            shown += "  context only"
        ax.annotate(shown, (1.015, row), xycoords=("axes fraction", "data"), va="center", fontsize=SMALL,
                    color=INK if estimate.decision_relevant else GREY)  # fmt: skip
    ax.set_yticks(range(len(ordered)), labels)
    for label, estimate in zip(ax.get_yticklabels(), ordered, strict=True):
        label.set_color(INK if estimate.decision_relevant else GREY)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_ylim(len(ordered) - 0.45, -0.55)
    ends = [end for end in ends if end > 0]
    if ends:
        ax.set_xlim(min(ends) / 2, max(ends) * 2)
        place_log_ticks(ax.xaxis, min(ends) / 2, max(ends) * 2)
    ax.grid(axis="x")
    plain_log_ticks(ax.xaxis)
    ax.set_xlabel("Dose (µg/kg, log scale)")
    mark_doses(ax, marks)


def metric_by_dose(
    curve: Frame,
    *,
    thresholds: Sequence[Any] = (),
    marks: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """One metric against dose, log-log: population median, 25–75 % and 5–95 % bands, thresholds, marked doses.

    `curve` has columns metric, unit, dose_ug_per_kg, q05, q25, q50, q75, q95 (one metric). `thresholds` have the
    attributes value and label.
    """
    with style():
        own = ax is None
        ax = ax if ax is not None else new_axes(2.9)
        data = curve.sort_values("dose_ug_per_kg")
        x = data["dose_ug_per_kg"].to_numpy(float)
        values = {key: data[key].to_numpy(float) for key in ("q05", "q25", "q50", "q75", "q95")}
        ax.fill_between(x, values["q05"], values["q95"], color=BLUE, alpha=0.16, linewidth=0)
        ax.fill_between(x, values["q25"], values["q75"], color=BLUE, alpha=0.28, linewidth=0)
        ax.plot(x, values["q50"], color=BLUE)
        ax.set_xscale("log")
        logarithmic = bool((values["q05"] > 0).all())
        if logarithmic:
            ax.set_yscale("log")
            plain_log_ticks(ax.yaxis)
            ends = [values["q05"].min(), values["q95"].max(), *(t.value for t in thresholds if t.value > 0)]
            ax.set_ylim(min(ends) / 1.6, max(ends) * 1.6)
        ax.set_xlim(x.min(), x.max())
        place_log_ticks(ax.xaxis, x.min(), x.max())
        plain_log_ticks(ax.xaxis)
        label_ends(ax, {"95 %": values["q95"][-1], "75 %": values["q75"][-1], "median": values["q50"][-1],
                         "25 %": values["q25"][-1], "5 %": values["q05"][-1]}, BLUE)  # fmt: skip
        mark_doses(ax, marks or {})
        metric, unit = str(data["metric"].iloc[0]), str(data["unit"].iloc[0])
        ax.set_title(capital(metric), pad=15 if marks else 6)
        ax.set_xlabel("Dose (µg/kg, log scale)")
        ax.set_ylabel("\n".join(textwrap.wrap(with_unit(short_metric(metric), unit), 36)))
        wrap_titles([ax], grow=own)
        label_thresholds(ax, thresholds, band=(x, values["q05"], values["q95"]), verticals=list((marks or {}).values()))
    return ax


def profiles(
    frame: Frame,
    *,
    time_unit: str = "day",
    dose_times: Sequence[tuple[float, float]] = (),
    axes: Sequence[Axes] | None = None,
) -> np.ndarray:
    """Small multiples over time, one per panel: median and 5–95 % band per arm, ticks where doses are given.

    `frame` has columns panel, unit, time, q05, q50, q95, arm. Quantities with a unit are drawn on a log axis when
    they span more than a factor of 30, dimensionless ones (occupancies) on a linear axis. Returns the array of Axes.
    """
    import numpy as np

    panels = list(dict.fromkeys(frame["panel"]))
    columns = 1 if len(panels) < 3 else 2
    rows = math.ceil(len(panels) / columns)
    with style():
        used = list(axes[: len(panels)]) if axes is not None else _panel_grid(len(panels), rows, columns)
        for ax, panel in zip(used, panels, strict=True):
            _draw_panel(ax, frame[frame["panel"] == panel], panel)
        span = frame["time"].max() - frame["time"].min()
        for ax in used:
            ax.set_xlim(frame["time"].min() - 0.01 * span, frame["time"].max())
            _mark_dose_times(ax, dose_times)
        for ax in used[-columns:]:
            ax.set_xlabel(f"Time ({time_unit})")
            ax.xaxis.set_tick_params(labelbottom=True)
        wrap_titles(used, grow=axes is None)
    return np.asarray(used, dtype=object)


def _panel_grid(n: int, rows: int, columns: int) -> list[Any]:
    figure, grid = new_figure(0.25 + 2.0 * rows, rows, columns, sharex=True, squeeze=False)
    figure.set_layout_engine("constrained", hspace=0.06, wspace=0.04, h_pad=0.03, w_pad=0.03)
    for spare in grid.ravel()[n:]:
        spare.remove()
    return list(grid.ravel()[:n])


def _draw_panel(ax: Axes, data: Frame, panel: str) -> None:
    unit = str(data["unit"].iloc[0])
    arms = list(dict.fromkeys(data["arm"]))
    colours = {arm: PALETTE[i % len(PALETTE)] for i, arm in enumerate(arms)}
    positive = data.loc[data["q50"] > 0, "q50"]
    top = float(data["q95"].max())
    dimensionless = unit in ("", "1", "%", "dimensionless", "fraction")
    floor = 0.0
    if not dimensionless and len(positive) and top / float(positive.min()) > 30:
        floor = max(float(positive.min()) / 3, top / 1e4)
        ax.set_yscale("log")
        ax.set_ylim(floor, top * 1.8)
        plain_log_ticks(ax.yaxis)
    elif top > 0:
        ax.set_ylim(0, top * 1.08)
        ax.ticklabel_format(axis="y", style="plain", useOffset=False)
        ax.yaxis.set_major_formatter(_short_number)
    ends = {}
    for arm in arms:
        one = data[data["arm"] == arm].sort_values("time")
        t, low, middle, high = (one[key].to_numpy(float) for key in ("time", "q05", "q50", "q95"))
        low, middle, high = (values.clip(min=floor) if floor else values for values in (low, middle, high))
        ax.fill_between(t, low, high, color=colours[arm], alpha=0.18, linewidth=0)
        ax.plot(t, middle, color=colours[arm])
        ends[str(arm)] = float(middle[-1])
    ax.set_title(panel, fontsize=7.5)
    ax.set_ylabel(with_unit("", unit).strip(" ()"))
    if len(arms) > 1:
        label_ends(ax, ends, {str(arm): colour for arm, colour in colours.items()})


def _short_number(value: float, _position: float | None = None) -> str:
    return f"{value:g}"


def _mark_dose_times(ax: Axes, dose_times: Sequence[tuple[float, float]]) -> None:
    """Small arrows on the time axis where a dose is given."""
    from matplotlib.transforms import blended_transform_factory

    at_bottom = blended_transform_factory(ax.transData, ax.transAxes)
    low, high = ax.get_xlim()
    times = [time for time, _ in dose_times if low <= time <= high]
    if not times:
        return  # a line without points has no extent, and the layout of the figure would fail
    ax.plot(times, [0.025] * len(times), linestyle="", marker="^", markersize=3.6, color=INK, transform=at_bottom,
            clip_on=False, zorder=4)  # fmt: skip


def tornado(sensitivity: Frame, *, most: int = 15, ax: Axes | None = None) -> Axes:
    """Elasticities of the dose, d log D* / d log p, largest on top; one metric (use one call per metric).

    `sensitivity` has columns parameter, meaning, elasticity_dose, tag. Blue bars: a larger parameter raises the
    dose; orange hatched bars: it lowers it.
    """
    data = sensitivity.copy()
    data["size"] = data["elasticity_dose"].abs()
    data = data.sort_values(["size", "parameter"], ascending=[False, True]).head(most)
    labels = ["\n".join(textwrap.wrap(_parameter_label(record), 62)) for record in data.to_dict("records")]
    values = data["elasticity_dose"].to_numpy(float)
    with style():
        row_height = 0.24 if any("\n" in label for label in labels) else 0.175
        ax = ax if ax is not None else new_axes(0.55 + row_height * max(len(data), 1))
        rows = range(len(values))
        ax.barh(rows, values, height=0.62, color=[BLUE if v >= 0 else ORANGE for v in values],
                hatch=["" if v >= 0 else "////" for v in values], edgecolor="white", linewidth=0)  # fmt: skip
        reach = max(abs(values).max(), 1e-12) * 1.28 if len(values) else 1.0
        for row, value in zip(rows, values, strict=True):
            ax.annotate(f"{value:+.2f}".replace("-", "−"), (value, row), xytext=(3 if value >= 0 else -3, 0),
                        textcoords="offset points", va="center", ha="left" if value >= 0 else "right",
                        fontsize=SMALL)  # fmt: skip
        ax.axvline(0, color="#444444", linewidth=0.6)
        ax.set_xlim(-reach if values.min(initial=0) < 0 else -0.05 * reach,
                    reach if values.max(initial=0) > 0 else 0.05 * reach)  # fmt: skip
        ax.set_yticks(rows, labels)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_ylim(len(values) - 0.4, -0.6)
        ax.grid(axis="x")
        ax.set_xlabel("Elasticity of the dose, d log D* / d log p")
    return ax


def _parameter_label(record: Mapping[str, Any]) -> str:
    meaning = str(record.get("meaning") or "").strip()
    return f"{meaning} [{record['tag']}]" if meaning else f"{record['parameter']} [{record['tag']}]"


def verification_ratios(verification: Frame, *, ax: Axes | None = None) -> Axes:
    """Computed over published value per check, with the recorded tolerance as a grey bar.

    `verification` has columns name, published, computed, tolerance (relative), passed. Checks whose published value is
    zero are not drawn (their ratio does not exist).
    """
    data = verification[verification["published"] != 0].reset_index(drop=True)
    with style():
        ax = ax if ax is not None else new_axes(0.55 + 0.185 * max(len(data), 1))
        for row, record in enumerate(data.to_dict("records")):
            ratio, tolerance = record["computed"] / record["published"], record["tolerance"]
            ax.plot([1 - tolerance, 1 + tolerance], [row, row], color="#d5d8db", linewidth=6, solid_capstyle="butt")
            passed = bool(record["passed"])
            ax.plot([ratio], [row], "o" if passed else "X", color=BLUE if passed else ORANGE, markersize=4.5)
            ax.annotate(f"{significant(ratio)}{'' if passed else '  outside'}", (1.015, row),
                        xycoords=("axes fraction", "data"), va="center", fontsize=SMALL,
                        color=INK if passed else ORANGE)  # fmt: skip
        ax.axvline(1, color="#444444", linewidth=0.6, zorder=1)
        ax.set_yticks(range(len(data)), ["\n".join(textwrap.wrap(str(name), 52)) for name in data["name"]])
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_ylim(len(data) - 0.4, -0.6)
        ax.grid(axis="x")
        ax.set_xlabel("Computed / reference (grey: tolerance)")
    return ax


def population_spread(population: Frame, *, ax: Axes | None = None) -> Axes:
    """The sampled 5–95 % range of each varied parameter relative to its sampled median, on a log axis.

    `population` has columns parameter, sample_q05, sample_q50, sample_q95 and may have meaning (then shown in place of
    the parameter's name); rows that are not positive are left out.
    """
    keys = ["sample_q05", "sample_q50", "sample_q95"]
    data = population[(population[keys] > 0).all(axis=1)].reset_index(drop=True)
    with style():
        ax = ax if ax is not None else new_axes(0.55 + 0.175 * max(len(data), 1))
        ends = [0.8, 1.25]
        for row, record in enumerate(data.to_dict("records")):
            low, high = (record[key] / record["sample_q50"] for key in ("sample_q05", "sample_q95"))
            ends += [low, high]
            ax.plot([low, high], [row, row], color=BLUE, linewidth=2.4, solid_capstyle="butt")
            ax.plot([1], [row], "o", markersize=4, color=BLUE, markerfacecolor="white")
        ax.set_xscale("log")
        ax.set_xlim(min(ends) / 1.15, max(ends) * 1.15)
        place_log_ticks(ax.xaxis, min(ends), max(ends))
        plain_log_ticks(ax.xaxis)
        ax.set_yticks(range(len(data)), [str(r.get("meaning") or r["parameter"]) for r in data.to_dict("records")])
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_ylim(len(data) - 0.4, -0.6)
        ax.grid(axis="x")
        ax.set_xlabel("Sampled 5–95 % range relative to the sampled median (log scale)")
    return ax
