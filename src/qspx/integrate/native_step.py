"""One Rosenbrock step of every lane, its error, and its continuous output, as LLVM code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from qspx.integrate.elimination import SMALLEST_GUARD
from qspx.integrate.native_code import Array, Function, Value
from qspx.integrate.native_math import bits, from_bits, from_words, rounded_to_words, words_of
from qspx.integrate.tableaux import RosenbrockTableau


@dataclass
class Workspace:
    """Hands out arrays of vectors in one block of memory, whose size in vectors of `code.vector` is `used`."""

    code: Function
    pointer: str
    used: int = 0

    def vectors(self, count: int, integers: bool = False, times: bool = False) -> Array:
        kind = self.code.integers if integers else self.code.times if times else self.code.vector
        array = Array(self.code, self.pointer, self.code.vector).at(self.used, kind)
        self.used += max(count, 1) * (64 // self.code.info.bits if integers or times else 1)
        return array


@dataclass
class Lanes:
    """Memory of what the lanes are at: `n` states, their rates, a step with its stages, and the subject's numbers.

    Times are doubles whatever the states are: after a year a float cannot tell three seconds apart, and steps after a
    dose are shorter than that."""

    n: int
    t: Array
    end: Array
    y: Array
    y1: Array
    inside: Array
    rates: Array
    right: Array
    drift: Array
    infusion: Array
    stages: list[Array]
    rows: list[Array]
    theta: Array
    fixed: Array
    seen_fixed: Array
    shift: Array
    factors: Array
    guard: Array

    @classmethod
    def of(cls, work: Workspace, n: int, stages: int, rows: int, sizes: dict[str, int]) -> Lanes:
        one = work.vectors
        scalars = {k: one(1, times=True) for k in ("t", "end")}
        vectors = {k: one(n) for k in ("y", "y1", "inside", "rates", "right", "drift", "infusion")}
        several = [[one(n) for _ in range(count)] for count in (stages, rows)]
        rest = {k: one(size) for k, size in sizes.items()}
        return cls(n=n, stages=several[0], rows=several[1], **scalars, **vectors, **rest)


def combined(weights: Iterable[float], values: Sequence[Value]) -> Value | None:
    """Sum of weighted values, without those of weight zero; None where nothing is left."""
    total = None
    for w, v in zip(weights, values, strict=False):
        if w:
            term = v if w == 1 else v * w
            total = term if total is None else total + term
    return total


def step(f: Function, s: Lanes, table: RosenbrockTableau, drifts: bool, inside: Sequence[Array] | None = None) -> None:
    """`s.y1`, `s.stages` and `s.guard` of the step from `s.t` to `s.end`, given the rates at its start. The arguments
    of the stages but the first go to `inside`, or one after the other to `s.inside`."""
    places = inside or [s.inside] * (table.stages - 1)
    width = (s.end[0] - s.t[0]).to(f.real)
    inverse = 1.0 / width
    s.shift[0] = inverse / table.gamma
    f.call("factor", s.t, s.y, s.theta, s.fixed, s.shift, s.factors, s.guard)
    if drifts:
        f.call("drift", s.t, s.y, s.theta, s.fixed, s.drift)
        with f.loop(s.n) as q:
            s.drift[q] = s.drift[q] * width
    time = f.variable(f.times, 0.0)
    for i in range(table.stages):
        if i:
            with f.loop(s.n) as q:
                earlier = [s.stages[j][q] for j in range(i)]
                moved = combined(table.A[i], earlier)
                places[i - 1][q] = s.y[q] + moved if moved else s.y[q]
                pulled = combined(table.C[i], earlier)
                pull = inverse * pulled if pulled else f.number(0.0)
                s.right[q] = pull + s.infusion[q]
            time[0] = s.t[0] + table.alpha[i] * width
            f.call("rates", time, places[i - 1], s.theta, s.fixed, s.rates)
        with f.loop(s.n) as q:
            right = s.rates[q] + s.right[q] if i else s.rates[q]
            if drifts and table.gamma_i[i]:
                right = right + table.gamma_i[i] * s.drift[q]
            s.right[q] = right
        f.call("solve", s.factors, s.right, s.theta, s.fixed, s.stages[i])
    with f.loop(s.n) as q:
        s.y1[q] = places[-1][q] + s.stages[-1][q]


def error(f: Function, s: Lanes, rtol: Value, atol: Array, unsigned: Array) -> Value:
    """Norm of the error of the step: infinite where the step is of no use, at least 10 where a concentration became
    negative. `atol` holds the absolute tolerances of the states, `unsigned` 1 for those that may not, else 0."""
    total, finite, negative = (f.variable(f.vector, 0.0) for _ in range(3))
    with f.loop(s.n) as q:
        y, y1 = s.y[q], s.y1[q]
        size, least = f.unary("fabs", y), f.splat(atol[q].to(f.real))
        scale = least + rtol * f.larger(size, f.unary("fabs", y1))
        e = s.stages[-1][q] / scale
        total[0] = total[0] + e * e
        finite[0] = finite[0] + y1 * 0.0  # NaN once any of them is not finite
        # a long step over a sharp binding layer can land on a branch with negative concentrations: never accept one
        below = y1 < -10.0 * (least + rtol * size)
        negative[0] = below.where(negative[0] + f.splat(unsigned[q].to(f.real)), negative[0])
    norm = f.unary("sqrt", total[0] / float(s.n))
    half_the_digits = SMALLEST_GUARD * float(np.sqrt(f.info.eps / np.finfo(float).eps))
    useful = finite[0].is_finite() & (s.guard[0] >= half_the_digits)
    norm = useful.where(norm, f.number(np.inf))
    return ((negative[0] > 0.0) & (norm < 10.0)).where(f.number(10.0), norm)


def step_factor(f: Function, norm: Value, order: int) -> Value:
    """0.9 norm**(-1/order) in [0.2, 6]; the power by Newton's iteration from its exponent, in every lane at once."""
    safe = norm.is_finite().where(f.larger(norm, 1e-30), f.number(1e30))
    one = float(words_of(f, 1.0))
    root = from_bits(rounded_to_words(one * (1 + 1 / order) - from_words(bits(safe)) * (1 / order)))
    for _ in range(4):
        power = root
        for _ in range(order - 1):
            power = power * root
        root = root * ((1 + 1 / order) - (1 / order) * (safe * power))
    scaled = 0.9 * root
    return f.larger(f.smaller(scaled, 6.0), 0.2)


