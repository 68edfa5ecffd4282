"""Blocks for sections of your own: data frames as tables, axes as figures, and what a fit found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .blocks import Block, Figure, Heading, Items, ReportError, Table, text
from .common import capital, slug
from .drawing import GREY, INK, axes_svg, new_figure, place_log_ticks, plain_log_ticks, style, with_unit
from .tables import Column, count, prose, significant, table_from

CURVE_POINTS = 3  # below this many measured times a curve over time says nothing


def frame_table(
    frame: Any,
    name: str,
    caption: str,
    *,
    titles: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    widths: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> Table:
    """A table block of every column of `frame`: whole numbers and text as they are, other numbers with three
    significant digits. `titles`, `units` and `widths` (percent) are by column."""
    titles, units, widths = titles or {}, units or {}, widths or {}
    columns = []
    for key in map(str, frame.columns):
        show = {"f": significant, "i": count, "u": count}.get(frame[key].dtype.kind, prose)
        title = titles.get(key, capital(key.replace("_", " ")))
        columns.append(Column(key, title, show, units.get(key, ""), width=widths.get(key)))
    return table_from(frame, columns, name=name, caption=caption, notes=notes)


def axes_figure(ax: Any, name: str, caption: str, *, alt: str = "") -> Figure:
    """A figure block of the figure that the matplotlib axes `ax` is in."""
    alt = alt or caption
    return Figure(name, caption, axes_svg(ax, name, label=alt), alt)


def calibration(
    title: str, problem: Any, fit: Any, *, note: str = "", identifiability: Any = None, profiles: Any = None
) -> Iterator[Block]:
    """Sub-section on one calibration: what was fitted, the starts, estimates, what is identifiable, and residuals. A
    fit that did not converge is said to be so, and has no intervals.

    Args:
        title: heading; it names tables and figures too, and so must be unique in the report.
        problem: the `CalibrationProblem`.
        fit: its `Fit`.
        note: what the reader should know of it, one paragraph.
        identifiability: its `Identifiability`, or None.
        profiles: its `Profiles`, or None.

    Raises:
        ReportError: if the fit is of another problem.
    """
    if tuple(fit.objective.names) != tuple(problem.names):
        raise ReportError(
            f"Argument `fit` must be one of `problem`, but it estimates {', '.join(fit.objective.names)}."
        )
    name = slug(title)
    yield Heading(title, f"calibration-{name}", 2)
    if note:
        yield text(note)
    yield text(f"{capital(str(problem))}. {_starts(fit)}")
    if not fit.converged:
        yield text(fit.warning)
    yield _estimates(name, title, problem, fit, identifiability)
    if identifiability is not None:
        yield text("What the measurements can tell, by the rank of the information without priors:")
        yield Items(tuple(line.removeprefix("- ") for line in str(identifiability).split("\n")))
    if profiles is not None:
        frame = profiles.to_dataframe()[["parameter", "estimate", "low", "high", "verdict"]]
        yield frame_table(frame, f"{name}-profiles", f"{title}: intervals of {100 * profiles.level:g} % by profile "
                          "likelihood; an open end is printed as the bound of the search.")  # fmt: skip
    yield _residuals(name, title, problem, fit)


def _starts(fit: Any) -> str:
    how = ", ".join(f"{row['n']} {row['status']}" for row in fit.ledger.to_dict("records") if row["n"])
    return (
        f"{len(fit.starts)} starts ({how}); {fit.hits()} of them ended within 0.1 of the best log-posterior, "
        f"{fit.value:.2f}."
    )


def _estimates(name: str, title: str, problem: Any, fit: Any, identifiability: Any) -> Table:
    units = dict(zip(problem.table()["name"], problem.table()["unit"], strict=True))
    frame = fit.to_dataframe()[["parameter", "estimate", "low", "high", "bound"]]
    frame.insert(1, "unit", [units.get(n, "") for n in frame["parameter"]])
    frame["bound"] = [b or "–" for b in frame["bound"]]
    if fit.converged:
        notes = ["Intervals from the Fisher information, normal on the scale of the search; none at a bound."]
        caption = f"{title}: estimates with 95 % intervals."
    else:
        frame = frame.drop(columns=["low", "high"])
        notes = ["NOT CONVERGED: where the search stood, without intervals, which hold at an optimum only."]
        caption = f"{title}: the best values found. NOT CONVERGED."
    if identifiability is not None:
        frame["verdict"] = [identifiability.verdicts[n] for n in frame["parameter"]]
        notes.append("“identifiable”: the interval is narrower than the bounds of the search; it may still be wide.")
    return frame_table(
        frame,
        f"{name}-estimates",
        caption,
        titles={"low": "2.5 %", "high": "97.5 %", "bound": "At a bound"},
        notes=notes,
    )


def _residuals(name: str, title: str, problem: Any, fit: Any) -> Figure:
    """Measured against predicted values, and standardised residuals in the order of the table."""
    frame = problem.predict(fit.x)
    unit = str(frame["unit"].iloc[0]) if "unit" in frame else ""
    with style():
        figure, (left, right) = new_figure(2.6, 1, 2)
        over_time = frame["time"].nunique() >= CURVE_POINTS
        for _, rows in frame.groupby("arm", sort=False):
            left.plot(rows["prediction"], rows["value"], "o", markersize=3)
            right.plot(rows["time" if over_time else "prediction"], rows["residual"], "o", markersize=3)
        both = [v for v in [*frame["prediction"], *frame["value"]] if math.isfinite(v)]
        positive = min(both) > 0
        ends = (min(both) / 1.3, max(both) * 1.3) if positive else (min(both), max(both))
        left.plot(ends, ends, color=GREY, linewidth=0.8)
        if positive:
            for axis, setter in ((left.xaxis, left.set_xscale), (left.yaxis, left.set_yscale)):
                setter("log")
                place_log_ticks(axis, *ends)
                plain_log_ticks(axis)
        left.set(xlabel=with_unit("predicted", unit), ylabel=with_unit("measured", unit))
        label = f"time ({problem.model.time_unit})" if over_time else with_unit("predicted", unit)
        right.set(xlabel=label, ylabel="standardised residual")
        for level in (-2, 0, 2):
            right.axhline(level, color=INK if level == 0 else GREY, linewidth=0.6)
    outside = int((frame["residual"].abs() > 2).sum())
    caption = (
        f"{title}: measured against predicted values, and standardised residuals; {outside} of {len(frame)} lie beyond "
        "two standard deviations. Colours: arms."
    )
    return axes_figure(left, f"{name}-residuals", caption)
