"""Models, regimens and runs for the tests of the sweeps over a tape."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from qspx import AbstractModel, Dose, Observable, Parameter, Regimen, Species
from qspx.dose_events import SubjectDoses, dose_events, subject_doses
from qspx.integrate.base import Samples, SolveRequest
from qspx.integrate.native_call import NativeSettings, forward
from qspx.integrate.reverse_call import pulled_back
from qspx.integrate.tangent_call import pushed_forward
from qspx.summaries import AUC, Average, FractionAbove, Last, Max, Min, TimeAbove, TimeBelow, Tmax

SETTINGS = NativeSettings(1e-9, 1e-12, 100_000, None, 1)
OF_DOSES = ("start", "end", "jump", "rate", "turn", "part")


class Modelled(AbstractModel):
    """Absorption and elimination; lag, bioavailability, duration and rate of doses into plasma are parameters."""

    time_unit = "h"
    depot = Species("mg")
    central = Species("mg", bioavailability="F2", lag="lag", duration="D2", rate="R2")
    CL = Parameter(1.1, "L/h")
    V = Parameter(20.0, "L")
    ka = Parameter(1.5, "1/h")
    F2 = Parameter(0.7, "")
    lag = Parameter(1.3, "h")
    D2 = Parameter(2.5, "h")
    R2 = Parameter(10.0, "mg/h")
    limit = Parameter(1.2, "mg/L")
    CP = Observable("mg/L")

    def rates(self, t, y, p):
        return {"depot": -p.ka * y.depot, "central": p.ka * y.depot - p.CL / p.V * y.central}

    def observables(self, t, y, p):
        return {"CP": y.central / p.V}


class Clock(AbstractModel):
    """Elimination that is saturable and follows the time of the day; the start is a parameter."""

    time_unit = "h"
    C = Species("1", lag="lag")
    E = Species("1")
    vmax = Parameter(2.0, "1/h")
    km = Parameter(3.0, "1")
    kout = Parameter(0.3, "1/h")
    swing = Parameter(0.6, "")
    hour = Parameter(4.0, "h")
    start = Parameter(0.4, "1")
    lag = Parameter(0.7, "h")

    def initial(self, p):
        return {"E": p.start, "C": 0.5 * p.start**2 * p.km}

    def rates(self, t, y, p):
        out = p.vmax * (1 + p.swing * jnp.cos(t / p.hour)) * y.C / (p.km + y.C)
        driven = jnp.where(y.C > 1.0, jnp.log(y.C), 0.0)
        return {"C": -out, "E": p.kout * (driven - y.E * (1.0 + jnp.sin(t / p.hour)))}


ALL = (Max("CP"), Min("CP", 2, 30), AUC("CP", 0, 40), Average("CP", 3, 20), Last("CP", 0, 24), Tmax("CP"))
BEYOND = (TimeAbove("CP", "limit", 2.0, 30.0), TimeBelow("CP", 2.0, 0.0, 40.0), FractionAbove("CP", 0.9))
OFTEN = (1.0, 5.0, 13.0, 24.0, 30.0)
ORAL = Dose(100, "mg", "depot")
PLASMA = Dose(100, "mg", "central")
AGAIN = {"every": 12, "additional": 1}
STEADY = {"every": 12, "additional": 1, "steady_state": 1}
SCENARIOS = {
    "oral": (dataclasses.replace(ORAL, every=12, additional=2),),
    "boluses": (dataclasses.replace(PLASMA, **AGAIN),),
    "absorption and infusion": (ORAL, Dose(60, "mg", "central", 10.0, duration="D2")),
    "modelled duration": (dataclasses.replace(PLASMA, duration="D2", **AGAIN),),
    "modelled rate": (dataclasses.replace(PLASMA, rate="R2", **AGAIN),),
    "steady state, bolus": (dataclasses.replace(PLASMA, **STEADY),),
    "steady state, oral": (dataclasses.replace(ORAL, **STEADY),),
    "steady state, infusion": (dataclasses.replace(PLASMA, duration="D2", **STEADY),),
    "steady state, long infusion": (dataclasses.replace(PLASMA, duration=30.0, **STEADY),),
    "steady state, constant": (Dose(0, "mg", "central", rate="R2", steady_state=1),),
    "steady state, added": (
        Dose(50, "mg", "depot"),
        dataclasses.replace(PLASMA, at=3.0, every=12, steady_state=2, additional=1),
    ),
    "three steady states": (
        Dose(50, "mg", "depot", every=8, steady_state=1, additional=3),
        dataclasses.replace(PLASMA, at=3.0, duration="D2", every=12, steady_state=2, additional=1),
        Dose(30, "mg", "depot", 3.0, every=12, steady_state=2),
    ),
}
RESET = Regimen((dataclasses.replace(ORAL, every=8, additional=3), Dose(100, "mg", "central", 11.0)), "h", (11.0,))


class Solved:
    """A run of some subjects, with what the sweeps want to know about it."""

    def __init__(self, model, regimen, request, theta, settings=SETTINGS, samples=None, events=None):
        self.request, self.settings, self.theta = request, settings, np.atleast_2d(theta)
        rows = len(self.theta)
        self.doses = doses_of(model, events or dose_events(regimen, model), self.theta, np)
        self.samples = samples or Samples.common(request, rows)
        self.written = forward(request, settings, self.theta, self.doses, self.samples)
        self.run = self.request, settings, self.theta, self.doses, self.samples
        self.ended = self.written["records"], self.written["status"]

    def push(self, theta_dot, dose_dots):
        return pushed_forward(*self.run, *self.ended, theta_dot, dose_dots)

    def pull(self, values_bar, summaries_bar):
        return pulled_back(*self.run, *self.ended, values_bar, summaries_bar)

    def directions(self, count, rng):
        """Random tangents of parameters and doses."""
        rows, events = self.doses.start.shape
        theta_dot = rng.standard_normal((rows, count, self.theta.shape[1])) * np.abs(self.theta[:, None])
        return theta_dot, {f"{k}_dot": rng.standard_normal((rows, count, events)) for k in OF_DOSES}


def doses_of(model, events, theta, xp):
    rows = (xp.broadcast_to(xp.asarray(x), (len(theta), *np.shape(x))) for x in events)
    found = subject_doses(model, theta, type(events)(*rows), xp)
    shape = (len(theta), len(events.time))
    return SubjectDoses(*(xp.broadcast_to(x, shape) for x in found))


def asked(model, times, observables, summaries=(), t1=40.0, before=()):
    return SolveRequest(model, times, observables if times else (), tuple(summaries), 0.0, t1, before, marks=True)


EVERYTHING = asked(Modelled(), OFTEN, ("CP", "depot"), ALL + BEYOND)
