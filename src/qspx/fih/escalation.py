"""Dose steps: how many lie between two doses, and ladders from a starting dose."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._errors import DoseError
from ..dosing import Regimen
from ._checks import number, positive

HALF_LOG = math.sqrt(10.0)
DOUBLING = 2.0
_TIE = 1e-9  # a rung this close to the top is the top


@dataclass(frozen=True)
class Escalation:
    """The schedule of the trial (in ug/kg, scaled as a whole) and the target doses to simulate, increasing."""

    regimen: Regimen
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(positive("levels", x) for x in self.levels))
        if len(self.levels) < 3 or any(b <= a for a, b in zip(self.levels, self.levels[1:], strict=False)):
            raise DoseError(f"Argument `levels` must hold at least three increasing doses, but is {self.levels}.")
        if self.regimen.unit != "ug/kg":
            raise DoseError(
                f"Argument `regimen` must be in ug/kg, but is in {self.regimen.unit}. Give schedule and levels per kg "
                "of body weight (a flat dose of 10 mg at 70 kg is 143 ug/kg), and let the model declare `body_weight`."
            )


def _factor(value: float) -> float:
    factor = number("factor", value)
    if factor <= 1.0:
        raise DoseError(f"Argument `factor` must be above 1 (each dose larger than the last), but is {value!r}.")
    return factor


def steps_between(low: float, high: float, factor: float = HALF_LOG) -> float:
    """Number of steps of `factor` from `low` to `high`: ln(high/low) / ln(factor); negative when `high < low`."""
    return math.log(positive("high", high) / positive("low", low)) / math.log(_factor(factor))


def cohorts_avoided(start: float, reference: float) -> dict[str, float]:
    """Dose levels saved by starting at `start` in place of `reference`, at half-log and at doubling steps."""
    return {
        "half-log": steps_between(reference, start, HALF_LOG),
        "doubling": steps_between(reference, start, DOUBLING),
    }


def escalation_ladder(start: float, top: float, factor: float = HALF_LOG) -> tuple[float, ...]:
    """Doses from `start` up by `factor`; the last is `top` itself, by a shorter step if need be."""
    start, top, factor = positive("start", start), positive("top", top), _factor(factor)
    if top < start:
        raise DoseError(f"Argument `top` must not be below `start`, but {top:g} is below {start:g}.")
    rungs = []
    dose, n = start, 0
    while dose < top * (1.0 - _TIE):
        rungs.append(dose)
        n += 1
        dose = start * factor**n
    return (*rungs, top)
