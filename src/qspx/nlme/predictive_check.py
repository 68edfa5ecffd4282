"""Visual predictive checks: percentiles of the data over time, and where they lie in replicates of the fit.

A value below its limit has a rank, but no size: percentiles of all values are compared, and those that fall among the
censored ones are not shown. The share below the limit is compared beside them (Bergstrand & Karlsson, AAPS J
2009;11:371-380, doi:10.1208/s12248-009-9112-5).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._errors import CalibrationError, closest
from qspx.nlme.data import PopulationData
from qspx.nlme.population_fit import PopulationFit
from qspx.nlme.simulated import simulate_measurements

if TYPE_CHECKING:
    import pandas as pd

MOST_GROUPS = 12
_BAND = (2.5, 50.0, 97.5)
_COLUMNS = ["observable", "group", "time", "percentile", "observed", "low", "median", "high", "measurements"]


@dataclasses.dataclass(frozen=True, eq=False)
class VisualPredictiveCheck:
    """Percentiles of the data over time, and between which they lie in replicates of the fit.

    Args:
        frame: one row per observable, group, bin of time and percentile: observable, group, time (median of the bin),
            percentile, observed (NaN among censored values), low, median, high (2.5, 50 and 97.5 % of the replicates),
            measurements.
        censored: one row per observable, group and bin, of observables with one lower limit: the same columns, but for
            the percentile, of the share of values below it.
        points: the data, as shown: observable, group, time, value.
        stratify: covariate whose values are the groups; None: all are one, called "".
        corrected: whether values are corrected for the prediction.
        failed: share of simulated measurements without a solve.
        units: of the observables, and of "time".
    """

    frame: pd.DataFrame
    censored: pd.DataFrame
    points: pd.DataFrame
    stratify: str | None
    corrected: bool
    failed: float
    units: dict[str, str]

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups, in the order of the data."""
        return tuple(dict.fromkeys(self.frame["group"]))

    @property
    def share_inside(self) -> float:
        """Share of the observed percentiles that lie inside their 95 % intervals."""
        observed, low, high = (np.asarray(self.frame[c], dtype=float) for c in ("observed", "low", "high"))
        seen = np.isfinite(observed)
        return float(((observed >= low) & (observed <= high))[seen].mean()) if seen.any() else float("nan")

    def plot(self, observable: str | None = None, ax: Any = None, *, group: str | None = None) -> Any:
        """Data, observed percentiles and intervals of one observable and group (default: the first). Returns the
        Axes."""
        from qspx.nlme.plots import plot_check

        return plot_check(self, observable, ax, group)

    def plot_censored(self, observable: str | None = None, ax: Any = None, *, group: str | None = None) -> Any:
        """The same of the share of values below the limit."""
        from qspx.nlme.plots import plot_censored

        return plot_censored(self, observable, ax, group)


