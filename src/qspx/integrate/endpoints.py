"""Endpoints of one accepted step, from the method's continuous output."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from qspx.integrate.crossings import Thresholds, time_beyond

# Gauss-Legendre nodes and weights on [0, 1]: exact to degree 5, above that of the continuous output
_NODES, _WEIGHTS = (0.5 * (np.polynomial.legendre.leggauss(3)[0] + 1), 0.5 * np.polynomial.legendre.leggauss(3)[1])


class Endpoints(NamedTuple):
    """Running endpoints, one entry per summary."""

    largest: jnp.ndarray
    largest_at: jnp.ndarray
    smallest: jnp.ndarray
    area: jnp.ndarray
    last: jnp.ndarray
    beyond: jnp.ndarray

    @classmethod
    def empty(cls, n: int, dtype) -> Endpoints:
        zeros = jnp.zeros(n, dtype)
        return cls(zeros - jnp.inf, zeros, zeros + jnp.inf, zeros, zeros, zeros)


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


class _Look(NamedTuple):
    """Where a step is looked at: start, middle and end, shape (3,) and values (3, observables), and between them where
    the observables turn, times and values (4, observables)."""

    nodes: jnp.ndarray
    values: jnp.ndarray
    turns: jnp.ndarray
    at_turns: jnp.ndarray

    def ordered(self, column) -> tuple[jnp.ndarray, jnp.ndarray]:
        """Times and values of one observable, shape (7,), in the order of time: it is monotone between them."""
        halves = []
        for half in (0, 1):
            turns, values = self.turns[2 * half : 2 * half + 2, column], self.at_turns[2 * half : 2 * half + 2, column]
            order = jnp.argsort(turns)
            halves.append((turns[order], values[order]))
        (t1, v1), (t2, v2) = halves
        node, value = self.nodes[:, None], self.values[:, column, None]
        times = jnp.concatenate([node[0], t1, node[1], t2, node[2]])
        return times, jnp.concatenate([value[0], v1, value[1], v2, value[2]])


def _look(curve, t0, t1) -> _Look:
    # turning points are located on the cubic through exact values and slopes and then evaluated on the curve:
    # an error d in the location costs only O(d^2) in the value
    width = t1 - t0
    nodes = t0 + width * jnp.array([0.0, 0.5, 1.0], width.dtype)
    values, slopes = jax.vmap(lambda t: jax.jvp(curve, (t,), (jnp.ones_like(t),)))(nodes)
    half = 0.5 * width
    u = [_cubic_turning_points(values[i], values[i + 1], slopes[i] * half, slopes[i + 1] * half) for i in (0, 1)]
    # an end of an interval is exactly its node: the values tie, and the node, which comes first, wins
    halves = zip(u, nodes[:-1], nodes[1:], strict=True)
    inner = [jnp.where(x == 0, a, jnp.where(x == 1, b, a + half * x)) for x, a, b in halves]
    times = lax.stop_gradient(jnp.concatenate(inner))
    own = jax.vmap(jax.vmap(lambda t, j: curve(t)[j]), in_axes=(0, None))(times, jnp.arange(values.shape[1]))
    return _Look(nodes, values, times, own)


def update(
    ends: Endpoints,
    curve,
    t0,
    t1,
    inside,
    at_end,
    columns,
    extremes: bool,
    times_of: bool,
    area: bool,
    thresholds: Thresholds | None,
) -> Endpoints:
    """Endpoints after the step from t0 to t1.

    Args:
        curve: t -> the observables that summaries ask for, shape (observables,).
        inside: (summaries,) step lies in the summary's window; at_end: its window ends at t1.
        columns: (summaries,) which observable each summary reads.
        extremes, times_of, area: what is needed at all: largest or smallest values, when, areas (static).
        thresholds: of the summaries that have one.
    """
    width = t1 - t0
    look = _look(curve, t0, t1) if extremes or thresholds else None
    if extremes and look:
        count = look.values.shape[1]
        all_times = jnp.concatenate([jnp.broadcast_to(look.nodes[:, None], (3, count)), look.turns])[:, columns]
        all_values = jnp.concatenate([look.values, look.at_turns])[:, columns]
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
    if thresholds and look:
        of_step = jax.vmap(lambda j, sign, level, counts: time_beyond(curve, *look.ordered(j), j, sign, level, counts))(
            columns[thresholds.rows], thresholds.signs, thresholds.levels, inside[thresholds.rows]
        )
        piece = jnp.where(inside[thresholds.rows], of_step, 0.0)
        ends = ends._replace(beyond=ends.beyond.at[thresholds.rows].add(piece))
    if area:
        at_nodes = jax.vmap(curve)(t0 + width * jnp.asarray(_NODES, width.dtype))
        piece = width * (jnp.asarray(_WEIGHTS, width.dtype) @ at_nodes)[columns]
        ends = ends._replace(area=ends.area + jnp.where(inside, piece, 0.0))
    return ends._replace(last=jnp.where(at_end, curve(t1)[columns], ends.last))
