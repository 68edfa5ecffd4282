"""Section 9, what the model predicts, and section 10, escalation from the first dose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import figures
from .blocks import Block, Figure, Heading, Table, missing, text
from .common import capital, marks, slug
from .drawing import axes_svg
from .tables import Column, count, dose, general, one_decimal, percent, significant, table_from, unit_words


def simulations(rationale: Any) -> Iterator[Block]:
    yield Heading("Simulations", "simulations")
    curves, profiles = rationale.curves, rationale.profiles
    if len(curves):
        yield Heading("Metrics against dose", "metrics", 2)
        for metric in dict.fromkeys(curves["metric"]):
            yield _metric_figure(rationale, str(metric))
    else:
        yield missing("No simulations of a metric against dose were supplied.")
    yield Heading("Decision thresholds", "thresholds-used", 2)
    if rationale.thresholds:
        yield _threshold_table(rationale)
    else:
        yield missing("No decision thresholds were supplied.")
    yield Heading("Probability of exceeding thresholds at the proposed doses", "exceedance", 2)
    yield from _exceedance(rationale)
    yield Heading("Time courses", "time-courses", 2)
    if len(profiles):
        yield _profile_figure(rationale)
    else:
        yield missing("No time courses were supplied.")


def _metric_figure(rationale: Any, metric: str) -> Figure:
    curve = rationale.curves[rationale.curves["metric"] == metric]
    thresholds = [t for t in rationale.thresholds if t.metric == metric]
    ax = figures.metric_by_dose(curve, thresholds=thresholds, marks=marks(rationale))
    name = f"metric-{slug(metric)}"
    alt = f"{metric} against dose: population median with 25 to 75 and 5 to 95 % bands."
    per_dose = count(curve["n_ok"].max())
    failed = int(curve["n_failed"].sum())
    solved = (
        f"All {per_dose} subjects were solved at every dose."
        if failed == 0
        else f"Subjects solved per dose: {count(curve['n_ok'].min())} to {per_dose}; {count(failed)} solves failed and "
        "are not in the bands."
    )
    lines = " Dotted horizontal lines: decision thresholds." if thresholds else ""
    caption = f"{capital(metric)}, against dose. Bands: 25–75 % and 5–95 % of the virtual population.{lines} {solved}"
    return Figure(name, caption, axes_svg(ax, name, label=alt), alt)


def _exceedance(rationale: Any) -> Iterator[Block]:
    data = rationale.exceedance
    if not len(data):
        why = "no dose was proposed" if rationale.proposal is None else "none were supplied"
        yield missing(f"There are no probabilities of exceeding a threshold at proposed doses: {why}.")
        return
    low, high = percent(data["probability"].min()), percent(data["probability"].max())
    yield text("Share of the virtual population whose metric lies above the threshold at the proposed doses: ",
               low if low == high else f"{low} to {high}", ".")  # fmt: skip
    shown = data.assign(
        interval=[f"{percent(a)} – {percent(b)}" for a, b in zip(data["low_5"], data["high_95"], strict=True)],
        at=[f"{name}, {dose(value)}" for name, value in zip(data["dose"], data["dose_ug_per_kg"], strict=True)],
    )
    yield table_from(
        shown,
        [
            Column("metric", "Metric", lambda metric: capital(str(metric)), width=34),
            Column("threshold", "Threshold", general),
            Column("unit", "Unit", unit_words),
            Column("at", "Dose", width=22),
            Column("probability", "Probability", percent),
            Column("interval", "5–95\u00a0%", align_right=True),
        ],
        name="exceedance",
        caption="Probability of exceeding thresholds at the proposed doses.",
        notes=("5–95 %: from the finite number of virtual subjects; uncertainty of the model is not part of it.",),
        data=data,
    )  # fmt: skip


def _threshold_table(rationale: Any) -> Table:
    import pandas as pd

    curves = rationale.curves
    units = dict(zip(curves["metric"], curves["unit"], strict=True)) if len(curves) else {}
    rows = [{"metric": t.metric, "label": t.label, "value": t.value, "unit": units.get(t.metric, ""),
             "quantile": t.quantile} for t in rationale.thresholds]  # fmt: skip
    return table_from(
        pd.DataFrame(rows),
        [
            Column("metric", "Metric", lambda metric: capital(str(metric)), width=36),
            Column("label", "Threshold", width=34),
            Column("value", "Value", general),
            Column("unit", "Unit", unit_words),
            Column("quantile", "Quantile", general, "of the population"),
        ],
        name="thresholds",
        caption="Decision thresholds, as supplied by the user.",
    )


def _profile_figure(rationale: Any) -> Figure:
    axes = figures.profiles(rationale.profiles, time_unit=rationale.profile_time_unit, dose_times=rationale.dose_times)
    alt = "Simulated time courses: median and 5 to 95 % band per panel."
    given = ", ".join(f"{significant(d)} µg/kg on day {t:g}" for t, d in rationale.dose_times[:8])
    more = " and so on" if len(rationale.dose_times) > 8 else ""
    doses = f" Triangles mark the doses: {given}{more}." if rationale.dose_times else ""
    arms = list(dict.fromkeys(rationale.profiles["arm"]))
    who = f" ({unit_words(arms[0])})" if len(arms) == 1 else ""
    return Figure(
        "profiles",
        f"Simulated time courses{who}; median and 5–95 % band of the virtual population.{doses}",
        axes_svg(axes[0], "profiles", label=alt),
        alt,
    )


def escalation(rationale: Any) -> Iterator[Block]:
    yield Heading("Dose escalation and stopping", "escalation")
    if rationale.proposal is not None:
        yield _schedule_table(rationale)
    else:
        yield missing("No dosing schedule was proposed.")
    saved = {"cohorts_saved_half_log", "cohorts_saved_doubling"}
    if len(rationale.folds) and saved <= set(rationale.folds.columns):
        frame = rationale.folds.sort_values(["dose_ug_per_kg", "method"]).reset_index(drop=True)
        context = {e.method for e in rationale.estimates if not e.decision_relevant}
        frame = frame.assign(decision_relevant=[method not in context for method in frame["method"]])
        left_out = [f"{method}\u00a0†" for method in frame["method"] if method in context]
        absent = (f"Not listed (context only): {'; '.join(left_out)}.",) if left_out else ()
        yield table_from(
            frame[frame["decision_relevant"]].reset_index(drop=True),
            [
                Column("method", "Escalation started at", width=46),
                Column("dose_ug_per_kg", "Dose", significant, "µg/kg"),
                Column("cohorts_saved_half_log", "Half-log steps", one_decimal, "to the target"),
                Column("cohorts_saved_doubling", "Doublings", one_decimal, "to the target"),
            ],
            name="cohorts",
            caption="Escalation steps between each decision-relevant estimate and the proposed target dose. Negative: "
            "the estimate lies above the target.",
            notes=("Half-log step: factor 3.16. Escalation rules and cohort sizes are not considered.", *absent),
            data=frame,
        )
    yield missing(
        "Escalation increments, sentinel dosing, dose-limiting toxicity rules, stopping criteria, the maximum dose, "
        "monitoring and rescue measures were not supplied; they belong to the protocol."
    )


def _schedule_table(rationale: Any) -> Table:
    import pandas as pd

    proposal = rationale.proposal
    target = proposal.target_ug_per_kg
    rows = [
        {"day": day, "fraction": fraction, "dose_ug_per_kg": fraction * target}
        for day, fraction in zip(proposal.days, proposal.fractions, strict=True)
    ]
    columns = [
        Column("day", "Day", general),
        Column("fraction", "Share of target", percent),
        Column("dose_ug_per_kg", "Dose", significant, "µg/kg"),
    ]
    weights = sorted({e.body_weight_kg for e in rationale.estimates})
    for weight in weights[:2]:
        key = f"dose_ug_at_{weight:g}_kg"
        for row in rows:
            row[key] = row["dose_ug_per_kg"] * weight
        columns.append(Column(key, f"Dose at {weight:g} kg", significant, "µg"))
    return table_from(
        pd.DataFrame(rows), columns, name="schedule", caption="The user’s proposed first cycle, in order of injection."
    )
