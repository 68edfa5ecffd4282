"""Endpoints of one accepted step, from the method's continuous output."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Gauss-Legendre nodes and weights on [0, 1]: exact to degree 5, above that of the continuous output
_NODES, _WEIGHTS = (0.5 * (np.polynomial.legendre.leggauss(3)[0] + 1), 0.5 * np.polynomial.legendre.leggauss(3)[1])


class Endpoints(NamedTuple):
    """Running endpoints, one entry per summary."""

    largest: jnp.ndarray
    largest_at: jnp.ndarray
    smallest: jnp.ndarray
    area: jnp.ndarray
    last: jnp.ndarray

    @classmethod
    def empty(cls, n: int, dtype) -> Endpoints:
        zeros = jnp.zeros(n, dtype)
        return cls(zeros - jnp.inf, zeros, zeros + jnp.inf, zeros, zeros)


def _cubic_turning_points(v0, v1, s0, s1):
    """Where the cubic Hermite polynomial through values v and slopes s (per unit interval) is level: (2, ...) in [0,
    1]."""
    a, b, c = 3 * (s0 + s1 - 2 * (v1 - v0)), 2 * (3 * (v1 - v0) - 2 * s0 - s1), s0
    root = jnp.sqrt(jnp.maximum(b * b - 4 * a * c, 0.0))
    q = -0.5 * (b + jnp.where(b >= 0, root, -root))
    u = jnp.stack([q / jnp.where(a == 0, 1.0, a), c / jnp.where(q == 0, 1.0, q)])
    return jnp.clip(jnp.where(jnp.isfinite(u), u, 0.0), 0.0, 1.0)


def _refined(level, t, t0, t1):
    """One Newton step from `t` to the turning point of `level`; its derivatives are those of the turning point
    (implicit function theorem). `t` itself where that would leave (t0, t1), or where `t` is one of the ends."""

    def slope(x):
        return jax.jvp(level, (x,), (jnp.ones_like(x),))[1]

    s, curvature = jax.jvp(slope, (t,), (jnp.ones_like(t),))
    curvature = jnp.where(curvature == 0, 1.0, curvature)
    found = t - jnp.where(jnp.isfinite(s / curvature), s / curvature, 0.0)
    usable = (t > t0) & (t < t1) & (found > t0) & (found < t1)
    at = lax.stop_gradient(jnp.where(usable, found, t))
    moved = slope(at)
    return jnp.where(usable, at - (moved - lax.stop_gradient(moved)) / lax.stop_gradient(curvature), t)


def update(
    ends: Endpoints, curve, t0, t1, inside, at_end, columns, extremes: bool, times_of: bool, area: bool
) -> Endpoints:
    """Endpoints after the step from t0 to t1.

    Args:
        curve: t -> the observables that summaries ask for, shape (observables,).
        inside: (summaries,) step lies in the summary's window; at_end: its window ends at t1.
        columns: (summaries,) which observable each summary reads.
        extremes, times_of, area: what is needed at all: largest or smallest values, when, areas (static).
    """
    width = t1 - t0
    if extremes:
        # turning points are located on the cubic through exact values and slopes and then evaluated on the curve:
        # an error d in the location costs only O(d^2) in the value
        nodes = t0 + width * jnp.array([0.0, 0.5, 1.0], width.dtype)
        values, slopes = jax.vmap(lambda t: jax.jvp(curve, (t,), (jnp.ones_like(t),)))(nodes)
        half = 0.5 * width
        u = [_cubic_turning_points(values[i], values[i + 1], slopes[i] * half, slopes[i + 1] * half) for i in (0, 1)]
        count = values.shape[1]
        # an end of an interval is exactly its node: the values tie, and the node, which comes first, wins
        halves = zip(u, nodes[:-1], nodes[1:], strict=True)
        inner = [jnp.where(x == 0, a, jnp.where(x == 1, b, a + half * x)) for x, a, b in halves]
        times = lax.stop_gradient(jnp.concatenate(inner))
        own = jax.vmap(jax.vmap(lambda t, j: curve(t)[j]), in_axes=(0, None))(times, jnp.arange(count))
        all_times = jnp.concatenate([jnp.broadcast_to(nodes[:, None], (3, count)), times])[:, columns]
        all_values = jnp.concatenate([values, own])[:, columns]
        best = jnp.argmax(all_values, axis=0)
        top = jnp.take_along_axis(all_values, best[None], axis=0)[0]
        at = jnp.take_along_axis(all_times, best[None], axis=0)[0]
        if times_of:
            at = jax.vmap(lambda t, j: _refined(lambda x: curve(x)[j], t, t0, t1))(at, columns)
        higher = inside & (top > ends.largest)
        ends = ends._replace(
            largest=jnp.where(higher, top, ends.largest),
            largest_at=jnp.where(higher, at, ends.largest_at),
            smallest=jnp.where(inside, jnp.minimum(ends.smallest, all_values.min(axis=0)), ends.smallest),
        )
    if area:
        at_nodes = jax.vmap(curve)(t0 + width * jnp.asarray(_NODES, width.dtype))
        piece = width * (jnp.asarray(_WEIGHTS, width.dtype) @ at_nodes)[columns]
        ends = ends._replace(area=ends.area + jnp.where(inside, piece, 0.0))
    return ends._replace(last=jnp.where(at_end, curve(t1)[columns], ends.last))
