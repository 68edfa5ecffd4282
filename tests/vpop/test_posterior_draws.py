"""Patients that are draws of a fit."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import qspx
from qspx.calibrate.draws import Draws
from qspx.calibrate.laplace import laplace
from qspx.calibrate.posterior import Posterior
from qspx.vpop import (
    AbstractSimulator,
    ConvergenceWarning,
    Plausibility,
    PopulationError,
    PopulationProblem,
    PosteriorDraws,
)


class Calibrated(qspx.AbstractModel):
    time_unit = "h"

    A = qspx.Species("mg")
    CL = qspx.Parameter(2.0, "L/h", "clearance")
    V = qspx.Parameter(20.0, "L", "volume")
    F = qspx.Parameter(0.9, "", "fraction")
    dose = qspx.Parameter(100.0, "mg", "given at once")
    CP = qspx.Observable("mg/L")

    def initial(self, p):
        return {"A": p.dose * p.F}

    def rates(self, t, y, p):
        return {"A": -p.CL / p.V * y.A}

    def observables(self, t, y, p):
        return {"CP": y.A / p.V}


class Patients(qspx.AbstractModel):
    """Another model, with volumes in mL, another fraction and one parameter more."""

    time_unit = "h"

    A = qspx.Species("mg")
    V = qspx.Parameter(20_000.0, "mL", "volume")
    CL = qspx.Parameter(2.0, "L/h", "clearance")
    F = qspx.Parameter(0.7, "", "fraction")
    R = qspx.Parameter(1.0, "1", "response")
    k = qspx.Parameter(0.1, "1/h", "loss")

    def rates(self, t, y, p):
        return {"A": -p.k * y.A}


@dataclasses.dataclass(frozen=True, eq=False)
class Steady(AbstractSimulator):
    """Exposure 1/CL and response R."""

    model: qspx.AbstractModel
    names: tuple[str, ...] = ("exposure", "response")

    def traced(self, theta):
        return jnp.stack([1.0 / theta[:, 1], theta[:, 3]], axis=1), jnp.zeros(len(theta), int)


@pytest.fixture(scope="module")
def fitted():
    """Objective and the optimum: measurements are what the model predicts."""
    times = np.array([1.0, 4.0, 12.0, 24.0])
    frame = pd.DataFrame({"observable": "CP", "time": times, "value": 100 * 0.9 / 20 * np.exp(-0.1 * times)})
    model = Calibrated()
    measurements = qspx.Measurements.from_dataframe(frame, model, time_unit="h", units={"CP": "mg/L"})
    estimated = [
        qspx.Estimated("CL", bounds=(0.1, 100)),
        qspx.Estimated("V", bounds=(1, 1000)),
        qspx.Estimated("sd", bounds=(0.01, 1), prior=qspx.LogNormal(0.2, 0.1)),
    ]
    objective = qspx.CalibrationProblem(model, measurements, estimated, qspx.LogAdditive("sd")).objective
    return objective, np.log([2.0, 20.0, 0.2])


@pytest.fixture(scope="module")
def approximation(fitted):
    return laplace(*fitted)


@pytest.fixture(scope="module")
def problem():
    prior = qspx.Joint(
        {"V": qspx.Uniform(1e3, 1e5), "CL": qspx.LogNormal(2.0, 0.5), "R": qspx.LogNormal(1.0, 0.4)},
        {("CL", "R"): 0.8},
    )
    return PopulationProblem(Steady(Patients()), prior, Plausibility({"exposure": (0.3, 0.8)}))


def test_laplace(problem, approximation):
    """Estimated parameters have its covariance, others the prior's distribution given them; units are converted."""
    outputs = PosteriorDraws(approximation).sample(problem, 4000, key=0)
    logs = np.log(outputs.cohort.theta[:, :2])  # V, CL
    expected = approximation.covariance[:2, :2][::-1, ::-1]
    np.testing.assert_allclose(logs.mean(axis=0), np.log([20_000, 2.0]), atol=4 * np.sqrt(expected.max() / 4000))
    np.testing.assert_allclose(np.cov(logs.T), expected, atol=0.1 * expected.max())
    about = outputs.details
    assert about["of_fit"] == ["CL", "V"] and about["of_prior"] == ["R"] and about["left_out"] == ["sd"]
    assert about["differ"] == {"F": (0.9, 0.7)} and about["distinct"] == 4000 and not about["outside"]
    assert about["origin"].startswith("Laplace") and 0.5 < about["strictly_plausible"] <= 1.0
    # log R given CL: slope rho omega_R/omega_CL, the rest of its spread is left
    omega = np.sqrt(np.log1p(np.array([0.5, 0.4]) ** 2))
    z = np.stack([(logs[:, 1] - np.log(2.0)) / omega[0], np.log(outputs.cohort.theta[:, 3]) / omega[1]], axis=1)
    slope, intercept = np.polyfit(z[:, 0], z[:, 1], 1)
    left = z[:, 1] - slope * z[:, 0] - intercept
    spread = z[:, 0].std() * np.sqrt(4000)
    assert slope == pytest.approx(0.8, abs=4 * 0.6 / spread) and intercept == pytest.approx(0.0, abs=0.04)
    assert left.std() == pytest.approx(0.6, abs=0.03)


