"""Courses over time of virtual populations with what was measured: bands, points, and how many points lie inside."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..weighted import weighted_quantile
from .blocks import Block, Figure, Heading, ReportError, Table
from .common import capital, slug
from .drawing import GREY, INK, PALETTE, new_figure, plain_log_ticks, style, to_svg, with_unit
from .tables import Column, count, percent, significant, table_from

if TYPE_CHECKING:
    from ..vpop import VirtualPopulation

Frame = Any  # a pandas.DataFrame; its stubs make a Series of every selection
LEVELS = (0.05, 0.5, 0.95)
ACROSS = 3  # panels side by side
_SAME_TIME = 0.02  # of the time shown: measurements nearer than this to each other share a median
_ENOUGH = 3  # people behind a median


@dataclasses.dataclass(frozen=True, eq=False)
class Course:
    """One quantity in one arm over time.

    Args:
        arm: heading of the panel, such as the dose.
        quantity: what is drawn; courses of one quantity share a figure.
        outputs: names of the population's outputs, by time: `Treated.course(arm, observable)` gives them.
        times: of the outputs, increasing.
        people: times and values of what was measured, or None.
        unit: of the quantity; `time_unit`: of the times (None: that of the model).
        log: draw the quantity on a logarithmic axis.
    """

    arm: str
    quantity: str
    outputs: Sequence[str]
    times: Sequence[float]
    people: tuple[Any, Any] | None = None
    unit: str = ""
    time_unit: str | None = None
    log: bool = False

    def __post_init__(self):
        times = np.asarray(self.times, float)
        if len(times) != len(self.outputs) or len(times) < 2 or not np.all(np.diff(times) > 0):
            raise ReportError(
                f"a course of {self.quantity} in {self.arm} needs at least two increasing `times`, one per output, but "
                f"has {len(times)} and {len(self.outputs)}."
            )
        if self.people is not None:
            t, y = (np.asarray(x, float) for x in self.people)
            if t.shape != y.shape or t.ndim != 1:
                raise ReportError(
                    f"Argument `people` of {self.quantity} in {self.arm} must be times and values of one length, but "
                    f"has shapes {t.shape} and {y.shape}."
                )
            keep = np.isfinite(t) & np.isfinite(y)
            object.__setattr__(self, "people", (t[keep], y[keep]))

    def band(self, vpop: VirtualPopulation) -> np.ndarray:
        """Quantiles 5, 50 and 95 % of the patients at each time, shape (3, times)."""
        return weighted_quantile(vpop.outputs.columns(tuple(self.outputs)), LEVELS, vpop.weights, axis=0)

    def measured_medians(self) -> tuple[np.ndarray, np.ndarray]:
        """Times and medians where at least three were measured at about the same time."""
        if self.people is None or not len(self.people[0]):
            return np.zeros(0), np.zeros(0)
        order = np.argsort(self.people[0], kind="stable")
        t, y = self.people[0][order], self.people[1][order]
        # a step of more than 2 % of the time shown begins a new group
        group = np.concatenate([[0], np.cumsum(np.diff(t) > _SAME_TIME * (self.times[-1] - self.times[0]))])
        kept = [group == g for g in range(group[-1] + 1) if (group == g).sum() >= _ENOUGH]
        return np.array([np.median(t[k]) for k in kept]), np.array([np.median(y[k]) for k in kept])


def course_blocks(populations: Mapping[str, VirtualPopulation], courses: Sequence[Course]) -> list[Block]:
    """A figure per quantity, a panel per arm, and the table of measurements inside the bands."""
    blocks: list[Block] = []
    for quantity in dict.fromkeys(c.quantity for c in courses):
        mine = [c for c in courses if c.quantity == quantity]
        if len(courses) > len(mine):
            blocks.append(Heading(capital(quantity), f"course-{slug(quantity)}", 2))
        blocks.append(_figure(populations, quantity, mine))
    table = coverage_table(populations, courses)
    if len(table):
        blocks.append(_coverage(table))
    return blocks


def _figure(populations: Mapping[str, VirtualPopulation], quantity: str, courses: Sequence[Course]) -> Figure:
    name, rows = f"course-{slug(quantity)}", -(-len(courses) // ACROSS)
    across = min(ACROSS, len(courses))
    words = f"{capital(quantity)}: median and 5–95 % of the patients (line, shaded)"
    if any(c.people is not None for c in courses):
        words += "; measurements (points) and their medians where at least three were taken (dashed)"
    with style():
        figure, axes = new_figure(0.3 + 1.75 * rows, rows, across, squeeze=False, sharex=True, sharey=True)
        for ax, course in zip(axes.flat, courses, strict=False):
            if course.people is not None:
                ax.plot(*course.people, ".", color=GREY, ms=2.5, zorder=3)
                ax.plot(*course.measured_medians(), color=INK, ls=(0, (4, 2)), lw=0.9, zorder=4)
            for (label, v), colour in zip(populations.items(), PALETTE * 9, strict=False):
                band = course.band(v)
                ax.fill_between(course.times, band[0], band[2], color=colour, alpha=0.18, lw=0)
                ax.plot(course.times, band[1], color=colour, label=label)
            ax.set_title(course.arm)
            ax.grid(axis="y")
        if courses[0].log:
            axes[0, 0].set_yscale("log")
            axes[0, 0].set_ylim(*_log_limits(populations, courses))
            plain_log_ticks(axes[0, 0].yaxis)
        for ax in axes.flat[len(courses) :]:
            ax.set_axis_off()
        for j, ax in enumerate(axes[-1] if rows == 1 else [*axes[-1]]):
            below = ax if (rows - 1) * across + j < len(courses) else axes[-2, j]
            own = next(iter(populations.values())).cohort.model.time_unit
            below.set_xlabel(f"time ({courses[0].time_unit or own})")
            below.tick_params(labelbottom=True)
        figure.supylabel(with_unit(quantity, courses[0].unit), fontsize=7.5)
        if len(populations) > 1:
            axes[0, 0].legend(fontsize=6.5)
        return Figure(name, f"{words}.", to_svg(figure, name, label=words), words)


def _log_limits(populations: Mapping[str, VirtualPopulation], courses: Sequence[Course]) -> tuple[float, float]:
    """What was measured, and the highest of the bands: they may run out of the picture below what was measured."""
    bands = [c.band(v) for c in courses for v in populations.values()]
    shown = [c.people[1] for c in courses if c.people is not None] or [b[1] for b in bands]
    shown += [[b[1].max()] for b in bands]
    positive = np.concatenate([x[x > 0] for x in map(np.asarray, shown)])
    return (0.5 * positive.min(), 2 * positive.max()) if len(positive) else (0.1, 10.0)


def coverage_table(populations: Mapping[str, VirtualPopulation], courses: Sequence[Course]) -> Frame:
    """One row per population, quantity and arm with measurements: `measured`, how many lie `inside` the 5-95 % of
    patients (the band is straight between its times) and `share`; `outside_times` could not be compared; `ratio`, the
    geometric mean over times of the patients' median over that of the measurements, where both are positive."""
    import pandas as pd

    rows = []
    for course in courses:
        if course.people is None:
            continue
        t, y = course.people
        times = np.asarray(course.times, float)
        seen = (t >= times[0]) & (t <= times[-1])
        at, medians = course.measured_medians()
        for name, v in populations.items():
            low, middle, high = course.band(v)
            between = [np.interp(t[seen], times, x) for x in (low, high)]
            inside = int(((y[seen] >= between[0]) & (y[seen] <= between[1])).sum())
            ours = np.interp(at, times, middle)
            ok = (at >= times[0]) & (at <= times[-1]) & (ours > 0) & (medians > 0)
            ratio = float(np.exp(np.log(ours[ok] / medians[ok]).mean())) if ok.any() else np.nan
            n = int(seen.sum())
            rows.append({
                "population": name, "quantity": course.quantity, "arm": course.arm, "measured": n, "inside": inside,
                "share": inside / n if n else np.nan, "outside_times": int((~seen).sum()), "ratio": ratio,
            })  # fmt: skip
    return pd.DataFrame(rows)


def _coverage(table: Frame) -> Table:
    columns = [Column("quantity", "quantity"), Column("arm", "arm"), Column("measured", "measured", count)]
    wide = table.drop_duplicates(["quantity", "arm"])[["quantity", "arm", "measured"]].reset_index(drop=True)
    for k, name in enumerate(dict.fromkeys(table["population"])):
        mine = table[table["population"] == name].reset_index(drop=True)
        group = str(name) if table["population"].nunique() > 1 else ""
        for key, words, show in (
            ("inside", "inside 5–95 %", count),
            ("share", "share", percent),
            ("ratio", "median ratio", significant),
        ):
            wide[f"{key}_{k}"] = mine[key]
            columns.append(Column(f"{key}_{k}", words, show, align_right=True, group=group))
    notes = [
        "Measurement error is not in the bands, so that fewer than 90 % inside are expected. Median ratio: patients "
        "over measurements, geometric mean over times."
    ]
    if (late := int(table.drop_duplicates(["quantity", "arm"])["outside_times"].sum())) > 0:
        notes.append(f"{late} measurements before the first or after the last time that was simulated are left out.")
    return table_from(wide, columns, name="coverage", caption="Measurements and bands.", notes=notes, data=table)
