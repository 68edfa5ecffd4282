"""What a model declares: species, parameters, observables, published numbers; and what a lint finds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from qspx._errors import ModelError

TAGS = ("measured", "literature", "estimated", "assumed", "covariate", "constant")
SCALES = ("log", "lin", "logit")


@dataclasses.dataclass(frozen=True)
class Species:
    """A state, not negative unless `signed`. `volume` names the parameter that turns a dosed amount into this
    concentration; `bioavailability` and `lag` name parameters that act on every dose into the species (NONMEM's F and
    ALAG); `duration` and `rate` those of infusions whose row in an event table leaves them to the model (NONMEM's D
    and R, for RATE -2 and -1); `parts` says what one molecule is made of, for the mass-balance lint; `route` is how a
    dose gets here ("SC", "IV"), for the record."""

    unit: str
    meaning: str = ""
    volume: str | None = None
    source: str = ""
    parts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    bioavailability: str | None = None
    lag: str | None = None
    duration: str | None = None
    rate: str | None = None
    signed: bool = False
    route: str = ""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A constant of one subject, with its typical value. `tag` says how well it is known: one of `TAGS`."""

    value: float
    unit: str
    meaning: str = ""
    source: str = ""
    bounds: tuple[float, float] | None = None
    scale: str = "log"
    tag: str = "literature"

    def __post_init__(self):
        if not math.isfinite(self.value):
            raise ModelError(f"Argument `value` of a Parameter must be finite, but {self.value} was given.")
        if self.tag not in TAGS:
            raise ModelError(f"Argument `tag` must be one of {TAGS}, but {self.tag!r} was given.")
        if self.scale not in SCALES:
            raise ModelError(f"Argument `scale` must be one of {SCALES}, but {self.scale!r} was given.")
        if self.bounds is not None and not self.bounds[0] <= self.value <= self.bounds[1]:
            raise ModelError(f"Argument `value` must lie inside `bounds`, but {self.value} is not in {self.bounds}.")


@dataclasses.dataclass(frozen=True)
class Observable:
    """A quantity that can be measured or reported, computed by `observables`."""

    unit: str
    meaning: str = ""


@dataclasses.dataclass(frozen=True)
class Event:
    """What happens when a condition becomes true: new values of states, all at once, perhaps after a delay.

    Args:
        trigger: a truth value, made of comparisons.
        assign: new value per species.
        delay: time from the trigger to the change, not negative.
        priority: of events due at the same time the one with the largest comes first; by default last.
        persistent: happens even if the trigger becomes false again before; otherwise it is then called off.
        initially: what the trigger is taken to have been before the start; with False a trigger that holds at the
            start makes the event happen.
        at_trigger: the new values are those of the time of the trigger, not of the time of the change.
        factors: factor per species, taken when the change is made, e.g. a volume that turns an assigned concentration
            into an amount.
    """

    trigger: Any
    assign: Mapping[str, Any]
    delay: Any = 0.0
    priority: Any = -math.inf
    persistent: bool = True
    initially: bool = True
    at_trigger: bool = True
    factors: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Published:
    """A number the model's publication prints, and how to compute it here: the model's own acceptance test."""

    name: str
    value: float
    unit: str
    compute: Callable[[Any], float]
    rtol: float
    source: str


@dataclasses.dataclass(frozen=True)
class Lint:
    """A structural finding. `deviation` is empty for an error, and names the documented departure otherwise. A `note`
    is information and no error."""

    rule: str
    where: str
    message: str
    deviation: str = ""
    note: bool = False

    def __str__(self) -> str:
        accepted = f" [accepted deviation: {self.deviation}]" if self.deviation else ""
        return f"{self.rule}: {self.where}: {self.message}{accepted}"
