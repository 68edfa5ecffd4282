"""Looking at the solution inside an accepted step, as LLVM code: memory, and where an observable turns."""

from __future__ import annotations

from dataclasses import dataclass

from qspx.integrate.native_code import Array, Function, Value
from qspx.integrate.native_step import Lanes, Workspace, curve
from qspx.integrate.observed import Observed, states_read
from qspx.integrate.program import Program

POINTS = 7  # start, two turning points, middle, two turning points, end: an observable is monotone between them
NODES = (0, 3, 6)


@dataclass
class Look:
    """Memory for looking at the solution inside a step; `count` levels. Points are by point, then by level: `shares`
    of the step in the order of time, and the levels there, `at_points`."""

    count: int
    time: Array
    y: Array
    dy: Array
    ddy: Array
    levels: Array
    slopes: Array
    bends: Array
    node_slopes: Array
    shares: Array
    at_points: Array
    top: Array
    at: Array
    low: Array
    low_at: Array
    area: Array

    @classmethod
    def of(cls, work: Workspace, n: int, count: int, samples: int) -> Look:
        sizes = {"time": 1, **dict.fromkeys(("y", "dy", "ddy"), n), "levels": max(count, samples)}
        sizes |= dict.fromkeys(("slopes", "bends", "top", "at", "low", "low_at", "area"), count)
        sizes |= {"node_slopes": 3 * count, "shares": POINTS * count, "at_points": POINTS * count}
        return cls(count, **{k: work.vectors(size, times=k in ("time", "at", "low_at")) for k, size in sizes.items()})


@dataclass
class Windows:
    """Summaries: how many, the observable of each, its window (start, end), its sign (0 without a threshold) and
    threshold (of the subject's parameter where `threshold_of` is not negative), its running endpoints, and the number
    of the step's record."""

    count: Value
    columns: Array
    windows: Array
    signs: Array
    thresholds: Array
    threshold_of: Array
    ends: Array
    record: Array

    def masks(self, i: Value, s: Lanes, accept: Value) -> tuple[Value, Value]:
        """Where the accepted step lies in window i, and where the window ends with it."""
        start, end = self.windows[i * 2], self.windows[i * 2 + 1]
        f = s.t.code
        inside = accept & (s.t[0] >= f.splat(start)) & (s.end[0] <= f.splat(end))
        return inside, accept & s.end[0].equals(f.splat(end))

    def has_threshold(self, i: Value) -> Value:
        return ~self.signs[i].equals(0.0)

    def threshold(self, i: Value, s: Lanes) -> Value:
        parameter, f = self.threshold_of[i], s.t.code
        own = parameter >= 0
        return own.where(s.theta[own.where(parameter, 0)], f.splat(self.thresholds[i]))


def look_at(f: Function, s: Lanes, k: Look, name: str, program: Program, share: Value, derivatives: int) -> None:
    """Run a program of `Observed` at `share` of the step."""
    k.time[0] = time_at(s, share)
    for q in states_read(program):
        for array, value in zip((k.y, k.dy, k.ddy), curve(f, s, q, share.to(f.real), derivatives), strict=False):
            array[q] = value
    states = (k.y, k.dy, k.ddy)[: derivatives + 1]
    found = {0: (k.levels,), 1: (k.levels, k.slopes), 2: (k.slopes, k.bends)}[derivatives]
    f.call(name, k.time, *states, s.theta, s.seen_fixed, *found)


def time_at(s: Lanes, share: Value) -> Value:
    return s.t[0] + share * (s.end[0] - s.t[0])


def examine(f: Function, s: Lanes, k: Look, seen: Observed, lies: Value) -> None:
    """Fill `k.shares` and `k.at_points`. In each half of the step the turning points are those of the cubic through
    exact levels and slopes; the levels there are those of the solution. A half with fewer than two repeats its start.
    """
    share = f.variable(f.vector, 0.0)
    with f.loop(3) as node:
        look_at(f, s, k, "slopes", seen.slopes, share[0], 1)
        with f.loop(k.count) as j:
            k.shares[3 * node * k.count + j] = share[0]
            k.at_points[3 * node * k.count + j] = k.levels[j]
            k.node_slopes[node * k.count + j] = k.slopes[j]
        share[0] = share[0] + 0.5
    with f.loop(k.count) as j:
        for half in range(2):
            _place_turns(f, s, k, j, half)
    with f.loop(2) as half, f.loop(2) as turn, f.loop(k.count) as j:
        start, place = 3 * half * k.count + j, (3 * half + turn + 1) * k.count + j
        inner = lies & (k.shares[place] > k.shares[start])
        with f.when(inner.any()):
            look_at(f, s, k, "levels", seen.levels, inner.where(k.shares[place], f.number(0.0)), 0)
            k.at_points[place] = inner.where(k.levels[j], k.at_points[place])


def _place_turns(f: Function, s: Lanes, k: Look, j: Value, half: int) -> None:
    first, last = (NODES[i] * k.count + j for i in (half, half + 1))
    level, width = k.at_points[first], 0.5 * (s.end[0] - s.t[0])
    slopes = [k.node_slopes[i * k.count + j] * width for i in (half, half + 1)]
    # an end of the interval is a node already
    found = [
        ((u > 0.0) & (u < 1.0)).where(0.5 * (u + float(half)), f.number(0.5 * half))
        for u in _turning_points(f, level, k.at_points[last], *slopes)
    ]
    ordered = f.smaller(*found), f.larger(*found)
    for turn, share in enumerate(ordered):
        place = (3 * half + 1 + turn) * k.count + j
        k.shares[place], k.at_points[place] = share, level


def _turning_points(f: Function, v0: Value, v1: Value, s0: Value, s1: Value) -> tuple[Value, Value]:
    """Where the cubic Hermite polynomial through values v and slopes s (per unit interval) is level."""
    a, b, c = 3.0 * (s0 + s1 - 2.0 * (v1 - v0)), 2.0 * (3.0 * (v1 - v0) - 2.0 * s0 - s1), s0
    root = f.unary("sqrt", f.larger(b * b - 4.0 * a * c, 0.0))
    q = -0.5 * (b + (b >= 0.0).where(root, -root))
    return q / a.equals(0.0).where(f.number(1.0), a), c / q.equals(0.0).where(f.number(1.0), q)