def test_draws_come_once_before_any_comes_twice(problem, approximation):
    draws = approximation.sample(3, 50)
    some = dataclasses.replace(draws, x=np.where(np.arange(50)[:, None] < 10, np.nan, draws.x))  # ten failed
    outputs = PosteriorDraws(some).sample(problem, 80, key=0)
    _, times = np.unique(outputs.cohort.theta[:, 1], return_counts=True)
    assert (times == 2).all() and len(times) == 40
    assert outputs.details["distinct"] == 40 and outputs.details["failed_draws"] == 10
    with pytest.raises(PopulationError, match="every one of 50 draws failed"):
        PosteriorDraws(dataclasses.replace(draws, x=np.full_like(draws.x, np.nan))).sample(problem, 5, key=0)


def test_chains_that_have_not_converged_are_said(problem, approximation):
    draws = approximation.sample(3, 50)
    table = pd.DataFrame({"parameter": draws.names, "rhat": 1.0, "ess_bulk": 900.0})
    good = PosteriorDraws(Posterior(draws, 4, None, table, 0)).sample(problem, 5, key=0)
    assert good.details["verdict"] == "converged"
    with pytest.warns(ConvergenceWarning, match="3 of 50 trajectories diverged"):
        bad = PosteriorDraws(Posterior(draws, 4, None, table, 3)).sample(problem, 5, key=0)
    assert bad.details["verdict"].startswith("not converged")


def test_a_distribution(problem):
    law = qspx.Joint({"CL": qspx.LogNormal(1.5, 0.1), "V": qspx.LogNormal(3e4, 0.1)}, {("CL", "V"): 0.9})
    outputs = PosteriorDraws(law).sample(problem, 3000, key=1)
    logs = np.log(outputs.cohort.theta[:, [1, 0]])
    assert np.corrcoef(logs.T)[0, 1] == pytest.approx(0.9, abs=0.02)
    np.testing.assert_allclose(logs.mean(axis=0), np.log([1.5, 3e4]), atol=0.01)


def test_draws_outside_the_prior_are_replaced_and_counted(problem):
    law = qspx.Joint({"V": qspx.Normal(1.3e3, 300.0)})  # a sixth of it is below the prior's 1000
    outputs = PosteriorDraws(law).sample(problem, 2000, key=1)
    assert outputs.cohort.theta[:, 0].min() >= 1e3
    assert outputs.details["outside"]["V"] / 8000 == pytest.approx(0.159, abs=0.02)
    with pytest.raises(PopulationError, match=r"outside the prior.*`V`.*but its prior allows 1000 to 1e\+05"):
        PosteriorDraws(qspx.Joint({"V": qspx.Normal(900.0, 10.0)})).sample(problem, 20, key=1)


def test_names_and_units_that_do_not_fit(problem, approximation):
    narrow = dataclasses.replace(problem, prior=qspx.Joint({"CL": qspx.LogNormal(2.0, 0.5)}))
    with pytest.raises(PopulationError, match="`V` has draws, but the prior"):
        PosteriorDraws(approximation).sample(narrow, 5, key=0)

    class Other(Patients):
        CL = qspx.Parameter(2.0, "L", "not a clearance")

    other = dataclasses.replace(problem, simulator=Steady(Other()))
    with pytest.raises(PopulationError, match="`CL` is in 'L/h' in Calibrated, but in 'L' in Other"):
        PosteriorDraws(approximation).sample(other, 5, key=0)

    class Fewer(qspx.AbstractModel):
        time_unit = "h"

        A = qspx.Species("mg")
        CL = qspx.Parameter(2.0, "L/h")
        k = qspx.Parameter(0.1, "1/h", "loss")

        def rates(self, t, y, p):
            return {"A": -p.k * y.A}

    fewer = dataclasses.replace(narrow, simulator=Steady(Fewer()), plausibility=Plausibility({}))
    with pytest.raises(PopulationError, match="`V` was estimated in Calibrated, but Fewer has no such"):
        PosteriorDraws(approximation).sample(fewer, 5, key=0)


def test_draws_of_one_run_where_runs_differ(problem, approximation):
    """`run` is handed on: this calibration has one run, so that a second one is an error."""
    assert isinstance(approximation.sample(0, 5), Draws)
    with pytest.raises(qspx._errors.CalibrationError, match="`run` must lie between 0 and 0"):
        PosteriorDraws(approximation, run=1).sample(problem, 5, key=0)


def test_every_patient_is_counted_once(problem):
    known = PosteriorDraws(qspx.Joint({"CL": qspx.LogNormal(2.0, 0.2)})).sample(problem, 50, key=0)
    assert known.details["evaluations"] == 50
