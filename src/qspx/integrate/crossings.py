"""Time beyond a threshold within one accepted step, from the crossings of the method's continuous output."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from qspx.integrate.base import SolveRequest

# guarded Newton iterations; bisection alone would be at the last digit after 53
MOST_ITERATIONS = 100


class Thresholds(NamedTuple):
    """Of the summaries that have one: their numbers `rows`, signs (-1 where the time below counts), and levels."""

    rows: np.ndarray
    signs: np.ndarray
    levels: jnp.ndarray

    @classmethod
    def of(cls, request: SolveRequest, theta) -> Thresholds | None:
        """Those of one subject; None where no summary has a threshold."""
        given = [(i, *s.beyond) for i, s in enumerate(request.summaries) if s.beyond]
        if not given:
            return None
        rows, signs, levels = zip(*given, strict=True)
        numbers = [theta[request.model.parameter_index(x)] if isinstance(x, str) else x for x in levels]
        return cls(np.array(rows), np.array(signs), jnp.stack([jnp.asarray(x, theta.dtype) for x in numbers]))


def time_beyond(curve, times, values, column, sign, threshold, counts):
    """Time for which `sign` times an observable is above `sign` times the threshold; NaN where it is not finite.

    Args:
        curve: t -> observables.
        times: (points,) increasing times between which the observable is monotone; values: the observable there.
        column: which observable.
        counts: whether the step counts at all; where it does not, no crossing is located.
    """

    def level(t):
        return sign * (curve(t)[column] - threshold)

    levels = sign * (values - threshold)
    above = levels > 0
    a, b, before, after = times[:-1], times[1:], above[:-1], above[1:]
    crossed = counts & (before != after)
    at = jax.vmap(lambda *piece: _crossing(level, *piece))(a, b, levels[:-1], levels[1:], crossed)
    total = jnp.where(before, jnp.where(after, b, at) - a, jnp.where(after, b - at, 0.0)).sum()
    return jnp.where(jnp.isfinite(levels).all(), total, jnp.nan)


def _crossing(level, a, b, level_a, level_b, wanted):
    """Where `level`, of different sign at a and b, is zero: Newton's method inside a bracket that every evaluation
    narrows, with a bisection where it would leave the bracket or does not halve its steps (Press et al., Numerical
    Recipes, 3rd ed., section 9.4). Its derivatives are those of the crossing (implicit function theorem)."""
    low, high, level_a, level_b = lax.stop_gradient((a, b, level_a, level_b))
    rising = level_b > 0
    start = low + (high - low) * jnp.where(wanted, level_a / jnp.where(wanted, level_a - level_b, 1.0), 0.0)
    closest = 4 * jnp.finfo(start.dtype).eps * jnp.maximum(jnp.abs(low), jnp.abs(high))

    def goes_on(state):
        *_, moved, count = state
        return wanted & (jnp.abs(moved) > closest) & (count < MOST_ITERATIONS)

    def nearer(state):
        x, low, high, moved, count = state
        g, slope = lax.stop_gradient(jax.jvp(level, (x,), (jnp.ones_like(x),)))
        beyond = (g > 0) == rising
        low, high = jnp.where(beyond, low, x), jnp.where(beyond, x, high)
        newton = x - g / slope
        fast = (newton >= low) & (newton <= high) & (2 * jnp.abs(g) <= jnp.abs(moved * slope))
        found = jnp.where(fast, newton, 0.5 * (low + high))
        return found, low, high, found - x, count + 1

    at, *_ = lax.while_loop(goes_on, nearer, (start, low, high, 2 * (high - low), jnp.zeros((), jnp.int32)))
    at = lax.stop_gradient(at)
    return _moved_with(at, *jax.jvp(level, (at,), (jnp.ones_like(at),)))


@jax.custom_jvp
def _moved_with(at, level, slope):
    """`at`, with the derivatives of the place where the level is zero."""
    del level, slope
    return at


@_moved_with.defjvp
def _(primals, tangents):
    at, _, slope = primals
    change = tangents[1]
    # at a tangency the crossing has no derivative; it gets none
    steep = jnp.isfinite(slope) & (slope != 0)
    return at, jnp.where(steep, -change / jnp.where(steep, slope, 1.0), 0.0)