def visual_predictive_check(
    fit: PopulationFit,
    *,
    n: int = 200,
    key: int = 0,
    bins: int = 8,
    percentiles: tuple[float, ...] = (5.0, 50.0, 95.0),
    corrected: bool = False,
    stratify: str | None = None,
) -> VisualPredictiveCheck:
    """Visual predictive check.

    Args:
        fit: the fit.
        n: replicates.
        key: seed.
        bins: of time, with about as many measurements each; nominal times stay together.
        percentiles: to compare.
        corrected: divide by the prediction without random effects and multiply by its median in the bin (Bergstrand et
            al., AAPS J 2011;13:143-151, doi:10.1208/s12248-011-9255-z), for data with several doses or covariates.
        stratify: covariate of the data (an arm, a dose, a sex) by whose values individuals are grouped, each group with
            bins of its own.

    Raises:
        CalibrationError: if the data lack the covariate, or it has more than twelve values.
    """
    import pandas as pd

    data = fit.problem.data
    group = _groups(data, stratify)
    simulated = simulate_measurements(fit, n, key=key)
    predicted = fit.individuals.residuals["PRED"].to_numpy()
    rows, shares, points = [], [], []
    for name, who, at in _parts(data, group, ~corrected | (predicted > 0), bins):
        factor = np.median(predicted[at]) / predicted[at] if corrected else np.ones(len(at))
        censored, value = data.censored[at], data.value[at] * factor
        label, seen = (name, who, float(np.median(data.time[at]))), censored == 0
        points.append(
            pd.DataFrame({"observable": name, "group": who, "time": data.time[at][seen], "value": value[seen]})
        )
        levels = np.nanpercentile(simulated[:, at] * factor, percentiles, axis=1)
        for p, observed, level in zip(percentiles, _percentiles(value, censored, percentiles), levels, strict=True):
            rows.append((*label, p, observed, *np.nanpercentile(level, _BAND), len(at)))
        if (limit := _limit(data, name)) is not None:
            share = np.where(np.isfinite(simulated[:, at]), simulated[:, at] < limit, np.nan)
            band = np.nanpercentile(np.nanmean(share, axis=1), _BAND)
            shares.append((*label, float((censored < 0).mean()), *band, len(at)))
    units = {e: data.model.outputs[e].unit for e in data.endpoints} | {"time": data.model.time_unit}
    return VisualPredictiveCheck(
        pd.DataFrame(rows, columns=_COLUMNS),
        pd.DataFrame(shares, columns=[c for c in _COLUMNS if c != "percentile"]),
        pd.concat(points),
        stratify,
        corrected,
        float(np.isnan(simulated).mean()),
        units,
    )


def _groups(data: PopulationData, stratify: str | None) -> np.ndarray:
    """Of each measurement, (measurements,)."""
    if stratify is None:
        return np.full(len(data.value), "", dtype=object)
    if stratify not in data.covariates:
        raise CalibrationError(
            f"Argument `stratify` names `{stratify}`, which is no covariate of the data; they have "
            f"{list(data.covariates)}.{closest(stratify, data.covariates)}"
        )
    values = data.covariates[stratify]
    if (many := len(set(values.tolist()))) > MOST_GROUPS:
        raise CalibrationError(
            f"Argument `stratify` names `{stratify}`, which has {many} values, more than {MOST_GROUPS} groups; read a "
            "column that holds classes of it as a covariate."
        )
    return np.array([f"{x:g}" if isinstance(x, float) else str(x) for x in values.tolist()], object)[data.individual]


def _parts(
    data: PopulationData, group: np.ndarray, usable: np.ndarray, bins: int
) -> Iterator[tuple[str, str, np.ndarray]]:
    """(observable, group, measurements) of each bin of time."""
    for k, name in enumerate(data.endpoints):
        for who in dict.fromkeys(group):
            mine = np.flatnonzero((data.endpoint == k) & (group == who) & usable)
            for inside in _bins(data.time[mine], bins) if len(mine) else []:
                yield name, who, mine[inside]


def _percentiles(value: np.ndarray, censored: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """Of all values, NaN where they fall among those that are censored."""
    ranked = np.where(censored < 0, -np.inf, np.where(censored > 0, np.inf, value))
    with np.errstate(invalid="ignore"):
        found = np.percentile(ranked, levels)
    # with several limits, what lies between them has no certain rank
    low, high = value[censored < 0].max(initial=-np.inf), value[censored > 0].min(initial=np.inf)
    return np.where((found >= low) & (found <= high) & np.isfinite(found), found, np.nan)


def _limit(data: PopulationData, observable: str) -> float | None:
    """The lower limit of an observable, if it has one and no more than one."""
    mine = (data.endpoint == data.endpoints.index(observable)) & (data.censored < 0)
    found = np.unique(data.value[mine])
    return float(found[0]) if len(found) == 1 else None


def _bins(time: np.ndarray, bins: int) -> list[np.ndarray]:
    """Numbers of the measurements in each bin: of each time, where there are no more of them than bins."""
    nominal = np.unique(time)
    if len(nominal) <= bins:
        return [np.flatnonzero(time == t) for t in nominal]
    edges = np.unique(np.quantile(time, np.linspace(0, 1, bins + 1), method="lower"))
    which = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, max(0, len(edges) - 2))
    return [np.flatnonzero(which == k) for k in range(max(1, len(edges) - 1)) if (which == k).any()]
