"""Laws of parameters that can be fitted: images of a standard normal e under a map that knows its change of volume.

    z = T(e),   log q(z) = log N(e) - log |dT/de|

z are the normal scores of the parameters, so that N(0, I) is the prior itself.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import jax.numpy as jnp


class AbstractParameterLaw(abc.ABC):
    """A family of laws. What is fitted is a pytree of arrays."""

    @abc.abstractmethod
    def start(self, dimensions: int, key: Any) -> Any:
        """Arrays to fit, at or near the prior."""

    @abc.abstractmethod
    def moved(self, at: Any, e: Any) -> tuple[Any, Any]:
        """Scores z (n, P) and the logarithm of the change of volume (n,) at standard normal `e` (n, P). A function of
        jax, differentiable by `at`."""

    def divergence(self, at: Any, e: Any, z: Any, volume: Any) -> Any:
        """KL(q | prior), estimated from the z and volumes at standard normal `e`."""
        return (0.5 * (z**2 - e**2).sum(axis=1) - volume).mean()


@dataclasses.dataclass(frozen=True)
class GaussianLaw(AbstractParameterLaw):
    """Normal: z = m + C e, C lower triangular with a positive diagonal; P (P + 3) / 2 numbers."""

    def start(self, dimensions, key):
        p = dimensions
        return {"mean": jnp.zeros(p), "low": jnp.zeros((p, p)), "log_diagonal": jnp.zeros(p)}

    def moved(self, at, e):
        return affine(at, e)

    def divergence(self, at, e, z, volume):
        squares = (factor(at) ** 2).sum() + (at["mean"] ** 2).sum()
        return 0.5 * (squares - len(at["mean"])) - at["log_diagonal"].sum()


def factor(at: Any) -> Any:
    """C, shape (P, P)."""
    return jnp.tril(at["low"], -1) + jnp.diag(jnp.exp(at["log_diagonal"]))


def affine(at: Any, e: Any) -> tuple[Any, Any]:
    """m + C e, and the logarithm of the change of volume."""
    return at["mean"][None] + e @ factor(at).T, jnp.full(len(e), 1.0) * at["log_diagonal"].sum()
