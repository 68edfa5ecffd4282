"""Endpoints of the accepted steps, as LLVM code: the same definitions as `qspx.integrate.endpoints`."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from qspx.integrate.native_code import Function, Value
from qspx.integrate.native_crossings import times_beyond
from qspx.integrate.native_look import NODES, POINTS, Look, Windows, examine, look_at, time_at
from qspx.integrate.native_step import Lanes
from qspx.integrate.observed import Observed
from qspx.summaries import OF_THRESHOLD

# running endpoints of a summary, and where they were found: the time, and the number of the step's record on the tape
LARGEST, LARGEST_AT, SMALLEST, AREA, LAST, BEYOND, SMALLEST_AT, LARGEST_RECORD, SMALLEST_RECORD = range(9)
EMPTY = (-np.inf, 0.0, np.inf, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # before the first step
_EXTREMES, _AREAS = {"max", "tmax", "min"}, {"auc", "average"}
# Gauss-Legendre nodes and weights on [0, 1]
GAUSS = (0.5 * (np.polynomial.legendre.leggauss(3)[0] + 1), 0.5 * np.polynomial.legendre.leggauss(3)[1])


def update(f: Function, s: Lanes, k: Look, w: Windows, seen: Observed, kinds: Collection[str], accept: Value) -> None:
    """Endpoints after the step, in the lanes where it was accepted."""
    lies, ends = (f.variable(f.integers, 0) for _ in range(2))
    with f.loop(w.count) as i:
        inside, at_end = w.masks(i, s, accept)
        lies[0] = lies[0] | inside.as_integers()
        ends[0] = ends[0] | at_end.as_integers()
    with f.when((lies[0] < 0).any()):
        if (_EXTREMES | OF_THRESHOLD) & set(kinds):
            examine(f, s, k, seen, lies[0] < 0)
        if _EXTREMES & set(kinds):
            _extremes(f, s, k, seen, "tmax" in kinds, lies[0] < 0)
        if _AREAS & set(kinds):
            _areas(f, s, k, seen)
        with f.loop(w.count) as i:
            inside = w.masks(i, s, accept)[0]
            _record(f, k, w, i, inside, kinds)
            if OF_THRESHOLD & set(kinds):
                with f.when(w.has_threshold(i)):
                    place = w.ends.at(i * len(EMPTY))
                    place[BEYOND] = place[BEYOND] + times_beyond(f, s, k, w, seen, i, inside)
    if "last" in kinds:
        with f.when((ends[0] < 0).any()):
            f.call("levels", s.end, s.y1, s.theta, s.seen_fixed, k.levels)
            with f.loop(w.count) as i:
                at_end = w.masks(i, s, accept)[1]
                place = w.ends.at(i * len(EMPTY))
                place[LAST] = at_end.where(k.levels[w.columns[i]], place[LAST])


def _record(f: Function, k: Look, w: Windows, i: Value, inside: Value, kinds: Collection[str]) -> None:
    column, place = w.columns[i], w.ends.at(i * len(EMPTY))
    if _EXTREMES & set(kinds):
        higher = inside & (k.top[column] > place[LARGEST])
        place[LARGEST_AT] = higher.where(k.at[column], place[LARGEST_AT])
        place[LARGEST] = higher.where(k.top[column], place[LARGEST])
        place[LARGEST_RECORD] = higher.where(w.record[0], place[LARGEST_RECORD])
        lower = inside & ((k.low[column] < place[SMALLEST]) | k.low[column].is_nan())
        place[SMALLEST_AT] = lower.where(k.low_at[column], place[SMALLEST_AT])
        place[SMALLEST_RECORD] = lower.where(w.record[0], place[SMALLEST_RECORD])
        place[SMALLEST] = lower.where(k.low[column], place[SMALLEST])
    if _AREAS & set(kinds):
        place[AREA] = inside.where(place[AREA] + k.area[column], place[AREA])


def _extremes(f: Function, s: Lanes, k: Look, seen: Observed, times_of: bool, lies: Value) -> None:
    half = 0.5 * (s.end[0] - s.t[0])
    nodes = dict(zip(NODES, (s.t[0], s.t[0] + half, s.end[0]), strict=True))
    with f.loop(k.count) as j:
        top, at, low, low_at = k.at_points[j], s.t[0], k.at_points[j], s.t[0]
        # the nodes first, so that one of them wins over a turning point of the same level
        for point in sorted(range(1, POINTS), key=lambda i: i not in nodes):
            level = k.at_points[point * k.count + j]
            time = nodes[point] if point in nodes else time_at(s, k.shares[point * k.count + j])
            higher, lower = level > top, (level < low) | level.is_nan()
            top, at = higher.where(level, top), higher.where(time, at)
            low, low_at = lower.where(level, low), lower.where(time, low_at)
        k.top[j], k.at[j], k.low[j], k.low_at[j] = top, at, low, low_at
    if times_of:
        with f.loop(k.count) as j:
            _refine(f, s, k, seen, j, lies)


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
