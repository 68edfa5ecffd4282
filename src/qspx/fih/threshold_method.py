"""Shared part of the methods that read a dose off a metric simulated over the population."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .._errors import DoseError
from ..dosing import Regimen
from ..summaries import AbstractSummary
from ._checks import positive
from ._route import route_of
from .base import AbstractDoseMethod, DoseContext, DoseEstimate, Input
from .threshold import ThresholdDose, threshold_dose
from .uncertainty import population_doses, typical_value_doses


@dataclass(frozen=True, kw_only=True)
class AbstractThresholdMethod(AbstractDoseMethod):
    """D*(q, tau) / safety factor (see `qspx.fih.threshold`).

    Args:
        metric: endpoint, with an `end`, e.g. `Max("nACT", end=28)`.
        threshold: tau, in the unit of the metric.
        quantile: q over the population: 0.95 keeps the upper tail under a safety level, 0.5 is the median patient.
        regimen: schedule, scaled as a whole (default: that of the escalation); its largest dose is reported.
        safety_factor: D* is divided by it.
        threshold_source: where the threshold comes from; printed with the estimate.
    """

    family: ClassVar[str] = ""

    metric: AbstractSummary
    threshold: float
    quantile: float
    regimen: Regimen | None = None
    safety_factor: float = 1.0
    threshold_source: str = ""
    label: str | None = None

    def __post_init__(self) -> None:
        positive("threshold", self.threshold)
        positive("safety_factor", self.safety_factor)
        if not 0 < self.quantile < 1:
            raise DoseError(f"Argument `quantile` must lie between 0 and 1, but is {self.quantile}.")
        if self.metric.end is None:
            raise DoseError(
                f"Argument `metric` must say when the simulation ends: {type(self.metric).__name__}"
                f"({self.metric.observable!r}, end=28), for example."
            )

    def _regimen(self, context: DoseContext) -> Regimen:
        regimen = self.regimen or (context.escalation.regimen if context.escalation else None)
        if regimen is None or context.responses is None:
            raise DoseError(
                f"{type(self).__name__} simulates a population: use it inside `compare_doses`, with a schedule."
            )
        if regimen.unit != "ug/kg":
            raise DoseError(f"Argument `regimen` must be in ug/kg, but is in {regimen.unit}.")
        return regimen

    def endpoints(self, context: DoseContext) -> tuple[tuple[Any, Any], ...]:
        return ((self._regimen(context), self.metric),)

    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        context = context or DoseContext()
        regimen = self._regimen(context)
        found = threshold_dose(context.responses, regimen, self.metric, self.quantile, self.threshold)
        interval, basis = self._interval(context, found, regimen)
        single = len(regimen.doses) == 1
        unit, title = found.response.unit, self.metric.title(context.model.time_unit)
        of_patients = "median" if self.quantile == 0.5 else f"{100 * self.quantile:g} % quantile"
        return DoseEstimate(
            method=self.label or f"{self.family}: {of_patients} of {title} at {self.threshold:g}",
            family=self.family,
            dose_ug_per_kg=found.dose / self.safety_factor,
            body_weight_kg=context.body_weight_kg,
            route=route_of(regimen, context.model),
            regimen="single dose"
            if single
            else f"{len(regimen.doses)} doses, target reached on day {_target_day(regimen):g}",
            applies_to="single dose" if single else "target dose",
            analyte="not applicable",
            target_level=f"{of_patients} of {title} = {self.threshold:g} {unit}".rstrip(),
            pk_model=f"{context.model.name}, {len(context.population)} virtual patients",
            limiting_criterion=f"{title}, {of_patients} of the virtual patients",
            safety_factor=self.safety_factor,
            molar_mass_g_per_mol=context.molar_mass_g_per_mol,
            interval=interval,
            inputs=(
                Input("threshold", self.threshold, unit, self.threshold_source or "user input, source not stated"),
                Input("quantile over the population", self.quantile, "", "choice of the analyst"),
                Input("simulated quantile at D*", found.reached, unit, "this analysis"),
                Input("D* before the safety factor", found.dose, "ug/kg", "this analysis"),
            ),
            assumptions=(f"interval: {basis}",),
            notes=(*found.notes, *self.extra_notes()),
        )

    def extra_notes(self) -> tuple[str, ...]:
        """Notes of the particular method."""
        return ()

    def _interval(self, context: DoseContext, found: ThresholdDose, regimen: Regimen):
        q, tau = self.quantile, self.threshold
        if context.uncertainty is None:
            doses = population_doses(found, q, tau, context.key)
            basis = "resampling of the virtual patients only; typical parameter values taken as known"
        else:
            doses, ends = typical_value_doses(
                found, context.uncertainty, context.responses, regimen, self.metric, q, tau, context.key
            )
            basis = (
                f"{context.uncertainty.draws} draws of {', '.join(context.uncertainty.distribution.names)}, each with "
                f"{context.uncertainty.subjects} virtual patients, times resampling of the population"
            )
            if ends:
                basis += f"; {ends} draws met the end of the dose range, where the interval is cut off"
        low, mid, high = (float(x) / self.safety_factor for x in np.quantile(doses, [0.05, 0.5, 0.95]))
        return (low, mid, high), basis


def _target_day(regimen: Regimen) -> float:
    return next(d.at for d in regimen.doses if d.amount == regimen.target)
