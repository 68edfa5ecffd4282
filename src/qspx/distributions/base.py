"""What a distribution of one parameter must offer.

Every distribution is an increasing map of a standard normal score `z`. Drawing is then mapping normal numbers, and
a Gaussian copula joins any of them. Write the map and its inverse so that both tails keep their digits: `ndtr(-z)`
is exact where `1 - ndtr(z)` has none left.
"""

from __future__ import annotations

import abc
import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from qspx._errors import QspxError


class AbstractDistribution(eqx.Module):
    """Spread of one parameter between subjects. A frozen pytree whose leaves are its numbers.

    A new one declares its numbers with `number()`, checks them in `__check_init__`, and gives the four methods below.
    """

    discrete: ClassVar[bool] = False
    """True where `log_prob` is the log of a probability instead of a density."""

    @abc.abstractmethod
    def from_normal(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """The value at standard normal score `z`: quantile(Φ(z)), increasing in `z`."""

    @abc.abstractmethod
    def to_normal(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """Inverse of `from_normal`; not finite outside the support."""

    @abc.abstractmethod
    def log_prob(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """Log density at `x`; -inf outside the support."""

    @abc.abstractmethod
    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation."""

    def quantile(self, u: ArrayLike) -> Float[Array, "*n"]:
        """Value below which a share `u` of subjects lies, any shape."""
        return value(self, ndtri(jnp.asarray(u, dtype=float)))


@jax.jit
def value(distribution: AbstractDistribution, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """`from_normal`, compiled once for each kind of distribution: its numbers are arguments of the program."""
    return distribution.from_normal(z)


def number(**kwargs) -> Any:
    """A field that holds one float. Always a float: an int would be another type to jax and compile anew."""
    return eqx.field(converter=_as_float, **kwargs)


def _as_float(value: ArrayLike) -> float:
    try:
        return float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        raise QspxError(f"A distribution's arguments must be numbers, but one is {value!r}.") from None


def require(holds: bool, what: str, found: str, repair: str = "") -> None:
    """Raise `QspxError` where an argument is out of range; NaN makes every comparison false and so raises too."""
    if not holds:
        raise QspxError(f"Argument {what}, but {found}.{' ' + repair if repair else ''}")


def log_phi(z: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Log density of the standard normal distribution."""
    return -0.5 * z**2 - 0.5 * math.log(2 * math.pi)


def score(below: Float[Array, "*n"], above: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Normal score with probability `below` on its left and `above` on its right, from the smaller of the two."""
    left = below < above
    tail = ndtri(jnp.where(left, below, above))
    return jnp.where(left, tail, -tail)
