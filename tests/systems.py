"""Systems whose solutions are known in closed form, beside the models that are integrated.

The closed forms are `jax.numpy`, so that they can be differentiated as well. Source: Gibaldi & Perrier,
Pharmacokinetics, 2nd ed., ch. 1 (one compartment, infusion, first-order absorption) and ch. 2 (two compartments).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from qspx import AbstractModel, Dose, Observable, Parameter, Species


class OneCompartment(AbstractModel):
    """Depot with bioavailability and lag, central compartment with clearance."""

    depot = Species("nmol", "drug at the injection site", bioavailability="F", lag="lag")
    C = Species("nM", "drug in plasma", volume="V")
    CL = Parameter(0.3, "L/day", "clearance")
    V = Parameter(3.0, "L", "volume")
    ka = Parameter(0.5, "1/day", "absorption rate constant")
    F = Parameter(0.7, "", "bioavailability", scale="logit")
    lag = Parameter(0.2, "day", "absorption lag")

    def rates(self, t, y, p):
        absorbed = p.ka * y.depot
        return {"depot": -absorbed, "C": absorbed / p.V - p.CL / p.V * y.C}


TYPICAL = {name: parameter.value for name, parameter in OneCompartment().parameters.items()}


def _of_one_dose(t, dose: Dose, p, after: bool):
    """(concentration, its integral up to t) of one dose in nmol. At the dose time: `after` it or before it."""
    k = p["CL"] / p["V"]
    extravascular = dose.into == "depot"
    start = dose.at + (p["lag"] if extravascular else 0.0)
    given = (t >= start) if after else (t > start)
    u = jnp.where(given, t - start, 0.0)
    if extravascular:
        scale = p["F"] * dose.amount * p["ka"] / (p["V"] * (p["ka"] - k))
        c = scale * (jnp.exp(-k * u) - jnp.exp(-p["ka"] * u))
        area = scale * (-jnp.expm1(-k * u) / k + jnp.expm1(-p["ka"] * u) / p["ka"])
    elif dose.duration:
        rate = dose.amount / dose.duration
        on, off = jnp.minimum(u, dose.duration), jnp.maximum(u - dose.duration, 0.0)
        peak = -rate / p["CL"] * jnp.expm1(-k * on)
        c = peak * jnp.exp(-k * off)
        area = rate / p["CL"] * (on + jnp.expm1(-k * on) / k) - peak / k * jnp.expm1(-k * off)
    else:
        c = dose.amount / p["V"] * jnp.exp(-k * u)
        area = -dose.amount / p["CL"] * jnp.expm1(-k * u)
    return jnp.where(given, c, 0.0), jnp.where(given, area, 0.0)


def concentration(t, doses: Sequence[Dose], p=TYPICAL, after: bool = True):
    """Plasma concentration of `OneCompartment`, by superposition, same shape as `t`."""
    return sum(_of_one_dose(t, d, p, after)[0] for d in doses)


def area(a, b, doses: Sequence[Dose], p=TYPICAL):
    """Integral of the concentration from `a` to `b`."""
    return sum(_of_one_dose(b, d, p, True)[1] - _of_one_dose(a, d, p, True)[1] for d in doses)


def extremes(a: float, b: float, doses: Sequence[Dose], p=TYPICAL) -> tuple[float, float, float]:
    """(largest, its time, smallest) value in the window: after a dose at `a`, before a dose at `b`."""
    starts = [d.at + (p["lag"] if d.into == "depot" else 0.0) for d in doses]
    ends = [d.at + d.duration for d in doses if d.duration]
    breaks = sorted({a, b, *(float(x) for x in (*starts, *ends) if a < x < b)})
    slope = jax.jit(jax.grad(lambda t: concentration(t, doses, p)))
    points: list[tuple[float, float]] = []
    for left, right in zip(breaks, breaks[1:], strict=False):
        points.append((left, float(concentration(left, doses, p))))
        margin = 1e-9 * (right - left)
        if slope(left + margin) > 0 > slope(right - margin):
            top = brentq(slope, left + margin, right - margin, xtol=1e-14, rtol=1e-14)
            points.append((top, float(concentration(top, doses, p))))
        points.append((right, float(concentration(right, doses, p, after=False))))
    at, largest = max(points, key=lambda point: point[1])
    return largest, at, min(value for _, value in points)


def times_above(levels: Sequence[float], a: float, b: float, doses: Sequence[Dose], p=TYPICAL) -> np.ndarray:
    """Time in the window with the concentration above each level: between doses it has at most one turning point."""
    starts = [d.at + (p["lag"] if d.into == "depot" else 0.0) for d in doses]
    ends = [d.at + d.duration for d in doses if d.duration]
    breaks = sorted({a, b, *(float(x) for x in (*starts, *ends) if a < x < b)})
    slope = jax.jit(jax.grad(lambda t: concentration(t, doses, p)))
    value = jax.jit(lambda t, after: jnp.where(after, concentration(t, doses, p), concentration(t, doses, p, False)))
    total = np.zeros(len(levels))
    for left, right in zip(breaks, breaks[1:], strict=False):
        margin = 1e-9 * (right - left)
        turns = slope(left + margin) > 0 > slope(right - margin)
        middle = [brentq(slope, left + margin, right - margin, xtol=1e-14)] if turns else []
        points = [left, *middle, right]
        for x, y in zip(points, points[1:], strict=False):
            for i, level in enumerate(levels):
                begins, stays = value(x, True) > level, value(y, False) > level
                if begins != stays:
                    at = brentq(lambda t, y=y, c=level: float(value(t, t < y)) - c, x, y, xtol=1e-14, rtol=1e-14)
                    total[i] += y - at if stays else at - x
                elif stays:
                    total[i] += y - x
    return total


class TwoCompartment(AbstractModel):
    """Central and peripheral compartment."""

    C1 = Species("nM", volume="V")
    C2 = Species("nM")
    V = Parameter(3.0, "L")
    k10 = Parameter(0.2, "1/day")
    k12 = Parameter(0.7, "1/day")
    k21 = Parameter(0.4, "1/day")

    def rates(self, t, y, p):
        return {"C1": -(p.k10 + p.k12) * y.C1 + p.k21 * y.C2, "C2": p.k12 * y.C1 - p.k21 * y.C2}


def two_compartment_bolus(t, amount: float, V=3.0, k10=0.2, k12=0.7, k21=0.4):
    """C1 after a bolus at 0: (A (alpha - k21) e^(-alpha t) + A (k21 - beta) e^(-beta t)) / (V (alpha - beta))."""
    total, product = k10 + k12 + k21, k10 * k21
    root = np.sqrt(total**2 - 4 * product)
    fast, slow = (total + root) / 2, (total - root) / 2
    share = (fast - k21) * np.exp(-fast * t) + (k21 - slow) * np.exp(-slow * t)
    return amount / V * share / (fast - slow)


class TMDD(AbstractModel):
    """Target-mediated disposition: no closed form, but stiff, nonlinear, and with a known target balance."""

    C = Species("nM", "free drug", volume="V", parts={"drug": 1})
    R = Species("nM", "free target")
    RC = Species("nM", "complex")
    V = Parameter(3.0, "L")
    kel = Parameter(0.1, "1/day")
    kon = Parameter(20.0, "1/nM/day")
    koff = Parameter(2.0, "1/day")
    ksyn = Parameter(1.0, "nM/day")
    kdeg = Parameter(0.5, "1/day")
    occupancy = Observable("", "target occupancy")

    def initial(self, p):
        return {"R": p.ksyn / p.kdeg}

    def rates(self, t, y, p):
        bound = p.kon * y.C * y.R - p.koff * y.RC
        return {"C": -p.kel * y.C - bound, "R": p.ksyn - p.kdeg * y.R - bound, "RC": bound - p.kdeg * y.RC}

    def observables(self, t, y, p):
        return {"occupancy": y.RC / (y.RC + y.R)}


class Trouble(AbstractModel):
    """One subject of each kind: `b` > 0 blows up in finite time, a large `w` never finishes, NaN is NaN.

    x' = -k x + b x^2; (u, v) turns with angular velocity w. Healthy subjects have b = 0 and w = 1.
    """

    x = Species("nM", volume="V")
    u = Species("1", signed=True)
    v = Species("1", signed=True)
    V = Parameter(1.0, "L")
    k = Parameter(0.5, "1/day", bounds=(0.0, 10.0))
    b = Parameter(0.0, "1/nM/day", scale="lin")
    w = Parameter(1.0, "1/day")

    def initial(self, p):
        return {"u": 1.0}

    def rates(self, t, y, p):
        return {"x": -p.k * y.x + p.b * y.x**2, "u": -p.w * y.v, "v": p.w * y.u}


def healthy(t, amount: float, k: float):
    """x of `Trouble` with b = 0 after a bolus of `amount` nmol at 0, in nM."""
    return amount * np.exp(-k * t)


class SquareRoot(AbstractModel):
    """y' = -k sqrt(y) from 1 is (1 - k t / 2)^2; a step that goes below zero is not a number."""

    y1 = Species("1")
    k = Parameter(1.0, "1/day")

    def initial(self, p):
        return {"y1": 1.0}

    def rates(self, t, y, p):
        return {"y1": -p.k * jnp.sqrt(y.y1)}


def gradient(f: Callable, p: dict[str, float]) -> np.ndarray:
    """Derivatives of a closed form f(p) by the model's parameters, shape (..., parameters)."""
    names = list(p)
    return np.asarray(jax.jacfwd(lambda v: f(dict(zip(names, v, strict=True))))(jnp.array([p[n] for n in names])))
