"""Time beyond a threshold within one accepted step, as LLVM code: the definitions of `qspx.integrate.crossings`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
    total = f.variable(f.vector, 0.0)
    with f.loop(POINTS - 1) as number:
        piece = _Piece.of(f, s, k, w, i, number)
        found = f.variable(f.vector, 0.0)
        crossed = inside & piece.crossed
        with f.when(crossed.any()):
            piece.cross(f, s, k, w, seen, i, crossed, found)
        a, b = piece.shares
        counted = piece.before.where(piece.after.where(b, found[0]) - a, piece.after.where(b - found[0], f.number(0.0)))
        known = piece.levels[0].is_finite() & piece.levels[1].is_finite()
        total[0] = total[0] + known.where(counted, f.number(np.nan))
    return inside.where(total[0] * (s.end[0] - s.t[0]), f.number(0.0))


def crossings(
    f: Function, s: Lanes, k: Look, w: Windows, seen: Observed, i: Value, inside: Value
) -> Iterator[tuple[Value, Value, Value]]:
    """Code for each piece of the step in which a lane crosses threshold i: (where, share of the step, time derivative
    of the observable there). What the caller writes is inside that code."""
    with f.loop(POINTS - 1) as number:
        piece = _Piece.of(f, s, k, w, i, number)
        crossed = inside & piece.crossed
        with f.when(crossed.any()):
            found = f.variable(f.vector, 0.0)
            piece.cross(f, s, k, w, seen, i, crossed, found)
            look_at(f, s, k, "slopes", seen.slopes, crossed.where(found[0], f.number(0.0)), 1)
            yield crossed, crossed.where(found[0], f.number(0.0)), k.slopes[w.columns[i]]


@dataclass
class _Piece:
    """A piece of the step, between two points: shares of the step, levels above the threshold (with its sign), and
    whether they count, at both ends."""

    shares: tuple[Value, Value]
    levels: tuple[Value, Value]
    before: Value
    after: Value

    @classmethod
    def of(cls, f: Function, s: Lanes, k: Look, w: Windows, i: Value, number: Value) -> _Piece:
        here = number * k.count + w.columns[i]
        there = here + k.count
        sign, threshold = f.splat(w.signs[i]), w.threshold(i, s)
        first, last = (sign * (k.at_points[place] - threshold) for place in (here, there))
        return cls((k.shares[here], k.shares[there]), (first, last), first > 0.0, last > 0.0)

    @property
    def crossed(self) -> Value:
        return (self.before & ~self.after) | (self.after & ~self.before)

    def cross(
        self, f: Function, s: Lanes, k: Look, w: Windows, seen: Observed, i: Value, crossed: Value, found: Array
    ) -> None:
        """Share of the step at which the lanes in `crossed` cross, into `found`."""
        column, sign, threshold = w.columns[i], f.splat(w.signs[i]), w.threshold(i, s)
        (a, b), (first, last) = self.shares, self.levels
        found[0] = a + (b - a) * (first / crossed.where(first - last, f.number(1.0)))

        def level(share: Value) -> tuple[Value, Value]:
            look_at(f, s, k, "slopes", seen.slopes, share, 1)
            width = s.end[0] - s.t[0]
            return sign * (k.levels[column] - threshold), sign * k.slopes[column] * width

        _find_crossing(f, level, found, a, b, self.after, crossed)


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
