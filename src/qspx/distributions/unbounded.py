"""Normal and log-normal: the score stretched and shifted, on the plain and on the log scale."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from qspx.distributions.base import AbstractDistribution, log_phi, number, require


class Normal(AbstractDistribution):
    """`mean + sd · z`."""

    mean: float = number()
    sd: float = number()

    def __check_init__(self):
        require(math.isfinite(self.mean), "`mean` must be finite", f"is {self.mean:g}")
        require(0 < self.sd < math.inf, "`sd` must be positive and finite", f"is {self.sd:g}")

    def from_normal(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return self.mean + self.sd * z

    def to_normal(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return (x - self.mean) / self.sd

    def log_prob(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return log_phi(self.to_normal(x)) - jnp.log(self.sd)

    def moments(self) -> tuple[float, float]:
        return self.mean, self.sd


class LogNormal(AbstractDistribution):
    """`median · exp(omega · z)` with `omega = sqrt(log(1 + cv²))`.

    `cv` is the coefficient of variation of the parameter itself (0.3 for 30 %), not `omega`, the standard deviation
    of its logarithm. The two differ by 2 % at 0.3 and by 17 % at 1; use `from_omega` for published `omega`.
    """

    median: float = number()
    cv: float = number()

    def __check_init__(self):
        require(0 < self.median < math.inf, "`median` must be positive and finite", f"is {self.median:g}")
        require(
            0 < self.cv < math.inf,
            "`cv` must be positive and finite",
            f"is {self.cv:g}",
            "Leave a parameter that does not vary out of the distribution.",
        )

    @classmethod
    def from_omega(cls, median: float, omega: float) -> LogNormal:
        """From the standard deviation of the logarithm (NONMEM: the square root of an OMEGA diagonal)."""
        require(0 < omega < 18, "`omega` must be in (0, 18)", f"is {omega:g}", "A variance? Take its square root.")
        return cls(median, math.sqrt(math.expm1(omega**2)))

    @property
    def omega(self) -> Float[Array, ""]:
        """Standard deviation of the logarithm."""
        return jnp.sqrt(jnp.log1p(jnp.square(self.cv)))

    def from_normal(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return self.median * jnp.exp(self.omega * z)

    def to_normal(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return (jnp.log(x) - jnp.log(self.median)) / self.omega

    def log_prob(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        inside = jnp.where(x > 0, x, self.median)
        density = log_phi(self.to_normal(inside)) - jnp.log(self.omega) - jnp.log(inside)
        return jnp.where(x > 0, density, -jnp.inf)

    def moments(self) -> tuple[float, float]:
        mean = self.median * math.sqrt(1 + self.cv**2)
        return mean, mean * self.cv
