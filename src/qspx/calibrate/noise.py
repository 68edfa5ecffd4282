"""What a measurement's value is expected to scatter like, around the prediction.

A noise model is a location-scale family on some scale of the values: z = (T(value) - T(prediction)) / sd has a fixed
density. `sd` is on that scale. A new one is a class with the five members of `AbstractNoise`.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Any, ClassVar

import jax.numpy as jnp
from jax.scipy.special import betainc, log_ndtr
from jax.scipy.stats import t as student

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class AbstractNoise(abc.ABC):
    """A location-scale family. Every function works on arrays of one shape; values, predictions and standard deviations
    are in the unit of the measurement, or on its logarithm where `scale` says so."""

    scale: ClassVar[str] = "lin"  # "lin", "log" or "log10": on which scale it scatters

    @abc.abstractmethod
    def log_standard(self, z: Any) -> Any:
        """Log density of the standardised residual."""

    @abc.abstractmethod
    def log_below_standard(self, z: Any) -> Any:
        """Log of the probability of less."""

    @property
    @abc.abstractmethod
    def information(self) -> tuple[float, float]:
        """Fisher information of location times sd², and of log sd."""

    def on_scale(self, x: Any) -> Any:
        """The scale on which values scatter."""
        if self.scale == "lin":
            return x
        return jnp.log(x) / (math.log(10.0) if self.scale == "log10" else 1.0)

    def from_scale(self, x: Any) -> Any:
        """Inverse of `on_scale`."""
        if self.scale == "lin":
            return x
        return jnp.exp(x * (math.log(10.0) if self.scale == "log10" else 1.0))

    def log_slope(self, x: Any) -> Any:
        """Log of the derivative of `on_scale`, which turns its density into that of the value itself."""
        if self.scale == "lin":
            return jnp.zeros_like(x)
        return -jnp.log(x) - (math.log(math.log(10.0)) if self.scale == "log10" else 0.0)

    def residual(self, value: Any, prediction: Any, sd: Any) -> Any:
        """Standardised residual."""
        return (self.on_scale(value) - self.on_scale(prediction)) / sd

    def log_density(self, value: Any, prediction: Any, sd: Any) -> Any:
        """Log density of a measured value, in its own unit."""
        return self.log_standard(self.residual(value, prediction, sd)) - jnp.log(sd) + self.log_slope(value)

    def log_below(self, limit: Any, prediction: Any, sd: Any) -> Any:
        """Log of the probability of a value below `limit` (Beal 2001, method M3; doi:10.1023/a:1012299115260)."""
        return self.log_below_standard(self.residual(limit, prediction, sd))


@dataclasses.dataclass(frozen=True)
class NormalNoise(AbstractNoise):
    """Normal."""

    def log_standard(self, z):
        return -0.5 * z**2 - _HALF_LOG_2PI

    def log_below_standard(self, z):
        return log_ndtr(z)

    @property
    def information(self):
        return 1.0, 2.0


@dataclasses.dataclass(frozen=True)
class LogNormalNoise(NormalNoise):
    """Normal on the natural logarithm; `sd` is about the coefficient of variation where it is small."""

    scale: ClassVar[str] = "log"


@dataclasses.dataclass(frozen=True)
class Log10NormalNoise(NormalNoise):
    """Normal on the decimal logarithm."""

    scale: ClassVar[str] = "log10"


@dataclasses.dataclass(frozen=True)
class LaplaceNoise(AbstractNoise):
    """Laplace; `sd` stands for its scale b, whose standard deviation is b times the root of two (as in PEtab)."""

    def log_standard(self, z):
        return -jnp.abs(z) - math.log(2.0)

    def log_below_standard(self, z):
        below = jnp.minimum(z, 0.0) - math.log(2.0)
        return jnp.where(z < 0, below, jnp.log1p(-0.5 * jnp.exp(-jnp.maximum(z, 0.0))))

    @property
    def information(self):
        return 1.0, 1.0


@dataclasses.dataclass(frozen=True)
class LogLaplaceNoise(LaplaceNoise):
    """Laplace on the natural logarithm."""

    scale: ClassVar[str] = "log"


@dataclasses.dataclass(frozen=True)
class Log10LaplaceNoise(LaplaceNoise):
    """Laplace on the decimal logarithm."""

    scale: ClassVar[str] = "log10"


@dataclasses.dataclass(frozen=True)
class StudentNoise(AbstractNoise):
    """Student's t with `freedom` degrees of freedom: outliers pull less. `sd` stands for its scale."""

    freedom: float = 4.0

    def log_standard(self, z):
        return student.logpdf(z, self.freedom)

    def log_below_standard(self, z):
        at_zero = z == 0  # there the slope of the tail is that of the density, which its formula hides
        square = jnp.where(at_zero, 1.0, z) ** 2
        tail = 0.5 * betainc(0.5 * self.freedom, 0.5, self.freedom / (self.freedom + square))
        tail = jnp.where(at_zero, 0.5 - student.pdf(0.0, self.freedom) * z, tail)
        return jnp.where(z < 0, jnp.log(tail), jnp.log1p(-tail))

    @property
    def information(self):
        return (self.freedom + 1) / (self.freedom + 3), 2 * self.freedom / (self.freedom + 3)
