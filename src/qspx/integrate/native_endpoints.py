"""Endpoints of the accepted steps, as LLVM code: the same definitions as `qspx.integrate.endpoints`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from qspx.integrate.native_code import Array, Function, Value
from qspx.integrate.native_step import Lanes, Workspace, curve
from qspx.integrate.observed import Observed, states_read
from qspx.integrate.program import Program

LARGEST, LARGEST_AT, SMALLEST, AREA, LAST = range(5)
EMPTY = (-np.inf, 0.0, np.inf, 0.0, 0.0)  # before the first step
# Gauss-Legendre nodes and weights on [0, 1]
GAUSS = (0.5 * (np.polynomial.legendre.leggauss(3)[0] + 1), 0.5 * np.polynomial.legendre.leggauss(3)[1])


@dataclass
class Look:
    """Memory for looking at the solution inside a step; `count` levels."""

    count: int
    time: Array
    y: Array
    dy: Array
    ddy: Array
    levels: Array
    slopes: Array
    bends: Array
    node_levels: Array
    node_slopes: Array
    top: Array
    at: Array
    low: Array
    area: Array
    inner: Array

    @classmethod
    def of(cls, work: Workspace, n: int, count: int, samples: int) -> Look:
        sizes = {"time": 1, **dict.fromkeys(("y", "dy", "ddy"), n), "levels": max(count, samples)}
        sizes |= dict.fromkeys(("slopes", "bends", "top", "at", "low", "area"), count)
        sizes |= {"node_levels": 3 * count, "node_slopes": 3 * count, "inner": 4 * count}
        return cls(count, **{k: work.vectors(size) for k, size in sizes.items()})


@dataclass
class Windows:
    """Summaries: how many, the observable of each, its window (start, end), and its running endpoints."""

    count: Value
    columns: Array
    edges: Array
    ends: Array

    def masks(self, i: Value, s: Lanes, accept: Value) -> tuple[Value, Value]:
        """Where the accepted step lies in window i, and where the window ends with it."""
        start, end = self.edges[i * 2], self.edges[i * 2 + 1]
        f = s.t.code
        inside = accept & (s.t[0] >= f.splat(start)) & (s.end[0] <= f.splat(end))
        return inside, accept & s.end[0].equals(f.splat(end))


def look_at(f: Function, s: Lanes, k: Look, name: str, program: Program, share: Value, derivatives: int) -> None:
    """Run a program of `Observed` at `share` of the step."""
    k.time[0] = s.t[0] + share * (s.end[0] - s.t[0])
    for q in states_read(program):
        for array, value in zip((k.y, k.dy, k.ddy), curve(f, s, q, share, derivatives), strict=False):
            array[q] = value
    states = (k.y, k.dy, k.ddy)[: derivatives + 1]
    found = {0: (k.levels,), 1: (k.levels, k.slopes), 2: (k.slopes, k.bends)}[derivatives]
    f.call(name, k.time, *states, s.theta, s.seen_fixed, *found)


def update(f: Function, s: Lanes, k: Look, w: Windows, seen: Observed, kinds: Collection[str], accept: Value) -> None:
    """Endpoints after the step, in the lanes where it was accepted."""
    lies, ends = (f.variable(f.integers, 0) for _ in range(2))
    with f.loop(w.count) as i:
        inside, at_end = w.masks(i, s, accept)
        lies[0] = lies[0] | inside.as_integers()
        ends[0] = ends[0] | at_end.as_integers()
    with f.when((lies[0] < 0).any()):
        if {"max", "tmax", "min"} & set(kinds):
            _extremes(f, s, k, seen, "tmax" in kinds, lies[0] < 0)
        if {"auc", "average"} & set(kinds):
            _areas(f, s, k, seen)
        with f.loop(w.count) as i:
            _record(f, k, w, i, w.masks(i, s, accept)[0], kinds)
    if "last" in kinds:
        with f.when((ends[0] < 0).any()):
            f.call("levels", s.end, s.y1, s.theta, s.seen_fixed, k.levels)
            with f.loop(w.count) as i:
                at_end = w.masks(i, s, accept)[1]
                place = w.ends.at(i * 5)
                place[LAST] = at_end.where(k.levels[w.columns[i]], place[LAST])


def _record(f: Function, k: Look, w: Windows, i: Value, inside: Value, kinds: Collection[str]) -> None:
    column, place = w.columns[i], w.ends.at(i * 5)
    if {"max", "tmax", "min"} & set(kinds):
        higher = inside & (k.top[column] > place[LARGEST])
        place[LARGEST_AT] = higher.where(k.at[column], place[LARGEST_AT])
        place[LARGEST] = higher.where(k.top[column], place[LARGEST])
        place[SMALLEST] = inside.where(f.smaller(place[SMALLEST], k.low[column]), place[SMALLEST])
    if {"auc", "average"} & set(kinds):
        place[AREA] = inside.where(place[AREA] + k.area[column], place[AREA])


def _extremes(f: Function, s: Lanes, k: Look, seen: Observed, times_of: bool, lies: Value) -> None:
    share = f.variable(f.vector, 0.0)
    with f.loop(3) as node:
        look_at(f, s, k, "slopes", seen.slopes, share[0], 1)
        with f.loop(k.count) as j:
            k.node_levels[node * k.count + j] = k.levels[j]
            k.node_slopes[node * k.count + j] = k.slopes[j]
        share[0] = share[0] + 0.5
    with f.loop(k.count) as j:
        _start_from_nodes(f, s, k, j)
    with f.loop(4) as c, f.loop(k.count) as j:
        place = k.inner[c * k.count + j]
        inner = lies & ~place.is_nan()
        with f.when(inner.any()):
            look_at(f, s, k, "levels", seen.levels, inner.where(place, f.number(0.0)), 0)
            level, higher = k.levels[j], inner & (k.levels[j] > k.top[j])
            k.at[j] = higher.where(k.time[0], k.at[j])
            k.top[j] = higher.where(level, k.top[j])
            k.low[j] = inner.where(f.smaller(k.low[j], level), k.low[j])
    if times_of:
        with f.loop(k.count) as j:
            _refine(f, s, k, seen, j, lies)


def _start_from_nodes(f: Function, s: Lanes, k: Look, j: Value) -> None:
    """Largest and smallest of the three nodes, and where to look between them: the turning points of the cubics."""
    nodes = [k.node_levels[i * k.count + j] for i in range(3)]
    slopes = [k.node_slopes[i * k.count + j] for i in range(3)]
    half = 0.5 * (s.end[0] - s.t[0])
    top, low, at = nodes[0], nodes[0], s.t[0]
    for node, time in zip(nodes[1:], (s.t[0] + half, s.end[0]), strict=True):
        higher = node > top
        top, at, low = higher.where(node, top), higher.where(time, at), f.smaller(low, node)
    k.top[j], k.at[j], k.low[j] = top, at, low
    for i in range(2):
        turns = _turning_points(f, nodes[i], nodes[i + 1], slopes[i] * half, slopes[i + 1] * half)
        for r, u in enumerate(turns):
            # an end of the interval is a node already
            inside = (u > 0.0) & (u < 1.0)
            k.inner[(2 * i + r) * k.count + j] = inside.where(0.5 * (u + float(i)), f.number(np.nan))


def _turning_points(f: Function, v0: Value, v1: Value, s0: Value, s1: Value) -> tuple[Value, Value]:
    """Where the cubic Hermite polynomial through values v and slopes s (per unit interval) is level."""
    a, b, c = 3.0 * (s0 + s1 - 2.0 * (v1 - v0)), 2.0 * (3.0 * (v1 - v0) - 2.0 * s0 - s1), s0
    root = f.unary("sqrt", f.larger(b * b - 4.0 * a * c, 0.0))
    q = -0.5 * (b + (b >= 0.0).where(root, -root))
    return q / a.equals(0.0).where(f.number(1.0), a), c / q.equals(0.0).where(f.number(1.0), q)


def _refine(f: Function, s: Lanes, k: Look, seen: Observed, j: Value, lies: Value) -> None:
    """One Newton step to where the level's slope is zero, unless that leaves the step."""
    at = k.at[j]
    between = lies & (at > s.t[0]) & (at < s.end[0])
    with f.when(between.any()):
        share = between.where((at - s.t[0]) / (s.end[0] - s.t[0]), f.number(0.0))
        look_at(f, s, k, "bends", seen.bends, share, 2)
        slope, bend = k.slopes[j], k.bends[j]
        move = slope / bend.equals(0.0).where(f.number(1.0), bend)
        found = at - move.is_finite().where(move, f.number(0.0))
        usable = between & (found > s.t[0]) & (found < s.end[0])
        k.at[j] = usable.where(found, at)


def _areas(f: Function, s: Lanes, k: Look, seen: Observed) -> None:
    width = s.end[0] - s.t[0]
    with f.loop(k.count) as j:
        k.area[j] = 0.0
    for node, weight in zip(*GAUSS, strict=True):
        look_at(f, s, k, "levels", seen.levels, f.number(float(node)), 0)
        with f.loop(k.count) as j:
            k.area[j] = k.area[j] + float(weight) * width * k.levels[j]
