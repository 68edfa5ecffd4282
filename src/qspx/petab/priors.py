"""Priors of a PEtab parameter table as distributions."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float

from qspx.distributions import AbstractDistribution, LogNormal, Normal, Uniform
from qspx.distributions.base import number, require
from qspx.petab.tables import Row, number_in


class Laplace(AbstractDistribution):
    """Density exp(-|x - center| / scale) / (2 scale)."""

    center: float = number()
    scale: float = number()

    def __check_init__(self):
        require(math.isfinite(self.center), "`center` must be finite", f"is {self.center:g}")
        require(0 < self.scale < math.inf, "`scale` must be positive and finite", f"is {self.scale:g}")

    def from_normal(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        away = -jnp.log(2 * ndtr(-jnp.abs(z)))
        return self.center + self.scale * jnp.sign(z) * away

    def to_normal(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        u = (x - self.center) / self.scale
        return -jnp.sign(u) * ndtri(0.5 * jnp.exp(-jnp.abs(u)))

    def log_prob(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return -jnp.abs(x - self.center) / self.scale - jnp.log(2 * self.scale)

    def moments(self) -> tuple[float, float]:
        return self.center, math.sqrt(2) * self.scale


class LogLaplace(AbstractDistribution):
    """The natural logarithm is Laplace with `center` and `scale`."""

    center: float = number()
    scale: float = number()

    def __check_init__(self):
        Laplace(self.center, self.scale)

    @property
    def _of_log(self) -> Laplace:
        return Laplace(self.center, self.scale)

    def from_normal(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return jnp.exp(self._of_log.from_normal(z))

    def to_normal(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return self._of_log.to_normal(jnp.log(x))

    def log_prob(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        logarithm = jnp.log(jnp.where(x > 0, x, 1.0))
        return jnp.where(x > 0, self._of_log.log_prob(logarithm) - logarithm, -jnp.inf)

    def moments(self) -> tuple[float, float]:
        if self.scale >= 0.5:
            return math.exp(self.center) / (1 - self.scale**2) if self.scale < 1 else math.inf, math.inf
        first, second = (math.exp(k * self.center) / (1 - (k * self.scale) ** 2) for k in (1, 2))
        return first, math.sqrt(second - first**2)


def prior_of(
    row: Row, box: tuple[float, float], bounds: tuple[float, float]
) -> tuple[AbstractDistribution | None, str]:
    """The objective prior of a row of the parameter table, and whether it is one of the parameter ("natural") or of its
    coordinate ("estimation"). None where the table has none. Without numbers a uniform one lies between the bounds.

    Raises `InterchangeError` for a type that PEtab does not have, and for numbers that do not fit it."""
    kind = row.get("objectivePriorType")
    if not kind:
        return None, "natural"
    on = "estimation" if kind.startswith("parameterScale") else "natural"
    text = row.get("objectivePriorParameters")
    if not text and kind in ("uniform", "parameterScaleUniform"):
        return Uniform(*(box if on == "estimation" else bounds)), on
    numbers = [number_in(part) for part in text.split(";")]
    a, b = numbers if len(numbers) == 2 else (None, None)
    if a is None or b is None:
        raise row.error("objectivePriorParameters", f"it must be two numbers with `;` between, but is {text!r}")
    match kind:
        case "uniform" | "parameterScaleUniform":
            return Uniform(a, b), on
        case "normal" | "parameterScaleNormal":
            return Normal(a, b), on
        case "laplace" | "parameterScaleLaplace":
            return Laplace(a, b), on
        case "logNormal":
            return LogNormal.from_omega(math.exp(a), b), on
        case "logLaplace":
            return LogLaplace(a, b), on
    raise row.error("objectivePriorType", f"PEtab has no prior {kind!r}")
