"""A model and objectives small enough to check by hand."""

from __future__ import annotations

import numpy as np

from qspx import AbstractModel, AutomaticIntegrator, Dose, Parameter, Regimen, Species
from qspx.calibrate.assigned import Assigned
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.noise import LogNormalNoise, NormalNoise
from qspx.calibrate.objective import Group, Objective
from qspx.calibrate.phases import Phase, settling
from qspx.calibrate.runs import Runs
from qspx.starting import starting_from

TIGHT = AutomaticIntegrator(rtol=1e-10, atol=1e-14)


class DrugAndResponse(AbstractModel):
    """Elimination of a drug, and turnover of a response that starts away from its steady state kin / kout."""

    time_unit = "h"
    A = Species("mg")
    R = Species("nM")
    CL = Parameter(1.0, "L/h")
    V = Parameter(10.0, "L")
    kin = Parameter(2.0, "nM/h")
    kout = Parameter(0.5, "1/h")
    R0 = Parameter(0.4, "nM", scale="lin")

    def initial(self, p):
        return {"R": p.R0}

    def rates(self, t, y, p):
        return {"A": -p.CL / p.V * y.A, "R": p.kin - p.kout * y.R}


MODEL = DrugAndResponse()
DOSE = Regimen((Dose(100.0, "mg", "A"),), time_unit="h")
TIMES = np.array([1.0, 2.0, 5.0, 10.0])
CONCENTRATION = np.array([10.1, 8.0, 6.4, 3.5])
RESPONSE = np.array([3.9, 4.2, 4.0, 4.1])
ESTIMATED = (
    Estimated("CL", (0.01, 100.0)),
    Estimated("V", (0.1, 1000.0), scale="log10"),
    Estimated("kout", (0.01, 10.0), scale="lin"),
    Estimated("kin", (0.01, 10.0), scale="logit"),
    Estimated("sigma", (1e-3, 10.0)),
)
NAMES = [e.name for e in ESTIMATED]
VALUES = np.array([1.1, 9.0, 0.6, 2.2, 0.3])


def concentration(t, y, p, local):
    return y[0] / p[1], local[0]


def response(t, y, p, local):
    return y[1], local[0]


def objective(censored=(0,) * 8, *, settled: bool = True, integrator=TIGHT, within: float = 1e4, doses=(DOSE, None)):
    """Concentrations after a dose with log-normal noise `sigma`, and responses of an untreated run with noise 0.3,
    both from the steady state of the response where `settled`."""
    place = {name: k for k, name in enumerate(NAMES)}
    theta = Assigned.tiled(MODEL.theta, 2, list(MODEL.parameters), place)
    runs = Runs.of(starting_from(MODEL) if settled else MODEL, doses, [[(t, False) for t in TIMES]] * 2)
    phases: tuple[Phase, ...] = (Phase(runs, theta, follows=np.array([0, 0]) if settled else None),)
    if settled:
        phases = (settling(MODEL, Assigned(theta.constant[:1], theta.index[:1]), within=within), *phases)
    groups = (
        Group(np.arange(4), concentration, Assigned.of([["sigma"]] * 4, NAMES), LogNormalNoise()),
        Group(np.arange(4, 8), response, Assigned.of([[0.3]] * 4, NAMES), NormalNoise()),
    )
    value = np.concatenate([CONCENTRATION, RESPONSE])
    run, column = np.repeat([0, 1], 4), np.tile(np.arange(4), 2)
    return Objective(ESTIMATED, phases, run, column, np.tile(TIMES, 2), value, np.array(censored), groups, integrator)
