"""One subject of a model with events: integrate from switch to switch, and change states where events say so.

Rodas5P steps; after each the comparisons are looked at on points of its continuous output. Where one has changed sign
the step ends at the crossing, found by repeated division to the last bits of the time. There the loop acts twice: with
the comparison equal, which is the value at that time, and with its new sign, which is the limit from the right. So
`time >= 1` acts at 1 and `time > 1` right after: a sample at 1 shows the first and not the second. Comparisons in rates
are followed in the same way and stay as they are through a step, so that every step is smooth.

The order of what happens at one time is that of SBML Level 3 Version 2, section 4.11.6: triggers are looked at after
every single change; of the events due the one with the highest priority comes first; one that is not persistent is
called off when its trigger becomes false.

Diagnostic of failure: a condition that is true for less than 1/16 of a step may be missed. `longest_step` bounds it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import SolveError
from qspx._precision import require_x64
from qspx.integrate.controller import error_norm, first_step, step_factor
from qspx.integrate.event_program import event_program, signs_of
from qspx.integrate.event_queue import Queue
from qspx.integrate.rosenbrock import Rodas5P
from qspx.model import AbstractModel

_LOOKS, _CUTS = 16, 33  # points per step, and per division of a bracket
_SAME_TIME = 1e-12  # of the run: times this near are one
_SETTLED = 1e-10  # of the run: how long after a crossing its comparison is not looked at


@dataclasses.dataclass
class _Now:
    """Where the run is. `signs` says how each comparison stands, `since` when it last switched."""

    t: float
    y: np.ndarray
    signs: np.ndarray
    since: np.ndarray


def run_events(
    model: AbstractModel,
    theta: np.ndarray,
    times: Sequence[float] | np.ndarray,
    *,
    t0: float = 0.0,
    rtol: float = 1e-8,
    atol: float = 1e-14,
    longest_step: float | None = None,
    max_steps: int = 200_000,
) -> tuple[np.ndarray, int]:
    """States at `times` (times, species), and the number of steps. Raises `SolveError` if the solve fails."""
    require_x64()
    return _Run(model, theta, np.asarray(times, float), t0, rtol, atol, longest_step, max_steps).states()


class _Run:
    def __init__(self, model, theta, times, t0, rtol, atol, longest_step, max_steps):
        self.model, self.theta, self.times = model, np.asarray(theta, float), times
        self.program = event_program(model)
        self.step, self.look, self.sides, self.begin = _compiled(model, rtol, atol, True)
        self.tolerances = (rtol, atol)
        self.t0, self.t1 = t0, float(times[-1])
        self.span = max(self.t1 - t0, abs(self.t1) * 1e-6, 1e-300)
        gaps = np.diff(np.unique(np.append(times, t0))).tolist()
        usual = float(np.median(gaps)) if len(gaps) else self.span
        self.longest = longest_step or max(min(self.span / 50, usual), self.span * 1e-5)
        self.max_steps, self.steps = max_steps, 0
        y = np.asarray(model.initial_vector(jnp.asarray(self.theta)), float)
        self.now = _Now(t0, y, np.zeros(0), np.full(len(self.program.kinds), -np.inf))
        self.now.signs = self.natural(t0, y)
        self.queue = Queue(self.program, self.theta)
        self.saved = np.full((len(times), len(y)), np.nan)
        self.next_sample = 0

    # looking ------------------------------------------------------------------------------------------------------

    def natural(self, t: float, y: np.ndarray) -> np.ndarray:
        """Signs of the comparisons by their own numbers."""
        return signs_of(*self.sides(t, y, self.theta)) if len(self.program.kinds) else np.zeros(0)

    def near(self, a: float, b: float) -> bool:
        return bool(abs(a - b) <= _SAME_TIME * max(self.span, abs(self.t1)))

    def snapped(self, t: float) -> float:
        """The time of a sample or of an event that is due, where `t` is one up to rounding."""
        for other in (*self.times[self.next_sample : self.next_sample + 1], self.queue.next_time, self.t1):
            if self.near(t, other):
                return float(other)
        return float(t)

    # the run --------------------------------------------------------------------------------------------------------

    def states(self) -> tuple[np.ndarray, int]:
        now = self.now
        self.act()
        self.sample_here()
        h = self.first_step()
        while now.t < self.t1:
            stop = min(self.queue.next_time, self.t1)
            end = min(stop, now.t + min(h, self.longest))
            if stop - end < 0.01 * h:
                end = stop
            before = now.t
            if not self.program.moving.size:
                norm, curve = 0.0, self.still(now.t, end)
            else:
                norm, curve = self.tried(now.t, end)
            factor = float(step_factor(norm, 5.0))
            if not norm <= 1.0:
                h = (end - now.t) * min(factor, 0.9)
                self.check_step(h, norm)
                continue
            h = max(h, (end - now.t) * factor) if end == stop else (end - now.t) * factor
            if self.advance(end, curve):
                h = self.first_step() if now.t > before or h <= 0 else min(h, self.first_step())
        return self.saved, self.steps

    def first_step(self) -> float:
        return float(self.begin(self.now.t, self.now.y, self.theta, self.now.signs, self.span))

    def check_step(self, h: float, norm: float) -> None:
        if h < 16 * np.finfo(float).eps * max(abs(self.now.t), 1e-6 * self.span):
            why = "the step became too small" if np.isfinite(norm) else "a rate is not finite"
            raise SolveError(f"the solve of {self.model.name} stopped at {self.now.t:.6g}: {why}.")

    def tried(self, t: float, end: float):
        self.steps += 1
        if self.steps > self.max_steps:
            raise SolveError(f"the solve of {self.model.name} stopped at {t:.6g} after {self.max_steps} steps.")
        norm, curve = self.step(t, end, self.now.y, self.theta, self.now.signs)
        if not np.isfinite(norm):  # a branch of a choice may have no value beyond its switch: as the numbers stand
            norm, curve = _compiled(self.model, *self.tolerances, False)[0](
                t, end, self.now.y, self.theta, self.now.signs
            )
        return float(norm), {key: np.asarray(value) for key, value in curve.items()}

    def still(self, t: float, end: float):
        """The step of a model whose states only events change."""
        rows = Rodas5P.tableau.H
        none = np.zeros(0)
        return {
            "t0": t,
            "t1": end,
            "y0": none,
            "y1": none,
            "coefficients": np.zeros((len(rows), 0)),
            "whole": self.now.y,
        }

    def advance(self, end: float, curve) -> bool:
        """Goes to `end`, or to the first switch before it; True where something has switched."""
        now = self.now
        points = now.t + (end - now.t) * np.arange(1, _LOOKS + 1) / _LOOKS
        points[-1] = end
        signs = self.signs_at(points, curve)
        leaving = (now.signs == 0) & (signs[0] != 0)
        if leaving.any():
            # a comparison that was equal at this time no longer is right after it
            now.signs = np.where(leaving, signs[0], now.signs)
            now.since[leaving] = now.t
            if self.act() or leaving[self.program.in_rates].any():
                return True
        changed = signs != now.signs
        changed &= points[:, None] - now.since > _SETTLED * self.span
        changed &= ~(np.isnan(signs) & np.isnan(now.signs))
        if not changed.any():
            self.arrive(end, curve)
            if end >= self.queue.next_time:
                self.act()
                self.sample_here()
                return True
            self.sample_here()
            return False
        first = int(np.argmax(changed.any(axis=1)))
        low = now.t if first == 0 else points[first - 1]
        self.switch(low, points[first], changed[first], curve)
        return True

    def signs_at(self, points: np.ndarray, curve) -> np.ndarray:
        if not len(self.program.kinds):
            return np.zeros((len(points), 0))
        padded = np.concatenate([points, np.full(_CUTS - len(points), points[-1])])
        return signs_of(*self.look(padded, curve, self.theta))[: len(points)]

    def switch(self, low: float, high: float, which: np.ndarray, curve) -> None:
        """Goes to the first time in (low, high] at which one of the comparisons stands differently, and acts there."""
        now = self.now
        for _ in range(20):
            points = np.linspace(low, high, _CUTS)
            if not points[1] > low or high - low <= 4 * np.finfo(float).eps * abs(high):
                break
            differ = (self.signs_at(points, curve) != now.signs)[:, which].any(axis=1)
            differ[-1] = True
            k = max(int(np.argmax(differ)), 1)
            low, high = points[k - 1], points[k]
        found = self.signs_at(np.array([high, min(high + 1e-13 * self.span, float(curve["t1"]))]), curve)
        crossing = which & ((found != now.signs).any(axis=0))
        crossing = crossing if crossing.any() else which
        t = max(self.snapped(float(high)), now.t)
        far = np.where(crossing, self.beyond(t, high, curve), now.signs)
        self.arrive(t, curve)
        before = self.differences_here()
        jumped = self.jumps(crossing, low, high, curve)
        now.signs = np.where(crossing & ~jumped, 0.0, np.where(crossing, far, now.signs))
        now.since[crossing] = t
        self.act()
        self.sample_here()
        same = (self.differences_here() == before) | np.isnan(before)
        now.signs = np.where(crossing & same, far, now.signs)
        self.act()

    def beyond(self, t: float, high: float, curve) -> np.ndarray:
        """Signs right after a crossing: the first that are not zero."""
        end = float(curve["t1"])
        last = min(max(t, high) + _SETTLED * self.span, end)
        signs = self.signs_at(np.linspace(max(t, high), max(last, high), _CUTS), curve)
        found = signs[0].copy()
        for row in signs[1:]:
            found = np.where(found == 0, row, found)
        return np.where(found == 0, -self.now.signs, found)

    def jumps(self, which: np.ndarray, low: float, high: float, curve) -> np.ndarray:
        """Comparisons whose sides jump there, because something inside them switches: they are never equal."""
        left, right = (np.asarray(x) for x in self.look(np.full(_CUTS, high), curve, self.theta))
        left0, right0 = (np.asarray(x) for x in self.look(np.full(_CUTS, low), curve, self.theta))
        with np.errstate(invalid="ignore"):
            scale = np.maximum(np.abs(left), np.abs(right))[0]
            step = np.abs((left - right) - (left0 - right0))[0]
        return which & ((step > 1e-6 * scale) | ~np.isfinite(step))

    def differences_here(self) -> np.ndarray:
        if not len(self.program.kinds):
            return np.zeros(0)
        left, right = self.sides(self.now.t, self.now.y, self.theta)
        return np.asarray(left) - np.asarray(right)

    # moving ---------------------------------------------------------------------------------------------------------

    def arrive(self, t: float, curve) -> None:
        """Moves to `t`, with the samples before it."""
        now = self.now
        while self.next_sample < len(self.times) and self.times[self.next_sample] < t:
            self.saved[self.next_sample] = self.state_at(self.times[self.next_sample], curve)
            self.next_sample += 1
        now.y = self.state_at(t, curve)
        now.t = t

    def state_at(self, t: float, curve) -> np.ndarray:
        y = np.array(self.now.y)
        if self.program.moving.size and t > curve["t0"]:
            y[self.program.moving] = _evaluate(curve, t)
        return y

    def sample_here(self) -> None:
        while self.next_sample < len(self.times) and self.times[self.next_sample] <= self.now.t:
            self.saved[self.next_sample] = self.now.y
            self.next_sample += 1

    def act(self) -> bool:
        """Lets everything happen that is due now; True where a state has changed."""
        now = self.now

        def changed(y: np.ndarray) -> np.ndarray:
            before = self.differences_here()
            now.y = y
            moved = self.differences_here() != before
            now.signs = np.where(moved, self.natural(now.t, y), now.signs)
            now.since = np.where(moved, -np.inf, now.since)
            return now.signs

        return self.queue.run(now.t, now.y, now.signs, changed, self.snapped)


def _evaluate(curve: Any, t: float) -> np.ndarray:
    """The continuous output of a step, as `RosenbrockInterpolation.evaluate`, in numpy."""
    y0, y1, rows = curve["y0"], curve["y1"], curve["coefficients"]
    if t == curve["t1"]:
        return y1
    theta = (t - curve["t0"]) / (curve["t1"] - curve["t0"])
    bend = np.zeros_like(y0)
    for row in rows[::-1]:
        bend = row + theta * bend
    return (1 - theta) * y0 + theta * (y1 + (1 - theta) * bend)


@functools.lru_cache(maxsize=64)
def _compiled(model: AbstractModel, rtol: float, atol: float, held: bool):
    """Compiled pieces: a step, the comparisons on a step, the comparisons at a point, the first step size. `held`:
    comparisons in rates stay through a step as they are at its start."""
    program = event_program(model)
    moving, solver = program.moving, Rodas5P()

    def whole(y_moving, y):
        return y.at[moving].set(y_moving) if moving.size else y

    def rates(t, y_moving, args):
        theta, y, signs = args
        if held:
            return program.rates(t, whole(y_moving, y), theta, signs)[moving]
        return model.rates_vector(t, whole(y_moving, y), theta)[moving]

    term = diffrax.ODETerm(rates)

    @jax.jit
    def step(t, end, y, theta, signs):
        start = y[moving]
        y1, error, dense, *_ = solver.step(term, t, end, start, (theta, y, signs), None, False)
        norm = error_norm(error, start, y1, rtol, atol)
        norm = jnp.where(jnp.isfinite(y1).all(), norm, jnp.inf)
        return norm, dense | {"t0": t, "t1": end, "whole": y}

    @jax.jit
    def look(points, curve, theta):
        y = curve["whole"]
        width = curve["t1"] - curve["t0"]

        def at(t):
            part = (t - curve["t0"]) / width
            bend = jnp.zeros_like(curve["y0"])
            for row in curve["coefficients"][::-1]:
                bend = row + part * bend
            moved = (1 - part) * curve["y0"] + part * (curve["y1"] + (1 - part) * bend)
            return program.differences(t, whole(moved, y), theta)

        return jax.vmap(at)(points)

    @jax.jit
    def begin(t, y, theta, signs, span):
        if not moving.size:
            return jnp.asarray(span)
        return first_step(y[moving], rates(t, y[moving], (theta, y, signs)), span, rtol, atol)

    return step, look, jax.jit(program.differences), begin
