"""One compartment with a depot, dosed every way an event table can, and its solution by superposition.

The amount in the central compartment is the sum over all doses that were ever given, those before a steady state
included, of Gibaldi & Perrier's closed forms (Pharmacokinetics, 2nd ed., ch. 1): so it knows nothing of periods, marks
or stops.
"""

from __future__ import annotations

import numpy as np

from qspx import AbstractModel, BatchIntegrator, DiffraxIntegrator, Observable, Parameter, Species

MANY = 400  # doses before a steady state; with CL / V = 0.055 1/h and 10 h or more between them the rest is below 1e-90


class Depot(AbstractModel):
    """A depot (compartment 1) and a central compartment (2) with everything that may act on a dose."""

    time_unit = "h"
    depot = Species("mg", bioavailability="F1", lag="ALAG1")
    central = Species("mg", bioavailability="BIOAV", lag="LAGT", duration="DUR2", rate="RAT2")
    CL = Parameter(1.1, "L/h")
    V = Parameter(20.0, "L")
    KA = Parameter(1.5, "1/h")
    F1 = Parameter(1.0, "", scale="lin")
    ALAG1 = Parameter(0.0, "h", scale="lin")
    BIOAV = Parameter(1.0, "", scale="lin")
    LAGT = Parameter(0.0, "h", scale="lin")
    DUR2 = Parameter(2.0, "h")
    RAT2 = Parameter(10.0, "mg/h")
    per_mg = Parameter(1000.0, "ug/mg", tag="constant")
    CP = Observable("ug/L", "drug in plasma")

    def rates(self, t, y, p):
        absorbed = p.KA * y.depot
        return {"depot": -absorbed, "central": absorbed - p.CL / p.V * y.central}

    def observables(self, t, y, p):
        return {"CP": p.per_mg * y.central / p.V}


ENGINES = {"diffrax": DiffraxIntegrator, "native": BatchIntegrator}
K, KA = 1.1 / 20.0, 1.5


def central(t, given, amount: float, into: int = 2, duration: float = 0.0) -> np.ndarray:
    """Amount in the central compartment at times t, shape (times,), of equal doses that arrived at the times `given`.
    At the time of a bolus: after it."""
    a = np.asarray(t, float)[:, None] - np.atleast_1d(given)
    seen, a = a >= 0, np.maximum(a, 0.0)
    if duration:
        b = np.maximum(a - duration, 0.0)
        from_depot = (np.exp(-K * b) - np.exp(-K * a)) / K - (np.exp(-KA * b) - np.exp(-KA * a)) / KA
        direct = (np.exp(-K * b) - np.exp(-K * a)) / K
        each = amount / duration * (direct if into == 2 else KA / (KA - K) * from_depot)
    else:
        each = amount * (np.exp(-K * a) if into == 2 else KA / (KA - K) * (np.exp(-K * a) - np.exp(-KA * a)))
    return np.where(seen, each, 0.0).sum(axis=1)


def every(first: float, interval: float, more: int = 0, past: int = 0) -> np.ndarray:
    """Times of a dose, of `more` after it and of `past` before it."""
    return first + interval * np.arange(-past, more + 1)
