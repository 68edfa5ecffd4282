"""A closed-form dose with the interval that draws of its inputs give.

A closed form has one number per input and so no interval, unless donors scatter. Here the same method is evaluated with
draws of what it was given (potencies from a fit, volumes from a population), and their 5, 50 and 95 % points are the
interval. The dose itself stays that of the method as given.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import DoseError
from .base import AbstractDoseMethod, DoseContext, DoseEstimate


@dataclass(frozen=True, kw_only=True)
class WithDraws(AbstractDoseMethod):
    """A method, and the same method with draws of its inputs.

    Args:
        method: whose dose is reported.
        draws: at least 10 methods that differ from it in their inputs.
        basis: what the draws vary, for the record: "uncertainty of the fitted EC50 and slope".
    """

    method: AbstractDoseMethod
    draws: Sequence[AbstractDoseMethod]
    basis: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "draws", tuple(self.draws))
        for one in (self.method, *self.draws):
            if not isinstance(one, AbstractDoseMethod):
                raise DoseError(f"Arguments `method` and `draws` must hold dose methods, but one is {one!r}.")
        if len(self.draws) < 10:
            raise DoseError(f"Argument `draws` must hold at least 10 methods, but holds {len(self.draws)}.")
        if not self.basis.strip():
            raise DoseError("Argument `basis` must say what the draws vary, but is empty.")

    def endpoints(self, context: DoseContext) -> tuple[tuple[Any, Any], ...]:
        return self.method.endpoints(context)

    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        found = self.method.estimate(context)
        doses = [one.estimate(context).dose_ug_per_kg for one in self.draws]
        low, mid, high = (float(x) for x in np.quantile(doses, [0.05, 0.5, 0.95]))
        kept = tuple(a for a in found.assumptions if not a.startswith("interval:"))
        said = f"interval: {len(doses)} draws; {self.basis}"
        return dataclasses.replace(found, interval=(low, mid, high), assumptions=(*kept, said))
