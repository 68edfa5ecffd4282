"""How far weighted patients are from the numbers that a target knows, as functions of jax.

Features of targets are means of indicators and of squares, made for weights. Gradients need other forms of the same
knowledge: quantiles for bins, standard deviations for second moments, a coefficient for a correlation.
"""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy.special import ndtri
from scipy.stats import norm

from qspx.vpop.outputs import PopulationError
from qspx.vpop.survival import Survival
from qspx.vpop.targets import AbstractTarget, Bins, Correlation, Mean, MeanSd


@functools.singledispatch
def mismatch(target: AbstractTarget, values: Any, weights: Any) -> tuple[Any, Any]:
    """Achieved minus wanted, shape (K,), in standard deviations of the output or as shares of people; and the
    covariance (K, K) of what is wanted, zero where the sample size is not known.

    For outputs `values` (n, names), finite, of patients with `weights` (n,) >= 0, not summing to one. Differentiable by
    values. A target of your own joins with `@mismatch.register`. Raises `PopulationError` for a target without a
    differentiable form."""
    raise PopulationError(
        f"a {type(target).__name__} of {target.names} has no differentiable form, which gradients need. Fit to targets "
        "that have one (LogNormalLaw, Rows, Mean, MeanSd, Bins, Quantiles, Survival, Correlation) and give this one to "
        "the weighting; or register a form for it with `qspx.vpop.mismatch.register`."
    )


@mismatch.register
def _(target: MeanSd, values, weights):
    x = jnp.log(_positive(values)) if target.log else values
    mean, sd = _moments(x, weights if not target.log else weights * (values > 0).all(axis=1))
    size = np.inf if target.n is None else float(target.n)
    r = jnp.stack([(mean[0] - target.mean) / target.sd, sd[0] / target.sd - 1.0])
    return r, np.diag([1 / size, 1 / (2 * size)])


@mismatch.register
def _(target: Mean, values, weights):
    """In standard deviations of the patients, which are taken as they are: no derivative goes through them."""
    x = jnp.log(_positive(values)) if target.log else values
    mean, sd = _moments(x, weights if not target.log else weights * (values > 0).all(axis=1))
    scale = lax.stop_gradient(jnp.maximum(sd[0], 1e-9 * max(abs(target.mean), 1.0)))
    return (mean - target.mean) / scale, ((target.error or 0.0) / scale)[None, None] ** 2


@mismatch.register
def _(target: Correlation, values, weights):
    x = jnp.log(_positive(values)) if target.log else values
    w = weights * (values > 0).all(axis=1) if target.log else weights
    mean, sd = _moments(x, w)
    product = ((w / _total(w)) @ jnp.prod(x - mean[None], axis=1)) / jnp.prod(sd)
    size = np.inf if target.n is None else float(target.n)
    return product[None] - target.correlation, np.array([[(1 - target.correlation**2) ** 2 / size]])


@mismatch.register
def _(target: Bins, values, weights):
    shares = np.cumsum(target.shares)[:-1]
    size = np.inf if target.n is None else float(target.n)
    covariance = (np.minimum(shares[:, None], shares) - shares[:, None] * shares) / size
    return _at_quantiles(np.asarray(target.edges, float)[1:-1], shares, covariance, values[:, 0], weights)


@mismatch.register
def _(target: Survival, values, weights):
    """Who survives beyond the last time counts as an event at twice that time: no quantile looks further."""
    times = np.asarray(target.times, float)
    seen = jnp.minimum(values[:, 0], times[-1] + abs(times[-1]))
    return _at_quantiles(times, 1.0 - np.asarray(target.surviving, float), target.covariance, seen, weights)


def _at_quantiles(edges: Any, shares: Any, covariance: Any, x: Any, weights: Any) -> tuple[Any, Any]:
    """Quantiles of the patients at the `shares` below the `edges`, against the edges; times the density of people
    there, which makes shares of them. The density is that of a normal law through the edges. `covariance`: of the
    shares."""
    # nobody lies between edges that have the same share below them, nor beyond those that have none
    levels, first, place = np.unique(np.round(shares, 12), return_index=True, return_inverse=True)
    edges = np.bincount(place, edges) / np.bincount(place)
    within = (levels > 0) & (levels < 1)
    edges, levels, first = edges[within], levels[within], first[within]
    scores = ndtri(levels)
    scale = np.polyfit(scores, edges, 1)[0] if len(edges) > 1 else np.abs(edges) + (edges == 0)
    density = norm.pdf(scores) / scale
    return jnp.asarray(density) * (weighted_quantiles(x, weights, levels) - edges), covariance[np.ix_(first, first)]


def weighted_quantiles(x: Any, weights: Any, levels: Any) -> Any:
    """Quantiles of points `x` (n,) with `weights` (n,) at `levels` (K,), interpolated between the middles of their
    shares."""
    # points of weight zero go to the end, at the place of the largest of the others
    last = jnp.where(weights > 0, x, -jnp.inf).max()
    x = jnp.where(weights > 0, x, last)
    order = jnp.argsort(jnp.where(weights > 0, x, jnp.inf))
    w = weights[order] / _total(weights)
    return jnp.interp(jnp.asarray(levels), jnp.cumsum(w) - w / 2, x[order])


def _total(weights: Any) -> Any:
    return jnp.maximum(weights.sum(), 1e-300)


def _positive(values: Any) -> Any:
    return jnp.where(values > 0, values, 1.0)


def _moments(x: Any, weights: Any) -> tuple[Any, Any]:
    """Mean and standard deviation of each column; the root has no derivative where nothing varies."""
    w = weights / _total(weights)
    mean = w @ x
    return mean, jnp.sqrt(w @ (x - mean[None]) ** 2 + 1e-24)