def first_step(f: Function, s: Lanes, span: Value, rtol: Value, atol: Array) -> Value:
    """Step over which y changes by 1 % of itself, from the rates in `s.rates`, within 1e-12 and 0.1 of the run."""
    sums = [f.variable(f.vector, 0.0) for _ in range(2)]
    with f.loop(s.n) as q:
        scale = f.splat(atol[q].to(f.real)) + rtol * f.unary("fabs", s.y[q])
        for total, x in zip(sums, (s.y[q], s.rates[q]), strict=True):
            e = x / scale
            total[0] = total[0] + e * e
    d0, d1 = (f.unary("sqrt", total[0] / float(s.n)) for total in sums)
    usable = (d0 > 1e-5) & (d1 > 1e-5) & d0.is_finite() & d1.is_finite()
    guess = usable.where(0.01 * d0 / usable.where(d1, f.number(1.0)), 1e-6 * span)
    return f.larger(f.smaller(guess, 0.1 * span), 1e-12 * span)


def dense_rows(f: Function, s: Lanes, table: RosenbrockTableau) -> None:
    """The rows K of the dense output of the step, into `s.rows`."""
    with f.loop(s.n) as q:
        used = [s.stages[j][q] for j in range(table.stages)]
        for row, weights in zip(s.rows, table.H, strict=True):
            row[q] = combined(weights, used)


def curve(f: Function, s: Lanes, q: int, share: Value, derivatives: int = 0) -> list[Value]:
    """State q at `share` of the step and its first derivatives by time (0 to 2 of them), from `s.rows`."""
    width = (s.end[0] - s.t[0]).to(f.real)
    return dense_output(f, s.y[q], s.y1[q], [row[q] for row in s.rows], width, share, derivatives)


def dense_output(
    f: Function, y0: Value, y1: Value, rows: Sequence[Value], width: Value, share: Value, derivatives: int = 0
) -> list[Value]:
    """At `share` of a step of this width from y0 to y1, and the first derivatives by time. Linear in y0, y1, rows."""
    bend, first, second = rows[-1], f.number(0.0), f.number(0.0)
    for row in reversed(rows[:-1]):  # Horner's scheme, and its derivatives
        second = 2.0 * first + share * second
        first = bend + share * first
        bend = row + share * bend
    rest = 1.0 - share
    found = [rest * y0 + share * (y1 + rest * bend)]
    if derivatives > 0:
        found.append((y1 - y0 + (rest - share) * bend + share * rest * first) / width)
    if derivatives > 1:
        found.append((2.0 * (rest - share) * first - 2.0 * bend + share * rest * second) / (width * width))
    return found
