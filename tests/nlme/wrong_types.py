"""Calls with arguments of the wrong type, for `test_population_wrong_types`."""

import pandas as pd

import qspx
from qspx.nlme import (
    FOCEI,
    Endpoint,
    LinearEffect,
    PopulationData,
    PopulationProblem,
    PowerEffect,
    RandomEffect,
    fit_population,
)

qspx.enable_x64()


class Decay(qspx.AbstractModel):
    C = qspx.Species("mg/L")
    k = qspx.Parameter(1.0, "1/day")

    def rates(self, t, y, p):
        return {"C": -p.k * y.C}


M, E = Decay(), Endpoint("C")
FRAME = pd.DataFrame({"ID": [1, 2], "TIME": 1.0, "DV": 2.0, "WT": 70.0})
UNITS = {"unit": "mg", "time_unit": "day"}
DATA = PopulationData.read(FRAME, M, E, covariates=["WT"], **UNITS)
K = qspx.Estimated("k", (0.1, 10.0))
R = RandomEffect("k")
P = PopulationProblem(DATA, [K], [R], {"C": qspx.Additive(0.1)})


def problem(data=DATA, estimated=(K,), effects=(R,), residuals=None, **more):
    residuals = {"C": qspx.Additive(0.1)} if residuals is None else residuals
    return PopulationProblem(data, estimated, effects, residuals, **more)


CALLS = {
    "fit none": lambda: fit_population(None),
    "fit method": lambda: fit_population(P, "FOCEI"),
    "fit method class": lambda: fit_population(P, FOCEI),
    "fit starts": lambda: fit_population(P, starts="a"),
    "fit starts half": lambda: fit_population(P, starts=1.5),
    "fit key": lambda: fit_population(P, key="a"),
    "fit out": lambda: fit_population(P, out=3),
    "fit x": lambda: fit_population(P, x="a"),
    "fit tolerance": lambda: fit_population(P, tolerance="a"),
    "read endpoints": lambda: PopulationData.read(FRAME, M, "C", **UNITS),
    "read endpoints of names": lambda: PopulationData.read(FRAME, M, {1: "C"}, **UNITS),
    "read file": lambda: PopulationData.read("nope.csv", M, E, **UNITS),
    "read source": lambda: PopulationData.read(3, M, E, **UNITS),
    "read model": lambda: PopulationData.read(FRAME, Decay, E, **UNITS),
    "read unit": lambda: PopulationData.read(FRAME, M, E, unit=1, time_unit="day"),
    "read covariates": lambda: PopulationData.read(FRAME, M, E, covariates="WT", **UNITS),
    "read columns": lambda: PopulationData.read(FRAME, M, E, columns=["DV"], **UNITS),
    "endpoint": lambda: Endpoint(M),
    "effect sd": lambda: RandomEffect("k", "a"),
    "effect parameter": lambda: RandomEffect(1),
    "covariate coefficient": lambda: LinearEffect("k", "WT", None),
    "covariate centre": lambda: PowerEffect("k", "WT", 0.75, centre="a"),
    "problem data": lambda: problem(data=FRAME),
    "problem estimated": lambda: problem(estimated=K),
    "problem estimated names": lambda: problem(estimated=["k"]),
    "problem effects": lambda: problem(effects=["k"]),
    "problem residuals": lambda: problem(residuals=qspx.Additive(0.1)),
    "problem residuals names": lambda: problem(residuals={"C": 0.1}),
    "problem covariates": lambda: problem(covariate_effects=["WT"]),
    "problem integrator": lambda: problem(integrator="batch"),
}
