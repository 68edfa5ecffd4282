"""Betts 2018: closed form of two compartments in each species, and the spread between subjects."""

import math

import numpy as np
import pytest

import qspx
from qspx.integrate import DiffraxIntegrator

PRECISE = DiffraxIntegrator(rtol=1e-10, atol=1e-15)
SPECIES = ["human", "cynomolgus", "Tg32 mouse"]


@pytest.fixture(scope="module")
def module(model_file):
    return model_file("betts2018")


@pytest.fixture(scope="module")
def model(module):
    return module.Betts2018()


def rates(p):
    """Fast and slow rate constant, and the share of the fast one in C(t)/C(0)."""
    a, b, c = p["CL"] / p["V1"], p["Q"] / p["V1"], p["Q"] / p["V2"]
    s = a + b + c
    root = math.sqrt(s * s - 4.0 * a * c)
    fast, slow = (s + root) / 2.0, (s - root) / 2.0
    return fast, slow, (fast - c) / (fast - slow)


@pytest.mark.parametrize("species", SPECIES)
def test_two_exponentials(module, model, species):
    p, t = module.parameters_for(species), np.array([0.1, 1.0, 7.0, 28.0])
    fast, slow, share = rates(p)
    expected = 1000.0 / p["V1"] * (share * np.exp(-fast * t) + (1.0 - share) * np.exp(-slow * t))
    solution = qspx.simulate(model, qspx.Regimen.single(1.0, "mg/kg", "C"), t, parameters=p, observables=["C", "C_nM"],
                             integrator=PRECISE)  # fmt: skip
    np.testing.assert_allclose(solution["C"], expected, rtol=1e-7)
    np.testing.assert_allclose(solution["C_nM"], expected / 0.150, rtol=1e-7)


def test_human_terminal_half_life(module, model, same_digits):
    same_digits(math.log(2) / rates(module.parameters_for("human"))[1], "16.53")
    same_digits(module.terminal_half_life(model), "16.53")


def test_human_is_the_default(module, model):
    assert module.parameters_for("human") == {k: model.parameters[k].value for k in ("WT", "CL", "V1", "Q", "V2")}


def test_a_flat_dose_is_divided_by_the_weight(model):
    flat, per_kg = (qspx.simulate(model, qspx.Regimen.single(dose, unit, "C"), [0.0, 1.0], observables=["C"])["C"]
                    for dose, unit in ((70.0, "mg"), (1.0, "mg/kg")))  # fmt: skip
    np.testing.assert_allclose(flat, per_kg, rtol=1e-12)


@pytest.mark.parametrize("species", SPECIES)
def test_population_has_the_published_covariance(module, species):
    _, (CL, V1, _, _), (var_CL, covariance, var_V1) = module.TYPICAL[species]
    joint = module.population(species)
    z = np.log(joint.sample(3, np.arange(8000)))
    assert joint.names == ("CL", "V1")
    np.testing.assert_allclose(z.mean(0), np.log([24.0 * CL, V1]), atol=0.03)
    np.testing.assert_allclose(np.cov(z.T), [[var_CL, covariance], [covariance, var_V1]], rtol=0.1)
