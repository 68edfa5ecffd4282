"""D*(q, tau): the largest dose whose q-quantile over the population of a metric stays at or under a threshold.

D*(q, tau) = sup {D : quantile_q[metric(D)] <= tau}, searched on the rising limb only: a bell-shaped metric (trimer
against dose) meets the threshold twice. The dose is found on interpolated curves of the subjects and then simulated,
and corrected until the simulated quantile equals the threshold. Fails, with the reason, where the threshold is
reached everywhere or nowhere in the dose range, or the curve is not monotone before its peak.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.optimize import brentq

from .._errors import ThresholdError
from ..dosing import Regimen
from ..summaries import AbstractSummary
from ..weighted import weighted_quantile
from .dose_response import DoseResponse, DoseResponses

TOLERANCE = 1e-3  # relative distance between the simulated quantile and the threshold
SAME = 1e-6  # relative distance below which a dose is a level that was simulated already
DIP = 0.01  # relative fall between neighbouring levels that is called not monotone


@dataclasses.dataclass(frozen=True)
class ThresholdDose:
    """The dose, the simulated quantile there, and what the curve looks like."""

    dose: float
    reached: float
    peak_dose: float | None
    response: DoseResponse

    @property
    def notes(self) -> tuple[str, ...]:
        if self.peak_dose is None:
            return ()
        return (
            f"bell-shaped: the quantile peaks near {self.peak_dose:.3g} {self.response.dose_unit}; the dose is on the "
            "rising limb",
        )


def rising_limb(response: DoseResponse, q: float) -> tuple[np.ndarray, np.ndarray, bool]:
    """(levels, quantiles, whether the curve falls again after them)."""
    curve = response.quantile(q)
    if np.isnan(curve).any():
        raise ThresholdError(
            f"{response.metric}: no subject was solved at some dose levels; the curve cannot be inverted."
        )
    peak = int(np.argmax(curve))
    levels, rising = response.levels[: peak + 1], curve[: peak + 1]
    falls = np.flatnonzero(np.diff(rising) < -DIP * np.abs(rising[:-1]))
    if len(falls):
        i = int(falls[0])
        raise ThresholdError(
            f"{response.metric} is not monotone on the dose grid: its {q:g}-quantile falls from "
            f"{rising[i]:.4g} at {levels[i]:.4g} to {rising[i + 1]:.4g} at {levels[i + 1]:.4g} "
            f"{response.dose_unit} before the peak. Use a finer grid or another metric."
        )
    return levels, rising, bool(peak < len(curve) - 1 and curve[-1] < (1 - DIP) * curve[peak])


def _check_reached(response: DoseResponse, levels, rising, bell: bool, q: float, tau: float) -> None:
    where = f"the {q:g}-quantile of {response.metric}"
    unit = f" {response.unit}".rstrip()
    if len(rising) == 1:
        raise ThresholdError(
            f"{where} falls with dose from {rising[0]:.4g} at {levels[0]:.4g} {response.dose_unit}; a threshold dose "
            "needs a metric that rises with dose."
        )
    if rising[0] > tau:
        raise ThresholdError(
            f"threshold {tau:.4g}{unit} is always exceeded: {where} is already {rising[0]:.4g} at the lowest "
            f"dose, {levels[0]:.4g} {response.dose_unit}. Extend the dose range downwards."
        )
    if rising[-1] < tau:
        fix = "it peaks there, so no dose reaches the threshold" if bell else "extend the dose range upwards"
        raise ThresholdError(
            f"threshold {tau:.4g}{unit} is never reached: {where} is at most {rising[-1]:.4g}, at "
            f"{levels[-1]:.4g} {response.dose_unit}; {fix}."
        )


def interpolated_dose(response: DoseResponse, q: float, tau: float, subjects: np.ndarray | None = None) -> float:
    """D*(q, tau) on the subjects' interpolated curves; `subjects` picks rows (a bootstrap sample). At the ends of the
    range the dose is the end."""
    chosen = (
        response
        if subjects is None
        else dataclasses.replace(response, values=response.values[:, subjects], weights=response.weights[subjects])
    )
    curve = chosen.quantile(q)
    peak = int(np.argmax(curve))
    above = np.flatnonzero(curve[: peak + 1] > tau)
    if len(above) == 0:
        return float(chosen.levels[peak])
    i = int(above[0])
    if i == 0:
        return float(chosen.levels[0])

    def excess(log_dose: float) -> float:
        return float(weighted_quantile(chosen.interpolated(float(np.exp(log_dose))), q, chosen.weights)) - tau

    low, high = np.log(chosen.levels[i - 1]), np.log(chosen.levels[i])
    if excess(low) >= 0:
        return float(np.exp(low))
    return math.exp(brentq(excess, float(low), float(high), xtol=1e-6))  # type: ignore[arg-type]


def threshold_dose(
    responses: DoseResponses, regimen: Regimen, metric: AbstractSummary, q: float, tau: float
) -> ThresholdDose:
    """D*(q, tau) in the regimen's unit, confirmed by simulation.

    Raises `ThresholdError` where it does not exist in the dose range.
    """
    response = responses.get(regimen, metric)
    levels, rising, bell = rising_limb(response, q)
    _check_reached(response, levels, rising, bell, q, tau)
    dose = interpolated_dose(response, q, tau)
    for _ in range(5):
        at = int(np.argmin(np.abs(response.levels / dose - 1)))
        if abs(response.levels[at] / dose - 1) > SAME:
            response = responses.add_level(regimen, metric, dose)
            at = int(np.argmin(np.abs(response.levels - dose)))
        dose = float(response.levels[at])
        reached = float(response.quantile(q)[at])
        if abs(reached / tau - 1) <= TOLERANCE:
            peak = float(levels[-1]) if bell else None
            return ThresholdDose(dose, reached, peak, response)
        dose = interpolated_dose(response, q, tau)
    raise ThresholdError(
        f"the search for the dose where the {q:g}-quantile of {response.metric} is {tau:.4g} did not settle: "
        f"{reached:.6g} at {dose:.6g} {response.dose_unit}."
    )
