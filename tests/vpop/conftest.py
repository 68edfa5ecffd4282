"""The cholesterol yardstick: stored patients of Rieger 2018, NHANES rows, numbers computed independently."""

import importlib.util
import json

import numpy as np
import pandas as pd
import pytest

import qspx
from qspx.steady_state import SteadyState
from qspx.vpop import AtRest, LogNormalLaw, Outputs, Plausibility, PopulationProblem, Rows

LIPIDS = ("HDL", "LDL", "TC")


class Plain(qspx.AbstractModel):
    """A stand-in for clouds that were simulated elsewhere: A goes from zero to a + b, which is never asked for."""

    A = qspx.Species("1", "anything", signed=True)
    a = qspx.Parameter(0.0, "1", "first", scale="lin")
    b = qspx.Parameter(0.0, "1", "second", scale="lin")
    c = qspx.Parameter(0.0, "1", "third", scale="lin")
    k = qspx.Parameter(1.0, "1/day", "rate")

    def rates(self, t, y, p):
        return {"A": p.k * (p.a + p.b + p.c - y.A)}


@pytest.fixture(scope="session")
def plain():
    return Plain()


@pytest.fixture(scope="session")
def outputs_of(plain):
    """`outputs_of(values, names)`: patients whose outputs are given; the first three are their parameters too."""

    def make(values, names):
        theta = np.tile(plain.theta, (len(values), 1))
        theta[:, : min(3, values.shape[1])] = values[:, :3]
        return Outputs(qspx.Cohort(plain, theta, np.zeros(len(values))), tuple(names), values)

    return make


@pytest.fixture(scope="session")
def cholesterol(repo_root):
    return repo_root / "tests" / "data" / "vpop_cholesterol"


@pytest.fixture(scope="session")
def checks(cholesterol):
    return json.loads((cholesterol / "checks.json").read_text())


@pytest.fixture(scope="session")
def law(cholesterol):
    about = json.loads((cholesterol / "target_lognormal.json").read_text())
    return LogNormalLaw(LIPIDS, np.array(about["mean"]), np.array(about["covariance"]))


@pytest.fixture(scope="session")
def people(cholesterol):
    frame = pd.read_csv(cholesterol / "nhanes_hdl_ldl_tc.csv")
    return Rows(LIPIDS, frame[["hdl_mg_dl", "ldl_mg_dl", "tc_mg_dl"]].to_numpy(float))


@pytest.fixture(scope="session")
def stored(cholesterol):
    return pd.read_csv(cholesterol / "plausible_patients.csv")


@pytest.fixture(scope="session")
def cloud(stored, outputs_of):
    """`cloud("SA")`: the stored patients of a method with the published outputs; also "all" and
    "all_within_state_bounds"."""

    def some(method):
        rows = stored["method"] == method
        if method == "all":
            rows = stored["method"] != ""
        elif method == "all_within_state_bounds":
            rows = stored["within_state_bounds"] == 1
        return outputs_of(stored.loc[rows, ["hdl_mg_dl", "ldl_mg_dl", "tc_mg_dl"]].to_numpy(float), LIPIDS)

    return some


@pytest.fixture(scope="session")
def cholesterol_problem(repo_root, law):
    """The van de Pas model in the box and the bounds of Rieger 2018, with the published normal as its target."""
    spec = importlib.util.spec_from_file_location("vandepas2012", repo_root / "models" / "vandepas2012.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    simulator = AtRest(SteadyState(module.VanDePas2012(), 2000.0), (*module.STATE_BOUNDS, *LIPIDS))
    return PopulationProblem(simulator, module.prior(), Plausibility(module.STATE_BOUNDS), [law])
