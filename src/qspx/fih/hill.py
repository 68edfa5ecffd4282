"""Sigmoid concentration-effect relation, E = C^h / (EC50^h + C^h), and the effect levels ECx that MABEL reads off it.

ECx = EC50 (x / (1 - x))^(1/h). Two effect levels fix both parameters. Fails quietly when the curve is not sigmoid or
its top is not reached in the assay: compare a third measured level with the prediction (for ISB 2001, EC30 predicted
from EC20 and EC50 is 1 % off the measured one).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax.numpy as jnp
from jax.typing import ArrayLike

from .._errors import DoseError
from ._checks import fraction, positive


def hill_effect(concentration: ArrayLike, ec50: ArrayLike, slope: ArrayLike = 1.0):
    """Fraction of the maximal effect, 0 to 1. `concentration` and `ec50` in the same unit; broadcasts; differentiable.

    Both branches stay finite at zero and at very large concentrations, in the value and in the gradient.
    """
    ratio = jnp.asarray(concentration) / ec50
    low = jnp.where(ratio <= 1.0, ratio, 1.0) ** slope
    high = jnp.where(ratio > 1.0, ratio, 1.0) ** (-jnp.asarray(slope))
    return jnp.where(ratio <= 1.0, low / (1.0 + low), 1.0 / (1.0 + high))


def ec_at(level: ArrayLike, ec50: ArrayLike, slope: ArrayLike = 1.0):
    """Concentration with the effect `level` (a fraction: 0.2 for EC20), in the unit of `ec50`; broadcasts.

    Raises `DoseError` when `level` is a plain number outside (0, 1).
    """
    if isinstance(level, (int, float)):
        level = fraction("level", level)
    level = jnp.asarray(level)
    return ec50 * (level / (1.0 - level)) ** (1.0 / jnp.asarray(slope))


def slope_between(ec_low: float, level_low: float, ec_high: float, level_high: float) -> float:
    """Hill slope through two effect levels; concentrations in one unit, levels as fractions.

    h = [logit(level_high) - logit(level_low)] / ln(ec_high / ec_low); for EC20 and EC50 that is ln 4 / ln(EC50/EC20).
    """
    ec_low, ec_high = positive("ec_low", ec_low), positive("ec_high", ec_high)
    level_low, level_high = fraction("level_low", level_low), fraction("level_high", level_high)
    if ec_low == ec_high or (ec_high > ec_low) != (level_high > level_low):
        raise DoseError(
            f"Argument `ec_high` must lie on the other side of `ec_low` as `level_high` does of `level_low`, but "
            f"{ec_low:g} reaches {level_low:g} and {ec_high:g} reaches {level_high:g}. Both must rise."
        )
    return (_logit(level_high) - _logit(level_low)) / math.log(ec_high / ec_low)


def _logit(p: float) -> float:
    return math.log(p / (1.0 - p))


@dataclass(frozen=True)
class Hill:
    """A fitted sigmoid: `ec50` in any one unit, `slope` dimensionless."""

    ec50: float
    slope: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "ec50", positive("ec50", self.ec50))
        object.__setattr__(self, "slope", positive("slope", self.slope))

    @classmethod
    def through(cls, ec_low: float, level_low: float, ec_high: float, level_high: float) -> Hill:
        """The curve through two effect levels, e.g. `Hill.through(0.257, 0.2, 0.585, 0.5)`."""
        slope = slope_between(ec_low, level_low, ec_high, level_high)
        return cls(ec_high * math.exp(-_logit(level_high) / slope), slope)

    @classmethod
    def from_ec20_ec50(cls, ec20: float, ec50: float) -> Hill:
        """The curve through EC20 and EC50."""
        return cls.through(ec20, 0.2, ec50, 0.5)

    def effect(self, concentration: ArrayLike):
        """Fraction of the maximal effect at `concentration` (unit of `ec50`)."""
        return hill_effect(concentration, self.ec50, self.slope)

    def ec(self, level: float) -> float:
        """Concentration with the effect `level` (fraction), in the unit of `ec50`."""
        return float(ec_at(level, self.ec50, self.slope))
