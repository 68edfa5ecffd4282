"""Probability of cytokine release syndrome from exposure (elranatamab, Hibma 2026, Clin Pharmacokinet 65:1173).

logit P = -7.65 + 1.14 [high tumour burden] + 1.35 ln(free trough on day 4, ng/mL), from 183 patients (79 events) after
a 12 mg priming dose with premedication. One drug, one priming scheme: no relation was seen after the second step-up
dose, so use it for the first dose only, and for another molecule as an analogy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ._checks import fraction, number, positive


@dataclass(frozen=True)
class HibmaCrs:
    """Logistic CRS link in the logarithm of free day-4 trough, ng/mL; defaults are the published estimates."""

    intercept: float = -7.65
    high_burden: float = 1.14
    slope: float = 1.35

    def __post_init__(self) -> None:
        number("intercept", self.intercept)
        number("high_burden", self.high_burden)
        positive("slope", self.slope)

    def probability(self, trough_ng_per_mL: ArrayLike, high_tumour_burden: ArrayLike = False):
        """P(CRS) at a free day-4 trough in ng/mL; broadcasts; 0 at zero drug."""
        burden = self.high_burden * jnp.asarray(high_tumour_burden, dtype=float)
        log_trough = jnp.log(jnp.asarray(trough_ng_per_mL, dtype=float))
        return jax.nn.sigmoid(self.intercept + burden + self.slope * log_trough)

    def trough(self, probability: float, high_tumour_burden: bool = False) -> float:
        """Free day-4 trough in ng/mL at which P(CRS) is `probability`."""
        p = fraction("probability", probability)
        burden = self.high_burden if high_tumour_burden else 0.0
        return math.exp((math.log(p / (1.0 - p)) - self.intercept - burden) / self.slope)

    def notes(self) -> tuple[str, ...]:
        """What must be said wherever a probability of this link is shown."""
        return (
            "CRS link from one drug (elranatamab), first priming dose of 12 mg with premedication; "
            "not informative after the second step-up dose",
        )
