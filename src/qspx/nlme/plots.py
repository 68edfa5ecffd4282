"""Figures of population fits: goodness of fit, individual courses, visual predictive checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._errors import CalibrationError, closest

if TYPE_CHECKING:
    import pandas as pd

    from qspx.nlme.population_fit import PopulationFit
    from qspx.nlme.predictive_check import VisualPredictiveCheck

_DOT: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 3, "alpha": 0.6}


def plot_goodness(fit: PopulationFit, observable: str | None = None) -> Any:
    """Four panels of one observable: DV against PRED and IPRED, CWRES against time and PRED. Returns the Figure."""
    import matplotlib.pyplot as plt

    name = _observable(fit.problem.data.endpoints, observable)
    frame = fit.individuals.residuals
    frame = frame[(frame["observable"] == name) & (frame["CENS"] == 0)]
    unit = fit.problem.model.outputs[name].unit
    figure, axes = plt.subplots(2, 2, figsize=(8, 7), layout="constrained")
    for ax, x in zip(axes[0], ("PRED", "IPRED"), strict=True):
        ax.plot(frame[x], frame["DV"], **_DOT)
        ends = [np.nanmin([frame[x], frame["DV"]]), np.nanmax([frame[x], frame["DV"]])]
        ax.plot(ends, ends, color="black", linewidth=1)
        ax.set(xlabel=f"{x} ({unit or '1'})", ylabel=f"{name} measured ({unit or '1'})")
    for ax, x, of_x in zip(axes[1], ("TIME", "PRED"), (fit.problem.model.time_unit, unit), strict=True):
        ax.plot(frame[x], frame["CWRES"], **_DOT)
        for level in (-1.96, 0.0, 1.96):
            ax.axhline(level, color="black", linewidth=1, linestyle="-" if level == 0 else ":")
        ax.set(xlabel=f"{x} ({of_x or '1'})", ylabel="CWRES")
    figure.suptitle(f"{fit.problem.model.name}: {name}")
    return figure


def plot_individuals(fit: PopulationFit, observable: str | None = None, most: int = 16, points: int = 100) -> Any:
    """Data and predicted courses of up to `most` individuals, with random effects and without (dashed). Returns the
    Figure."""
    import matplotlib.pyplot as plt

    data = fit.problem.data
    name = _observable(data.endpoints, observable)
    k = data.endpoints.index(name)
    shown = [i for i in range(len(data)) if ((data.individual == i) & (data.endpoint == k)).any()][:most]
    times = np.linspace(min(0.0, float(data.time.min())), float(data.time.max()), points)
    individual, typical = fit.individuals.courses(name, times)
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(2.6 * columns, 2.1 * rows),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, i in zip(axes.ravel(), shown, strict=False):
        mine = (data.individual == i) & (data.endpoint == k)
        ax.plot(data.time[mine], data.value[mine], color="black", **_DOT)
        ax.plot(times, individual[i])
        ax.plot(times, typical[i], linestyle="--", linewidth=1)
        ax.set_title(str(data.ids[i]), fontsize="small")
    for ax in axes.ravel()[len(shown) :]:
        ax.set_visible(False)
    figure.supxlabel(f"time ({data.model.time_unit})")
    figure.supylabel(f"{name} ({data.model.outputs[name].unit or '1'})")
    return figure


def plot_check(check: VisualPredictiveCheck, observable: str | None, ax: Any, group: str | None) -> Any:
    """See `VisualPredictiveCheck.plot`."""
    import matplotlib.pyplot as plt

    name = _observable(tuple(check.frame["observable"].unique()), observable)
    group = _group(check, group)
    ax = ax or plt.subplots()[1]
    points = _part(check.points, name, group)
    ax.plot(points["time"], points["value"], color="0.6", **_DOT)
    frame = _part(check.frame, name, group)
    for percentile, part in frame.groupby("percentile"):
        (line,) = ax.plot(part["time"], part["observed"], label=f"{percentile:g} %")
        ax.fill_between(part["time"], part["low"], part["high"], color=line.get_color(), alpha=0.25)
    corrected = ", corrected for the prediction" if check.corrected else ""
    ax.set(xlabel=f"time ({check.units['time']})", ylabel=f"{name} ({check.units[name] or '1'}){corrected}")
    ax.legend(title="percentile")
    if check.stratify:
        ax.set_title(f"{check.stratify} {group}")
    return ax


def plot_censored(check: VisualPredictiveCheck, observable: str | None, ax: Any, group: str | None) -> Any:
    """See `VisualPredictiveCheck.plot_censored`."""
    import matplotlib.pyplot as plt

    names = tuple(check.censored["observable"].unique())
    if not names:
        raise CalibrationError("no observable has values below one limit, so there is no share to show.")
    name, group = _observable(names, observable), _group(check, group)
    ax = ax or plt.subplots()[1]
    part = _part(check.censored, name, group)
    (line,) = ax.plot(part["time"], part["observed"], marker="o")
    ax.fill_between(part["time"], part["low"], part["high"], color=line.get_color(), alpha=0.25)
    ax.set(xlabel=f"time ({check.units['time']})", ylabel=f"share of {name} below the limit", ylim=(-0.02, 1.02))
    if check.stratify:
        ax.set_title(f"{check.stratify} {group}")
    return ax


def _part(frame: pd.DataFrame, observable: str, group: str) -> pd.DataFrame:
    return frame.loc[(frame["observable"] == observable) & (frame["group"] == group), :]


def _group(check: VisualPredictiveCheck, given: str | None) -> str:
    if given is None:
        return check.groups[0]
    if given not in check.groups:
        raise CalibrationError(f"there is no group `{given}`; there are {check.groups}.{closest(given, check.groups)}")
    return given


def _observable(names: tuple[str, ...], given: str | None) -> str:
    if given is None:
        return names[0]
    if given not in names:
        raise CalibrationError(f"`{given}` was not measured; measured were {names}.{closest(given, names)}")
    return given
