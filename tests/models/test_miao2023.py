"""Miao 2023: the start of the curve, covariates in closed form, and the spread between patients."""

import math

import numpy as np
import pytest

import qspx
from qspx.integrate import DiffraxIntegrator

PRECISE = DiffraxIntegrator(rtol=1e-9, atol=1e-15)


@pytest.fixture(scope="module")
def module(model_file):
    return model_file("miao2023")


@pytest.fixture(scope="module")
def model(module):
    return module.Miao2023()


def run(model, unit="mg", into="central", **parameters):
    return qspx.simulate(model, qspx.Regimen.single(1.0, unit, into), [0.0, 50.0, 400.0], observables=["C", "CL"],
                         summaries=[qspx.AUC("C")], parameters=parameters, integrator=PRECISE)  # fmt: skip


def test_concentration_after_0_3_ug_per_kg(module, model, same_digits):
    same_digits(module.initial_concentration(model), "5.38")


@pytest.mark.parametrize(
    ("covariates", "CL1", "CL2"),
    [
        ({}, 0.449, 0.547),
        ({"ISS2": 1.0}, 0.449 * 1.31, 0.547),
        ({"ISS3": 1.0}, 0.449 * 1.67, 0.547),
        ({"nonIgG": 1.0}, 0.449 * 0.689, 0.547 * 0.295),
        ({"WT": 100.0}, 0.449 * (100 / 74) ** 0.704, 0.547),
    ],
)
def test_clearance(model, covariates, CL1, CL2):
    expected = CL1 + CL2 * np.exp(-0.0292 * np.array([0.0, 50.0, 400.0]))
    np.testing.assert_allclose(run(model, **covariates)["CL"], expected, rtol=1e-12)


def test_weight_on_volume(model):
    assert run(model, WT=100.0)["C"][0] == pytest.approx(1000.0 / (4.13 * (100 / 74) ** 0.358), rel=1e-12)


def test_dose_per_kg_follows_the_weight(model):
    start = run(model, unit="mg/kg", WT=50.0)["C"][0]
    assert start == pytest.approx(50.0 * run(model, WT=50.0)["C"][0], rel=1e-12)


@pytest.mark.parametrize(("into", "F"), [("central", 1.0), ("depot", 0.718)])
def test_auc_is_dose_over_clearance_when_clearance_is_constant(model, into, F):
    area = run(model, into=into, kdes=0.0).summaries["auc(C)"]
    assert area == pytest.approx(F * 1000.0 / (0.449 + 0.547), rel=1e-3)  # 0.1 % lies after day 400


def test_clearance_falls_and_exposure_rises_with_time(model):
    first, late = (qspx.simulate(model, qspx.Regimen.single(1.0, "mg", "central", at=t), [t + 14.0], observables=["C"])
                   for t in (0.0, 100.0))  # fmt: skip
    assert late["C"][0] > 1.5 * first["C"][0]


def test_population_is_centred_on_the_typical_patient(module, model):
    joint = module.population()
    z = np.log(joint.sample(1, np.arange(4000)))
    typical = np.log([model.parameters[n].value for n in joint.names])
    omega = np.array([math.sqrt(math.log1p(joint.marginals[n].cv ** 2)) for n in joint.names])
    np.testing.assert_allclose(z.mean(0), typical, atol=4 * omega.max() / math.sqrt(4000))
    np.testing.assert_allclose(z.std(0), omega, rtol=0.05)
