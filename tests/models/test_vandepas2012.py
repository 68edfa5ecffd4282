"""van de Pas 2012: steady states of the 600 stored patients of Rieger 2018, box and state bounds."""

import json

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

import qspx

OUTPUTS = ["HDL", "LDL", "TC"]


@pytest.fixture(scope="module")
def module(model_file):
    return model_file("vandepas2012")


@pytest.fixture(scope="module")
def model(module):
    return module.VanDePas2012()


@pytest.fixture(scope="module")
def data(repo_root):
    return repo_root / "tests" / "data" / "vpop_cholesterol"


@pytest.fixture(scope="module")
def stored(data):
    return pd.read_csv(data / "plausible_patients.csv")


@pytest.fixture(scope="module")
def rest(model, module, stored):
    theta = np.tile(model.theta, (len(stored), 1))
    theta[:, [model.parameter_index(k) for k in module.BOX]] = stored[list(module.BOX)]
    states, status = qspx.steady_states(model, theta, within=2000.0)
    outputs = jax.vmap(lambda y, p: model.observables_vector(0.0, y, p, [*OUTPUTS, "LDL_amount"]))(states, theta)
    return theta, states, status, np.asarray(outputs)


def by_bisection(p):
    """HDL, LDL, TC [mg/dL] at rest: given N the other seven balances are linear, which leaves one equation in N."""
    sources = np.array([p["k03"] + p["k04"], 0, p["k01"] - p["k17"], 0, p["k17"], 0, p["k02"]])

    def others(N):
        r21 = p["k21"] * N / 2.79
        a = np.zeros((7, 7))  # iFC iCE lFC lCE hFC hCE pC
        a[0, 0], a[0, 2] = -(p["k15"] + p["k16"] + p["k20"]), p["k14"]
        a[1, 0], a[1, 1] = p["k20"], -p["k11"]
        a[2, 2] = -(p["k14"] + p["k18"] + p["k19"])
        a[2, 4], a[2, 5] = p["k13"], p["k10"]
        a[3, 2], a[3, 3] = p["k19"], -p["k06"]
        a[4, 0], a[4, 4], a[4, 6] = p["k16"], -(p["k09"] + p["k13"]), p["k08"]
        a[5, 4], a[5, 5] = p["k09"], -(p["k10"] + r21)
        a[6, 6] = -(p["k08"] + p["k12"])
        b = sources.copy()
        b[2] += p["k05"] * N
        b[6] += p["k07"] * N
        return np.linalg.solve(a, -b), r21

    def balance(N):
        x, r21 = others(N)
        return p["k06"] * x[3] + p["k11"] * x[1] + r21 * x[5] - (p["k05"] + p["k07"]) * N

    N = brentq(balance, 1e-9, 1e4, xtol=1e-14, rtol=1e-15)
    x, _ = others(N)
    hdl = x[4] + x[5]
    return np.array([hdl, p["ldl_nonhdl_ratio"] * N, N + hdl]) / 2.79 * 38.66


def test_box_and_bounds_are_those_of_the_files(module, data):
    box = pd.read_csv(data / "parameters.csv").set_index("parameter")
    assert list(box.index) == list(module.BOX)
    np.testing.assert_allclose(list(module.BOX.values()), box[["baseline", "lower", "upper"]], rtol=1e-14)
    bounds = pd.read_csv(data / "state_bounds.csv")
    np.testing.assert_allclose(list(module.STATE_BOUNDS.values()), bounds[["lower_mmol", "upper_mmol"]], rtol=1e-11)


def test_steady_states_of_the_stored_patients(rest, stored):
    """All 600, against bisection by other hands (twelve printed digits)."""
    _, _, status, outputs = rest
    assert (status == 0).all()
    expected = stored[["hdl_steady_mg_dl", "ldl_steady_mg_dl", "tc_steady_mg_dl"]]
    np.testing.assert_allclose(outputs[:, :3], expected, rtol=1e-10)


def test_steady_states_against_our_own_bisection(rest, module, model):
    theta, _, _, outputs = rest
    for i in range(0, 600, 100):
        p = {k: theta[i, model.parameter_index(k)] for k in module.BOX}
        np.testing.assert_allclose(outputs[i, :3], by_bisection(p), rtol=1e-10)


def test_published_outputs_only_statistically(rest, stored, data):
    """The published runs were loose (rtol 1e-4): the shares of rows that agree are those found independently."""
    published = stored[["hdl_mg_dl", "ldl_mg_dl", "tc_mg_dl"]].to_numpy()
    worst = np.abs(rest[3][:, :3] / published - 1).max(axis=1)
    known = json.loads((data / "checks.json").read_text())["match_upstream"]
    for name in ("SA", "NSA", "MH", "GA"):
        rows = (stored["method"] == name).to_numpy()
        assert (worst[rows] < 1e-3).mean() == pytest.approx(known[name]["within_0p1_percent"], abs=1e-12)
        assert (worst[rows] < 1e-2).mean() == pytest.approx(known[name]["within_1_percent"], abs=1e-12)
    assert (worst < 1e-3).mean() == pytest.approx(0.94333, abs=1e-5)


def test_plausibility_of_the_stored_patients(rest, module, model, stored):
    _, states, _, outputs = rest
    values = np.column_stack([states, outputs[:, 3]])
    low, high = np.array(list(module.STATE_BOUNDS.values())).T
    inside = ((values >= low) & (values <= high)).all(axis=1)
    assert (inside == stored["within_state_bounds"].to_numpy(bool)).all()
