"""Distances between a population and a target, differentiable by the population: what a push-forward is fitted by.

Where the target is a distribution, between standardised logarithms of the outputs of patients x (n, M), who have
weights w (n,), and of people y (m, M): `AbstractDistance`. Where it is a few numbers, between those numbers:
`SummaryDistance`. All are zero for a population that looks like the target, and of the size of a squared difference of
means in standard deviations, so that those of several targets and arms can be added up.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from qspx.vpop.mismatches import mismatch, weighted_quantiles
from qspx.vpop.targets import AbstractTarget


class AbstractDistance(abc.ABC):
    """A distance between two clouds of points."""

    @abc.abstractmethod
    def between(self, x: Any, w: Any, y: Any, key: Any) -> Any:
        """For points `x` (n, M) with weights `w` (n,) >= 0, not summing to one, and points `y` (m, M). A function of
        jax, differentiable by x; points of weight zero are finite and do not matter. `key` is of jax."""


@dataclasses.dataclass(frozen=True)
class EnergyDistance(AbstractDistance):
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|; no bandwidth; unbiased for equal weights, so that it may come out below zero
    (Székely and Rizzo 2013, doi 10.1016/j.jspi.2013.03.018)."""

    def between(self, x, w, y, key):
        w = w / jnp.maximum(w.sum(), 1e-300)
        own = w @ _lengths(x, x) @ w / jnp.maximum(1 - (w**2).sum(), 1e-6)
        theirs = _lengths(y, y).sum() / (len(y) * (len(y) - 1))
        return 2 * (w @ _lengths(x, y)).mean() - own - theirs


def _lengths(a: Any, b: Any) -> Any:
    square = ((a[:, None] - b[None]) ** 2).sum(-1)
    # the root has no derivative at zero, where a point meets itself
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


@dataclasses.dataclass(frozen=True)
class SlicedWasserstein(AbstractDistance):
    """Mean over directions of the squared 2-Wasserstein distance of the projections (Bonneel 2015, doi
    10.1007/s10851-014-0506-3). A cloud that is another one shifted by d is |d|² / M away.

    Args:
        directions: at least so many; drawn anew each time, in bases of M orthogonal ones, which estimate the mean
            better than independent ones (Rowland 2019, proceedings.mlr.press/v89/rowland19a).
    """

    directions: int = 64

    def between(self, x, w, y, key):
        m = x.shape[1]
        normal = jax.random.normal(key, (math.ceil(self.directions / m), m, m), dtype=x.dtype)
        bases = jnp.linalg.qr(normal)[0]
        along = jnp.swapaxes(bases, 1, 2).reshape(-1, m).T
        levels = (jnp.arange(len(y)) + 0.5) / len(y)
        mine = jax.vmap(lambda column: weighted_quantiles(column, w, levels), in_axes=1, out_axes=1)(x @ along)
        return ((mine - jnp.sort(y @ along, axis=0)) ** 2).mean()


@dataclasses.dataclass(frozen=True)
class SummaryDistance:
    """Squared mismatch r of numbers that a target knows, each counted by its certainty: r' (S/t² + I)^-1 r, S the
    covariance of the target. Numbers known exactly count in full, those of a small study less.

    Args:
        tolerance: t, the standard error at which a number counts half, in standard deviations of the output, or as a
            share of people.
    """

    tolerance: float = 0.05

    def of(self, target: AbstractTarget, values: Any, weights: Any) -> Any:
        """For outputs `values` (n, names) with `weights` (n,). A function of jax, differentiable by values. Raises
        `PopulationError` if the target has no differentiable form."""
        r, covariance = mismatch(target, values, weights)
        counted = jnp.asarray(covariance) / self.tolerance**2 + jnp.eye(len(r))
        return r @ jnp.linalg.solve(counted, r)
