"""Fits: published optima from near and far, closed forms, recovery, and what a fit hands on."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from population_systems import TIGHT, Line, line_data, line_ofv, lines, theophylline

import qspx
from qspx import Additive, Estimated
from qspx._errors import CalibrationError
from qspx.nlme import (
    FOCEI,
    CategoryEffect,
    Endpoint,
    LinearEffect,
    PopulationData,
    PopulationFit,
    PopulationObjective,
    PopulationProblem,
    RandomEffect,
    fit_population,
    simulate_measurements,
    visual_predictive_check,
)

# FOCEI optimum of theophylline, found independently with another optimiser
OPTIMUM = {"ka": np.exp(0.463883), "CL": np.exp(1.012158), "V": np.exp(3.459746), "add": 0.694410}
VARIANCES = [0.402355, 0.069095, 0.019159]


@pytest.fixture(scope="module")
def theo(reference_dir):
    return theophylline(reference_dir, volumes=(10.0, 300.0))


@pytest.fixture(scope="module")
def fit(theo):
    return fit_population(theo, progress=False)


def same_optimum(found):
    assert found.converged
    assert found.ofv == pytest.approx(116.803413, abs=1e-4)
    assert found.minus_two_log_likelihood == pytest.approx(359.403186, abs=1e-4)
    # The other optimiser's digits are good to about 1e-4 of the variances.
    for name, value in OPTIMUM.items():
        assert found.parameters[name] == pytest.approx(value, rel=1e-4)
    np.testing.assert_allclose(np.diag(found.omega), VARIANCES, rtol=1e-3)


def test_theophylline_from_near(fit):
    same_optimum(fit)
    assert str(fit).startswith("FOCEI fit of Oral: 12 individuals, 132 measurements")
    table = fit.table().set_index("parameter")
    assert list(table.index) == ["ka", "CL", "V", "add", "sd(ka)", "sd(CL)", "sd(V)"]
    assert (table["low"] < table["estimate"]).all() and (table["estimate"] < table["high"]).all()
    assert table["rse"].between(3, 35).all() and (table["robust_se"] > 0).all()
    assert not table["at_bound"].any() and 0 < table.loc["sd(V)", "shrinkage"] < 20
    assert fit.starts()["converged"].all()
    assert fit.matrices.condition < 10


@pytest.mark.slow
def test_theophylline_from_far(theo):
    # Absorption 30 times too slow, clearance 7 times and volume 6 times too large, all variances 4, error 7 times.
    x = theo.coordinates({"ka": 0.06, "CL": 20.0, "V": 200.0, "add": 5.0}, 4.0 * np.eye(3))
    assert PopulationObjective(theo, FOCEI())(x).value > 400
    same_optimum(fit_population(theo, x=x, uncertainty=False, progress=False))


def test_what_a_fit_says_about_individuals(fit, tmp_path):
    people = fit.individuals.parameters()
    assert len(people) == 12 and people["converged"].all() and (people["status"] == "ok").all()
    assert people["ofv"].sum() == pytest.approx(fit.ofv)
    np.testing.assert_allclose(people["CL"], fit.parameters["CL"] * np.exp(people["eta(CL)"]))
    assert (people["se(eta(CL))"] < np.sqrt(VARIANCES[1])).all()
    rows = fit.individuals.residuals
    assert len(rows) == 132 and rows[["PRED", "IPRED", "IWRES", "CWRES"]].notna().all(axis=None)
    np.testing.assert_allclose(rows["IWRES"], (rows["DV"] - rows["IPRED"]) / fit.parameters["add"], atol=1e-12)
    assert abs(rows["CWRES"].mean()) < 0.2 and 0.8 < rows["CWRES"].std() < 1.2
    for figure in (fit.plot_goodness(), fit.plot_individuals()):
        figure.savefig(tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_predictive_check(fit, tmp_path):
    check = visual_predictive_check(fit, n=100, key=1, bins=6)
    assert check.failed == 0.0
    assert check.share_inside > 0.7  # of 18 percentiles, for a model that fits
    check.plot().figure.savefig(tmp_path / "check.png")
    wrong = dataclasses.replace(fit, evaluated=dataclasses.replace(fit.evaluated, x=fit.x + np.eye(7)[1]))
    assert visual_predictive_check(wrong, n=50, key=1, bins=6, corrected=True).share_inside < 0.6
    one, two = (simulate_measurements(fit, 3, key=k) for k in (1, 2))
    assert one.shape == (3, 132) and not np.allclose(one, two)
    np.testing.assert_array_equal(one, simulate_measurements(fit, 3, key=1))


def test_a_fit_is_stored(fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    again = PopulationFit.load(tmp_path / "fit.json", fit.objective)
    assert again.ofv == pytest.approx(fit.ofv, abs=1e-7)
    assert again.converged and str(again).splitlines()[:3] == str(fit).splitlines()[:3]
    pd.testing.assert_frame_equal(again.table(), fit.table(), rtol=1e-5)
    other = dataclasses.replace(fit.problem, estimated=fit.problem.estimated[:3], residuals={"CP": Additive(0.5)})
    with pytest.raises(CalibrationError, match="were fitted, but"):
        PopulationFit.load(tmp_path / "fit.json", PopulationObjective(other, FOCEI()))


def test_a_fitted_population_is_sampled(fit):
    model = fit.problem.model
    cohort = qspx.sample_cohort(model, fit.distribution(), 4000, key=3, parameters=fit.typical())
    logs = np.log(np.stack([cohort.column(n) for n in ("ka", "CL", "V")], axis=1))
    np.testing.assert_allclose(np.exp(logs.mean(axis=0)), [fit.parameters[n] for n in ("ka", "CL", "V")], rtol=0.05)
    np.testing.assert_allclose(np.cov(logs.T), fit.omega, atol=0.03)


@pytest.mark.slow
def test_a_linear_model_reaches_its_closed_optimum():
    # scipy minimises the closed form; full covariance of two random effects.
    from scipy.optimize import minimize

    frame = line_data(20, seed=4)
    problem = lines(frame)
    found = fit_population(problem, progress=False)

    def closed(x):
        numbers, factor = np.asarray(problem.numbers(x)), np.asarray(problem.factor(x))
        return line_ofv(frame, *numbers, factor @ factor.T)

    want = minimize(closed, problem.start, method="BFGS", options={"gtol": 1e-7})
    assert found.converged and found.ofv == pytest.approx(want.fun, abs=1e-5)
    np.testing.assert_allclose(found.x, want.x, rtol=1e-3, atol=1e-3)
    # standard errors: the observed information of the closed form, by second differences
    h, eye = 1e-3, np.eye(len(want.x))
    second = [[closed(want.x + h * (a + b)) - closed(want.x + h * (a - b)) - closed(want.x - h * (a - b))
               + closed(want.x - h * (a + b)) for a in eye] for b in eye]  # fmt: skip
    np.testing.assert_allclose(found.matrices.r, np.array(second) / (8 * h**2), rtol=1e-3, atol=1e-3)
    joint = found.distribution()
    (pair,) = joint.correlations.values()
    assert pair == pytest.approx(found.omega[1, 0] / np.sqrt(found.omega[0, 0] * found.omega[1, 1]))
    assert found.individuals.parameters()["measurements"].iloc[-1] == 0 and len(found.individuals.eta) == 21


@pytest.mark.slow
def test_covariates_are_recovered():
    # 200 straight lines with effects of a number and of a group; estimates within 4 standard errors of the truth.
    rng, rows = np.random.default_rng(5), []
    for i in range(200):
        age, sex = rng.uniform(20, 80), "f" if rng.random() < 0.5 else "m"
        a = 2.0 + 0.03 * (age - 50) + 0.5 * rng.normal()
        b = 0.5 - 0.4 * (sex == "f") + 0.2 * rng.normal()
        rows += [
            {"ID": i, "TIME": t, "DV": a + b * t + 0.3 * rng.normal(), "AGE": age, "SEX": sex} for t in (0.0, 2.0, 5.0)
        ]
    data = PopulationData.read(
        pd.DataFrame(rows), Line(), Endpoint("Y"), unit="mg", time_unit="h", covariates=["AGE", "SEX"]
    )
    lin = dict(scale="lin")
    problem = PopulationProblem(
        data,
        [
            Estimated("intercept", (-20, 20), **lin),
            Estimated("slope", (-5, 5), **lin),
            Estimated("age", (-1, 1), 0.0, **lin),
            Estimated("female", (-2, 2), 0.0, **lin),
            Estimated("sd", (0.01, 10.0), 0.6),
        ],
        [RandomEffect("intercept", 0.8), RandomEffect("slope", 0.3)],
        {"Y": Additive("sd")},
        covariate_effects=[
            LinearEffect("intercept", "AGE", "age", centre=50.0),
            CategoryEffect("slope", "SEX", "female", level="f"),
        ],
        integrator=TIGHT,
    )
    found = fit_population(problem, progress=False)
    table = found.table().set_index("parameter")
    truth = {"intercept": 2.0, "slope": 0.5, "age": 0.03, "female": -0.4, "sd": 0.3}
    truth |= {"sd(intercept)": 0.5, "sd(slope)": 0.2}
    for name, value in truth.items():
        assert abs(table.loc[name, "estimate"] - value) < 4 * table.loc[name, "se"]
        assert table.loc[name, "se"] < 0.1
    at = found.typical({"AGE": 60.0, "SEX": "f"})
    assert at["intercept"] == pytest.approx(found.parameters["intercept"] + 10 * found.parameters["age"])
    assert at["slope"] == pytest.approx(found.parameters["slope"] + found.parameters["female"])


def test_a_fit_that_cannot_start_names_the_individuals(theo):
    lost = dataclasses.replace(theo, integrator=qspx.BatchIntegrator(max_steps=3))
    with pytest.raises(
        CalibrationError, match=r"12 of 12 individuals have no finite likelihood: 1 \(MAX_STEPS\).*raise `max_steps`"
    ):
        fit_population(lost, progress=False)
    with pytest.raises(CalibrationError, match="starts"):
        fit_population(theo, starts=0)
