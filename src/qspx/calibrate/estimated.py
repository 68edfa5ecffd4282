"""A parameter that is estimated."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri

from qspx._checks import number, numbers, require_kind
from qspx._errors import CalibrationError
from qspx.calibrate.scales import SCALES, to_estimation
from qspx.distributions import AbstractDistribution


@dataclasses.dataclass(frozen=True)
class Estimated:
    """A parameter that is estimated: of the model, of the noise, of an observation, or shared by several of them.

    Args:
        name: a parameter of the model, or any name that noise, scaling, arms or random effects refer to.
        bounds: between which it is searched, in its own unit.
        value: where a single search starts, and what it is reported against; default: the model's value.
        scale: coordinate of the search: "log", "log10", "lin", or "logit" between the bounds.
        prior: distribution of the parameter itself, for `log_posterior`.
        prior_on: "natural" for a `prior` that is the density of the parameter; "estimation" for the density of its
            coordinate on `scale`.

    Raises:
        CalibrationError: if bounds, value, scale and prior do not fit each other.
    """

    name: str
    bounds: tuple[float, float]
    value: float | None = None
    scale: str = "log"
    prior: AbstractDistribution | None = None
    prior_on: str = "natural"

    def __post_init__(self):
        require_kind(self.name, str, "name` of an `Estimated", error=CalibrationError)
        if self.scale not in SCALES:
            raise CalibrationError(
                f"Argument `scale` of Estimated({self.name!r}) must be one of {SCALES}, but {self.scale!r} was given."
            )
        try:
            low, high = numbers(self.bounds, "bounds", CalibrationError)
        except (CalibrationError, ValueError) as e:
            raise CalibrationError(
                f"Argument `bounds` of Estimated({self.name!r}) must be two numbers, but {self.bounds!r} was given."
            ) from e
        object.__setattr__(self, "bounds", (low, high))
        if not (low < high and math.isfinite(low) and math.isfinite(high)):
            raise CalibrationError(
                f"Argument `bounds` of Estimated({self.name!r}) must be finite and increasing, but ({low:g}, {high:g}) "
                "was given."
            )
        if self.scale in ("log", "log10") and low <= 0:
            raise CalibrationError(
                f"Argument `bounds` of Estimated({self.name!r}) must be positive on scale {self.scale!r}, but "
                f'({low:g}, {high:g}) was given. Raise the lower bound, or use scale="lin".'
            )
        if self.value is not None:
            number(self.value, f"value` of `Estimated({self.name!r})", CalibrationError)
        if self.value is not None and not low <= self.value <= high:
            raise CalibrationError(
                f"Argument `value` of Estimated({self.name!r}) must lie inside its bounds {low:g} to {high:g}, but "
                f"{self.value:g} was given."
            )
        if self.prior_on not in ("natural", "estimation"):
            raise CalibrationError(
                f'Argument `prior_on` of Estimated({self.name!r}) must be "natural" or "estimation", but '
                f"{self.prior_on!r} was given."
            )
        if self.prior is not None and not isinstance(self.prior, AbstractDistribution):
            raise CalibrationError(
                f"Argument `prior` of Estimated({self.name!r}) must be a distribution such as LogNormal(1.0, cv=0.5), "
                f"but {self.prior!r} was given."
            )
        if self.prior is not None:
            check_support(self.name, self.prior, *(self.box if self.prior_on == "estimation" else self.bounds))

    @property
    def box(self) -> tuple[float, float]:
        """Bounds on the estimation scale. A logit has no bound there but where it saturates in double precision."""
        if self.scale == "logit":
            return -30.0, 30.0
        code, bounds = np.array(SCALES.index(self.scale)), np.array(self.bounds)
        low, high = to_estimation(bounds, code, *map(np.asarray, bounds))
        return float(low), float(high)


def check_support(name: str, prior: AbstractDistribution, low: float, high: float) -> None:
    """Raise `CalibrationError` where the prior has no density between the bounds. It is looked for at its quantiles,
    which hit a narrow one, and across the bounds, which hit the tail of a wide one."""
    with jax.ensure_compile_time_eval():
        shares = np.linspace(0.0, 1.0, 101)
        quantiles = np.asarray(prior.from_normal(jnp.asarray(ndtri(shares[1:-1]))))
        places = np.concatenate([quantiles, low + (high - low) * shares])
        inside = places[(places >= low) & (places <= high)]
        density = np.asarray(prior.log_prob(jnp.asarray(inside)))
    if not (density > -np.inf).any():
        raise CalibrationError(
            f"the prior of `{name}`, {prior}, has no density between its bounds {low:g} and {high:g} "
            f"(95 % of it lie between {quantiles[2]:.4g} and {quantiles[-3]:.4g}): make bounds and prior agree."
        )
