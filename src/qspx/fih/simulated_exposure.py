"""Exposure match by simulation: the dose at which a metric of the typical subject equals a target, by root search.

For nonlinear exposure (target-mediated disposition, soluble targets, several compartments). Free and total drug are
different observables of the model, so the match says which one it computes.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.interpolate import PchipInterpolator

from .._errors import DoseError, ThresholdError
from .._status import Status
from ..dose_events import DoseEvents, dose_events
from ..dosing import Regimen
from ..integrate import AbstractIntegrator, integrator_of
from ..model import AbstractModel
from ..simulation import solve_request
from ..summaries import AbstractSummary
from ._checks import free_or_total, positive
from ._route import route_of
from .base import DoseContext, Input
from .exposure import AbstractExposureMatch

POINTS = 16
ROUNDS = 3
EXPOSURES = {"max": "Cmax", "min": "Cmin", "average": "Cavg", "last": "Ctrough", "auc": "AUC"}


def dose_for_metric(
    model: AbstractModel,
    regimen: Regimen,
    metric: AbstractSummary,
    target: float,
    *,
    theta: np.ndarray | None = None,
    dose_range: tuple[float, float] = (1e-5, 1e4),
    integrator: AbstractIntegrator | None = None,
) -> float:
    """Target dose of `regimen` (in its unit) at which `metric` of one subject equals `target`, on the rising limb.

    A logarithmic grid over `dose_range` is simulated, then refined around the crossing. Raises `ThresholdError` where
    the target is not reached, always exceeded, or the metric is not monotone before its peak.
    """
    integrator = integrator_of(integrator)
    request = solve_request(model, [regimen], (), (), [metric])
    shape = dose_events(regimen.scaled_to(1.0), model)
    row = np.asarray(model.theta if theta is None else theta, dtype=float)
    low, high = dose_range
    for _ in range(ROUNDS):
        doses = np.geomspace(low, high, POINTS)
        values = _metric_at(request, integrator, shape, row, doses)
        i = _crossing(doses, values, target, metric, regimen.unit)
        low, high = doses[i], doses[i + 1]
    near = slice(max(i - 1, 0), i + 3)
    x, y = np.log(doses[near]), np.log(np.maximum(values[near], 1e-300))
    rising = np.concatenate([[True], np.diff(y) > 0])
    return float(np.exp(PchipInterpolator(y[rising], x[rising])(np.log(target))))


def _metric_at(request, integrator, shape: DoseEvents, row: np.ndarray, doses: np.ndarray) -> np.ndarray:
    n = len(doses)
    events = DoseEvents(*(np.repeat(f[None], n, axis=0) for f in shape))
    events = events.scaled(doses[:, None])
    batch = integrator.solve_batch(request, np.repeat(row[None], n, axis=0), events)
    return np.where(batch.status == Status.OK, batch.summaries[:, 0], np.nan)


def _crossing(doses, values, target: float, metric: AbstractSummary, unit: str) -> int:
    if np.isnan(values).all():
        raise ThresholdError(
            f"{metric.name} could not be computed at any dose from {doses[0]:.3g} to {doses[-1]:.3g} {unit}."
        )
    last = int(np.flatnonzero(~np.isnan(values))[-1])
    values = values[: last + 1]
    peak = int(np.nanargmax(values))
    above = np.flatnonzero(values[: peak + 1] >= target)
    if len(above) == 0:
        raise ThresholdError(
            f"target {target:.4g} is never reached: {metric.name} is at most {values[peak]:.4g}, at "
            f"{doses[peak]:.3g} {unit}."
        )
    if above[0] == 0:
        raise ThresholdError(
            f"target {target:.4g} is always exceeded: {metric.name} is already {values[0]:.4g} at "
            f"{doses[0]:.3g} {unit}. Extend `dose_range` downwards."
        )
    return int(above[0]) - 1


@dataclasses.dataclass(frozen=True)
class SimulatedMatch(AbstractExposureMatch):
    """Match of a simulated exposure of the typical subject.

    Args:
        metric: e.g. `Max("C", end=28)` for the peak of free drug; its observable must be in nM.
        regimen_given: schedule, scaled as a whole; the dose that is reported is its target dose.
        analyte: "free" or "total": what the observable stands for.
        model: default is the model of the comparison.
        source: where the exposure model comes from.
    """

    metric: AbstractSummary
    regimen_given: Regimen
    analyte: str  # type: ignore[assignment]
    model: AbstractModel | None = None
    dose_range: tuple[float, float] = (1e-5, 1e4)
    source: str = ""

    def __post_init__(self):
        free_or_total(self.analyte)
        if self.metric.kind not in EXPOSURES:
            raise DoseError(
                f"Argument `metric` must be an exposure (one of {', '.join(EXPOSURES)}), but {self.metric.name} was "
                "given."
            )

    @property
    def regimen(self) -> str:  # type: ignore[override]
        return (
            "single dose"
            if len(self.regimen_given.doses) == 1
            else f"schedule of {len(self.regimen_given.doses)} doses"
        )

    def route_in(self, context: DoseContext | None) -> str:
        return route_of(self.regimen_given, self._model(context))

    @property
    def exposure(self) -> str:  # type: ignore[override]
        return EXPOSURES[self.metric.kind]

    @property
    def applies_to(self) -> str:  # type: ignore[override]
        return "single dose" if len(self.regimen_given.doses) == 1 else "target dose"

    def _model(self, context: DoseContext | None) -> AbstractModel:
        model = self.model or (context.model if context else None)
        if model is None:
            raise DoseError("SimulatedMatch needs a model: give `model=`, or use it inside `compare_doses`.")
        unit = model.outputs[model.require_outputs([self.metric.observable])[0]].unit
        if unit != "nM":
            raise DoseError(
                f"Argument `metric` must read an observable in nM, but `{self.metric.observable}` is in {unit!r}."
            )
        return model

    def dose(self, target_concentration_nM: float, context: DoseContext | None = None) -> float:
        target = positive("target_concentration_nM", target_concentration_nM)
        context = context or DoseContext()
        model = self._model(context)
        found = dose_for_metric(
            model, self.regimen_given, self.metric, target, dose_range=self.dose_range, integrator=context.integrator
        )
        unit = self.regimen_given.unit
        if unit == "nmol":
            return found
        if unit == "ug/kg":
            return context.nmol(found)
        raise DoseError(f"Argument `regimen_given` must be in nmol or ug/kg, but is in {unit}.")

    def describe(self) -> str:
        name = self.model.name if self.model else "the model of the comparison"
        unit = self.model.time_unit if self.model else self.regimen_given.time_unit
        return f"{self.metric.title(unit)}, of the typical subject, simulated with {name}"

    def inputs(self) -> tuple[Input, ...]:
        return (Input("exposure metric", self.metric.name, "nM", self.source),)

    def assumptions(self) -> tuple[str, ...]:
        return (f"{self.analyte} drug is matched; the exposure is that of the typical subject",)
