"""Models and data for population fits whose answers are known."""

import numpy as np
import pandas as pd

import qspx
from qspx import Additive, Combined, Estimated
from qspx.nlme import (
    Endpoint,
    PopulationData,
    PopulationProblem,
    RandomEffect,
)

TIGHT = qspx.BatchIntegrator(rtol=1e-10)


class Decay(qspx.AbstractModel):
    """C = C0 exp(-ke t): Wang 2007, doi:10.1007/s10928-007-9060-6."""

    time_unit = "h"
    C = qspx.Species("mg/L")
    ke = qspx.Parameter(0.5, "1/h")
    C0 = qspx.Parameter(10.0, "mg/L")

    def initial(self, p):
        return {"C": p.C0}

    def rates(self, t, y, p):
        return {"C": -p.ke * y.C}


class Oral(qspx.AbstractModel):
    """One compartment, absorption of first order."""

    time_unit = "h"
    depot = qspx.Species("mg")
    central = qspx.Species("mg")
    CP = qspx.Observable("mg/L")
    ka = qspx.Parameter(1.5, "1/h")
    CL = qspx.Parameter(2.7, "L/h")
    V = qspx.Parameter(32.0, "L")

    def rates(self, t, y, p):
        return {"depot": -p.ka * y.depot, "central": p.ka * y.depot - p.CL / p.V * y.central}

    def observables(self, t, y, p):
        return {"CP": y.central / p.V}


class Line(qspx.AbstractModel):
    """y = intercept + slope t, linear in its parameters."""

    time_unit = "h"
    Y = qspx.Species("mg/L", signed=True)
    intercept = qspx.Parameter(2.0, "mg/L", scale="lin")
    slope = qspx.Parameter(0.5, "mg/L/h", scale="lin")

    def initial(self, p):
        return {"Y": p.intercept}

    def rates(self, t, y, p):
        return {"Y": p.slope}


def wang(reference_dir):
    """Wang's data, with additive and proportional error, either of which can be as good as nothing."""
    data = PopulationData.read(
        reference_dir / "nlme" / "Wang2007.csv", Decay(), Endpoint("C"), unit="mg", time_unit="h", columns={"Y": "DV"}
    )
    estimated = [Estimated("ke", (0.01, 10)), Estimated("sd", (1e-9, 10.0), 0.3), Estimated("cv", (1e-9, 10.0), 0.3)]
    return PopulationProblem(data, estimated, [RandomEffect("ke", 0.2)], {"C": Combined("sd", "cv")}, integrator=TIGHT)


def theophylline(reference_dir, volumes=(1.0, 500.0)):
    frame = pd.read_csv(reference_dir / "nlme" / "theo_sd.csv")
    frame["EVID"] = (frame["EVID"] == 101).astype(int)
    data = PopulationData.read(frame, Oral(), Endpoint("CP", "mg/L"), unit="mg", time_unit="h")
    estimated = [
        Estimated("ka", (0.05, 50), np.exp(0.45)),
        Estimated("CL", (0.05, 50), np.exp(1.0)),
        Estimated("V", volumes, np.exp(3.45)),
        Estimated("add", (0.01, 10), 0.7),
    ]
    effects = [RandomEffect("ka", 0.6**0.5), RandomEffect("CL", 0.3**0.5), RandomEffect("V", 0.1**0.5)]
    return PopulationProblem(data, estimated, effects, {"CP": Additive("add")})


def lines(frame, correlated=True, censored=False):
    """Straight lines with random intercept and slope."""
    data = PopulationData.read(frame, Line(), Endpoint("Y"), unit="mg", time_unit="h", covariates=["X"])
    estimated = [
        Estimated("intercept", (-20.0, 20.0), scale="lin"),
        Estimated("slope", (-5.0, 5.0), scale="lin"),
        Estimated("sd", (0.01, 10.0), 0.4),
    ]
    return PopulationProblem(
        data,
        estimated,
        [RandomEffect("intercept", 0.8), RandomEffect("slope", 0.3)],
        {"Y": Additive("sd")},
        correlated=[("intercept", "slope")] if correlated else [],
        integrator=TIGHT,
    )


def line_data(n=8, seed=0):
    """Unbalanced straight lines; the last individual has no measurement."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(n):
        a, b = 2.0 + 0.8 * rng.normal(), 0.5 + 0.3 * rng.normal()
        for t in [0.0, 1.0, 2.5, 4.0, 6.0][: 2 + i % 4]:
            rows.append({"ID": i + 1, "TIME": t, "DV": a + b * t + 0.4 * rng.normal(), "X": float(i)})
    rows.append({"ID": n + 1, "TIME": 1.0, "DV": np.nan, "X": 3.0})
    return pd.DataFrame(rows).assign(MDV=lambda d: d["DV"].isna().astype(int))


def line_ofv(frame, intercept, slope, sd, omega):
    """Closed form of -2 log-likelihood without N log 2 pi: measurements of an individual are normal."""
    total = 0.0
    for _, one in frame.dropna(subset="DV").groupby("ID"):
        design = np.stack([np.ones(len(one)), one["TIME"]], axis=1)
        covariance = design @ omega @ design.T + sd**2 * np.eye(len(one))
        residual = one["DV"].to_numpy() - design @ [intercept, slope]
        total += np.linalg.slogdet(covariance)[1] + residual @ np.linalg.solve(covariance, residual)
    return total


class Bolus(qspx.AbstractModel):
    """C = dose / V exp(-CL / V t), with what doses per kg need."""

    molar_mass = "MW"
    body_weight = "WT"
    C = qspx.Species("nM", volume="V", route="IV")
    V = qspx.Parameter(3.0, "L")
    CL = qspx.Parameter(0.3, "L/day")
    WT = qspx.Parameter(70.0, "kg", tag="covariate")
    MW = qspx.Parameter(150_000.0, "g/mol")

    def rates(self, t, y, p):
        return {"C": -p.CL / p.V * y.C}
