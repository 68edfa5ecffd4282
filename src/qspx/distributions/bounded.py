"""Distributions on an interval: uniform, log-uniform, logit-normal, truncated normal."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logit, ndtr
from jaxtyping import Array, Bool, Float

from qspx.distributions.base import AbstractDistribution, log_phi, number, require, score


class Uniform(AbstractDistribution):
    """Equally likely anywhere between `low` and `high`."""

    low: float = number()
    high: float = number()

    def __check_init__(self):
        _check_interval(self.low, self.high)

    def from_normal(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        width = self.high - self.low
        # Measured from the nearer end, so that neither tail is rounded away.
        return jnp.where(z < 0, self.low + width * ndtr(z), self.high - width * ndtr(-z))

    def to_normal(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        width = self.high - self.low
        return score((x - self.low) / width, (self.high - x) / width)

    def log_prob(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return jnp.where(_within(x, self.low, self.high), -jnp.log(self.high - self.low), -jnp.inf)

    def moments(self) -> tuple[float, float]:
        return (self.low + self.high) / 2, (self.high - self.low) / math.sqrt(12)


class LogUniform(AbstractDistribution):
    """Uniform on the log scale between `low` and `high`, both positive."""

    low: float = number()
    high: float = number()

    def __check_init__(self):
        _check_interval(self.low, self.high)
        require(self.low > 0, "`low` must be positive", f"is {self.low:g}", "Use `Uniform` for a range around zero.")

    def from_normal(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        width = jnp.log(self.high) - jnp.log(self.low)
        x = jnp.where(z < 0, self.low * jnp.exp(width * ndtr(z)), self.high * jnp.exp(-width * ndtr(-z)))
        return jnp.clip(x, self.low, self.high)

    def to_normal(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        width = jnp.log(self.high) - jnp.log(self.low)
        return score(jnp.log(x / self.low) / width, jnp.log(self.high / x) / width)

    def log_prob(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        inside = _within(x, self.low, self.high)
        density = -jnp.log(jnp.where(inside, x, self.low)) - jnp.log(jnp.log(self.high) - jnp.log(self.low))
        return jnp.where(inside, density, -jnp.inf)

    def moments(self) -> tuple[float, float]:
        width = math.log(self.high / self.low)
        mean = (self.high - self.low) / width
        second = (self.high - self.low) * (self.high + self.low) / (2 * width)
        return mean, math.sqrt(second - mean**2)


class LogitNormal(AbstractDistribution):
    """`low + (high - low) · sigmoid(logit(m) + omega · z)`: a normal distribution squeezed into an interval.

    `m` is the place of `median` in the interval. `omega` is the standard deviation on the logit scale.
    """

    median: float = number()
    omega: float = number()
    low: float = number(default=0.0)
    high: float = number(default=1.0)

    def __check_init__(self):
        _check_interval(self.low, self.high)
        require(
            self.low < self.median < self.high,
            f"`median` must lie between `low` and `high` ({self.low:g}, {self.high:g})",
            f"is {self.median:g}",
        )
        require(0 < self.omega < math.inf, "`omega` must be positive and finite", f"is {self.omega:g}")

    def from_normal(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return self.low + (self.high - self.low) * jax.nn.sigmoid(self._centre + self.omega * z)

    def to_normal(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return (jnp.log(x - self.low) - jnp.log(self.high - x) - self._centre) / self.omega

    def log_prob(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        inside = (x > self.low) & (x < self.high)
        safe = jnp.where(inside, x, self.median)
        slope = jnp.log(self.high - self.low) - jnp.log(safe - self.low) - jnp.log(self.high - safe)
        return jnp.where(inside, log_phi(self.to_normal(safe)) - jnp.log(self.omega) + slope, -jnp.inf)

    def moments(self) -> tuple[float, float]:
        # No closed form. The trapezoidal rule converges geometrically for a smooth integrand under a normal weight.
        z = np.linspace(-12, 12, 4001)
        weight = np.exp(-0.5 * z**2)
        weight /= weight.sum()
        x = np.asarray(self.from_normal(jnp.asarray(z)))
        mean = float(weight @ x)
        return mean, math.sqrt(float(weight @ (x - mean) ** 2))

    @property
    def _centre(self) -> Float[Array, ""]:
        return logit((self.median - self.low) / (self.high - self.low))


class TruncatedNormal(AbstractDistribution):
    """Normal with `mean` and `sd`, conditioned on lying between `low` and `high`.

    `mean` and `sd` are those of the normal distribution before truncation; `moments()` gives those after it. Drawn by
    the inverse distribution function, on whichever side keeps its digits, so that an interval far out in a tail works.
    """

    mean: float = number()
    sd: float = number()
    low: float = number(default=-math.inf)
    high: float = number(default=math.inf)

    def __check_init__(self):
        require(math.isfinite(self.mean), "`mean` must be finite", f"is {self.mean:g}")
        require(0 < self.sd < math.inf, "`sd` must be positive and finite", f"is {self.sd:g}")
        require(self.low < self.high, "`high` must be above `low`", f"the interval is ({self.low:g}, {self.high:g})")
        away = max(self.low - self.mean, self.mean - self.high) / self.sd
        # Φ(-35) = 1e-268 is close to the smallest float.
        require(
            away <= 35,
            "`mean` must lie within 35 `sd` of the interval",
            f"it is {away:.3g} `sd` away",
            "Move `mean` towards the interval, or use `Uniform`.",
        )

    def from_normal(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        a, b = (self.low - self.mean) / self.sd, (self.high - self.mean) / self.sd
        # Probability on either side of the value: sums of positive terms, hence without cancellation.
        below = ndtr(a) * ndtr(-z) + ndtr(b) * ndtr(z)
        above = ndtr(-a) * ndtr(-z) + ndtr(-b) * ndtr(z)
        return jnp.clip(self.mean + self.sd * score(below, above), self.low, self.high)

    def to_normal(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        sign, lower, upper = self._mirrored()
        y = sign * (x - self.mean) / self.sd
        mass = ndtr(upper) - ndtr(lower)
        return sign * score((ndtr(y) - ndtr(lower)) / mass, (ndtr(upper) - ndtr(y)) / mass)

    def log_prob(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        _, lower, upper = self._mirrored()
        density = log_phi((x - self.mean) / self.sd) - jnp.log(self.sd) - jnp.log(ndtr(upper) - ndtr(lower))
        return jnp.where(_within(x, self.low, self.high), density, -jnp.inf)

    def moments(self) -> tuple[float, float]:
        sign, lower, upper = (float(value) for value in self._mirrored())
        density = [math.exp(-0.5 * end**2) / math.sqrt(2 * math.pi) for end in (lower, upper)]
        mass = float(ndtr(upper) - ndtr(lower))
        shift = (density[0] - density[1]) / mass
        ends = [end * value if math.isfinite(end) else 0.0 for end, value in zip((lower, upper), density, strict=True)]
        variance = 1 + (ends[0] - ends[1]) / mass - shift**2
        return self.mean + sign * self.sd * shift, self.sd * math.sqrt(variance)

    def _mirrored(self) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        """Standardised bounds, reflected to the negative side where differences of Φ keep their digits; the sign."""
        a, b = jnp.asarray((self.low - self.mean) / self.sd), jnp.asarray((self.high - self.mean) / self.sd)
        positive = a + b > 0
        return jnp.where(positive, -1.0, 1.0), jnp.where(positive, -b, a), jnp.where(positive, -a, b)


def _check_interval(low: float, high: float) -> None:
    require(
        -math.inf < low < high < math.inf, "`high` must be above `low`, both finite", f"they are {low:g} and {high:g}"
    )


def _within(x: Float[Array, "*n"], low: float | Array, high: float | Array) -> Bool[Array, "*n"]:
    return (x >= low) & (x <= high)
