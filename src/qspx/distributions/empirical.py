"""Observed values with weights, drawn by the inverse of their distribution function."""

from __future__ import annotations

import math
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from qspx.distributions.base import AbstractDistribution, require


class Empirical(AbstractDistribution):
    """Draws one of `values`, with probability proportional to `weights` (equal when left out).

    Equal values are merged and sorted. No smoothing: only values that were observed are drawn, and `log_prob` is the
    log of a probability.
    """

    values: Float[Array | np.ndarray, " k"]
    weights: Float[Array | np.ndarray, " k"]

    discrete: ClassVar[bool] = True

    def __init__(self, values: ArrayLike, weights: ArrayLike | None = None):
        observed = np.asarray(values, dtype=float)
        require(
            observed.ndim == 1 and observed.size > 0,
            "`values` must be a list of at least one number",
            f"has shape {observed.shape}",
        )
        require(bool(np.isfinite(observed).all()), "`values` must be finite", "some are not", "Drop missing values.")
        share = np.ones_like(observed) if weights is None else np.asarray(weights, dtype=float)
        require(
            share.shape == observed.shape,
            "`weights` must have one weight for each value",
            f"there are {share.size} weights for {observed.size} values",
        )
        require(
            bool((share >= 0).all() and 0 < share.sum() < math.inf),
            "`weights` must be non-negative, finite and not all zero",
            "they are not",
        )
        unique, place = np.unique(observed, return_inverse=True)
        total = np.bincount(place, weights=share)
        self.values = unique[total > 0]
        self.weights = total[total > 0] / total.sum()

    def from_normal(self, z: Float[Array, "*n"]) -> Float[Array, "*n"]:
        place = jnp.searchsorted(jnp.cumsum(self.weights), ndtr(z))
        # Rounding may leave the last cumulative weight just below one.
        return jnp.asarray(self.values)[jnp.minimum(place, len(self.values) - 1)]

    def to_normal(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """Score of the middle of the step at `x`: a stand-in, since a step has no single score."""
        place = self._place(x)
        weights = jnp.asarray(self.weights)
        return ndtri((jnp.cumsum(weights) - weights / 2)[place])

    def log_prob(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        place = self._place(x)
        found = jnp.asarray(self.values)[place] == x
        return jnp.where(found, jnp.log(jnp.asarray(self.weights))[place], -jnp.inf)

    def moments(self) -> tuple[float, float]:
        mean = float(self.weights @ self.values)
        return mean, math.sqrt(float(self.weights @ (self.values - mean) ** 2))

    def _place(self, x):
        return jnp.minimum(jnp.searchsorted(jnp.asarray(self.values), x), len(self.values) - 1)
