"""Time beyond a threshold within one accepted step, as LLVM code: the definitions of `qspx.integrate.crossings`."""

from __future__ import annotations

import numpy as np

from qspx.integrate.crossings import MOST_ITERATIONS
from qspx.integrate.native_code import INTEGER, Array, Function, Value
from qspx.integrate.native_look import POINTS, Look, Windows, look_at
from qspx.integrate.native_step import Lanes
from qspx.integrate.observed import Observed

CLOSEST = 1e-14  # share of the step


def times_beyond(f: Function, s: Lanes, k: Look, w: Windows, seen: Observed, i: Value, inside: Value) -> Value:
    """Time of the step for which summary i counts, in the lanes where the step lies `inside` its window, else zero.
    NaN where the observable is not finite."""
    column, sign, threshold = w.columns[i], f.splat(w.signs[i]), w.threshold(i, s)
    total, found = f.variable(f.vector, 0.0), f.variable(f.vector, 0.0)
    with f.loop(POINTS - 1) as piece:
        here = piece * k.count + column
        there = here + k.count
        a, b = k.shares[here], k.shares[there]
        levels = [sign * (k.at_points[place] - threshold) for place in (here, there)]
        before, after = (level > 0.0 for level in levels)
        crossed = inside & ((before & ~after) | (after & ~before))
        with f.when(crossed.any()):
            found[0] = a + (b - a) * (levels[0] / crossed.where(levels[0] - levels[1], f.number(1.0)))

            def level(share: Value) -> tuple[Value, Value]:
                look_at(f, s, k, "slopes", seen.slopes, share, 1)
                width = s.end[0] - s.t[0]
                return sign * (k.levels[column] - threshold), sign * k.slopes[column] * width

            _find_crossing(f, level, found, a, b, after, crossed)
        counted = before.where(after.where(b, found[0]) - a, after.where(b - found[0], f.number(0.0)))
        known = levels[0].is_finite() & levels[1].is_finite()
        total[0] = total[0] + known.where(counted, f.number(np.nan))
    return inside.where(total[0] * (s.end[0] - s.t[0]), f.number(0.0))


def _find_crossing(f: Function, level, x: Array, a: Value, b: Value, rising: Value, wanted: Value) -> None:
    """Move `x` to where `level` (share -> level, slope), of different sign at a and b, is zero: Newton's method in a
    bracket, as in the traceable engine. A lane that is there stays there while others go on."""
    low, high, moved = f.variable(f.vector, a), f.variable(f.vector, b), f.variable(f.vector, 2.0 * (b - a))
    live, count = f.variable(f.integers, wanted.as_integers()), f.variable(INTEGER, 0)
    with f.repeat() as leave:
        going = live[0] < 0
        leave(~going.any())
        leave(count[0] >= MOST_ITERATIONS)
        g, slope = level(going.where(x[0], f.number(0.0)))
        beyond = (rising & (g > 0.0)) | (~rising & ~(g > 0.0))
        low[0] = (going & ~beyond).where(x[0], low[0])
        high[0] = (going & beyond).where(x[0], high[0])
        newton = x[0] - g / slope
        halves = 2.0 * f.unary("fabs", g) <= f.unary("fabs", moved[0] * slope)
        fast = (newton >= low[0]) & (newton <= high[0]) & halves
        found = fast.where(newton, 0.5 * (low[0] + high[0]))
        moved[0] = found - x[0]
        x[0] = going.where(found, x[0])
        live[0] = (going & (f.unary("fabs", moved[0]) > CLOSEST)).as_integers()
        count[0] = count[0] + 1
