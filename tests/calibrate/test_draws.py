"""Draws as cohorts, their predictions, and a calibration as a distribution."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from uncertainty_systems import Decay, line, objective_of, ratio

import qspx
from qspx._errors import CalibrationError
from qspx._status import Status
from qspx.calibrate.assigned import Assigned
from qspx.calibrate.distribution import distribution
from qspx.calibrate.draws import Draws
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.information import fisher_information
from qspx.calibrate.laplace import laplace
from qspx.calibrate.prediction import predictive_check
from qspx.fih import Escalation, Qsp, TypicalValueUncertainty, compare_doses

TIMES = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
SD = 0.15


def decay(runs=1, scale="log"):
    """k and the sd of the noise are estimated; the bolus is known."""
    value = np.tile(10 * np.exp(-0.3 * TIMES), runs) + SD * np.random.default_rng(0).normal(size=runs * len(TIMES))
    estimated = [Estimated("k", (0.01, 3.0), scale=scale), Estimated("sigma", (0.01, 5.0))]
    return objective_of(
        Decay(), estimated, TIMES, value, lambda t, y, p, local: (y[0], local[0]), ("sigma",), runs=runs
    )


@pytest.fixture(scope="module")
def fitted():
    objective = decay()
    return objective, objective.coordinates([0.3, SD])


def test_a_cohort_of_draws_has_the_estimated_parameters_of_the_model(fitted):
    objective, x = fitted
    draws = laplace(objective, x).sample(0, 50)
    lost = dataclasses.replace(draws, x=np.where(np.arange(50)[:, None] < 3, np.nan, draws.x), reasons={"no fit": 3})
    cohort = lost.cohort()
    assert (cohort.status == Status.OK).sum() == 47 and cohort.ledger.reasons[Status.EXCLUDED] == {"no fit": 3}
    np.testing.assert_array_equal(cohort.column("k")[3:], draws.column("k")[3:])
    assert (cohort.column("dose") == 10.0).all() and np.isnan(cohort.column("k")[:3]).all()
    assert (lost.cohort(parameters={"dose": 20.0}).column("dose") == 20.0).all()
    with pytest.raises(CalibrationError, match="`V` was not estimated"):
        draws.column("V")


def test_bands_are_those_of_the_draws(fitted):
    objective, x = fitted
    draws = laplace(objective, x).sample(0, 200)
    nothing = qspx.Regimen((qspx.Dose(0.0, "mg/L", "C"),), time_unit="h")
    cohort, arm = draws.cohort(), qspx.Arm("bolus", nothing, [1.0, 4.0], ("seen",))
    protocol = qspx.Protocol((arm,))
    result = qspx.simulate_cohort(cohort.model, cohort, protocol, integrator=objective.integrator, progress=False)
    exact = 10 * np.exp(-draws.column("k")[:, None] * np.array([1.0, 4.0]))
    np.testing.assert_allclose(result.values("seen")[0], exact, rtol=1e-6)
    np.testing.assert_allclose(draws.predicted(), 10 * np.exp(-draws.column("k")[:, None] * TIMES), rtol=1e-6)


def test_a_predictive_check_covers_the_data_of_a_true_model():
    objective = decay(runs=8)
    x = objective.coordinates([0.3, SD])
    found = predictive_check(laplace(objective, x).sample(0, 400), key=0, level=0.8)
    assert len(found) == 40 and set(found["run"]) == set(range(8))
    assert found.attrs["within"] == pytest.approx(0.8, abs=0.2)  # three standard errors of a share of 40
    width = (found["high"] - found["low"]).to_numpy()
    np.testing.assert_allclose(width, 2 * 1.2815515655446004 * SD, rtol=0.3)
    assert found["below"].between(0, 1).all()


def test_the_distribution_has_the_errors_of_the_information():
    for scale, kind in (("log", qspx.LogNormal), ("lin", qspx.Normal), ("logit", qspx.LogitNormal)):
        objective = decay(scale=scale)
        x = objective.coordinates([0.3, SD])
        joint = distribution(objective, x)
        assert joint.names == ("k",) and isinstance(joint.marginals["k"], kind)
        scores = objective.coordinates(np.stack([joint.sample(0, range(4000))[:, 0], np.full(4000, SD)], axis=1))[:, 0]
        se = fisher_information(objective, x).se[0]
        assert scores.std() == pytest.approx(se, rel=0.05) and scores.mean() == pytest.approx(x[0], abs=0.1 * se)


def test_correlated_parameters_stay_correlated():
    estimated = [Estimated("dose", (0.1, 100.0)), Estimated("k", (0.01, 3.0))]
    objective = objective_of(
        Decay(), estimated, TIMES, 10 * np.exp(-0.3 * TIMES), lambda t, y, p, local: (y[0], jnp.asarray(SD))
    )
    x = np.log([10.0, 0.3])
    joint = distribution(objective, x)
    drawn = np.log(joint.sample(1, range(4000)))
    np.testing.assert_allclose(np.cov(drawn.T), fisher_information(objective, x).covariance, rtol=0.1)


class Antibody(qspx.AbstractModel):
    """Mono-exponential elimination; a dose by body weight."""

    body_weight = "WT"
    C = qspx.Species("mg/L", volume="V")
    C0 = qspx.Parameter(10.0, "mg/L", "at the start of the calibration", scale="lin")
    CL = qspx.Parameter(0.3, "L/day", "clearance")
    V = qspx.Parameter(3.0, "L", "volume")
    WT = qspx.Parameter(70.0, "kg", "body weight")

    def initial(self, p):
        return {"C": p.C0}

    def rates(self, t, y, p):
        return {"C": -p.CL / p.V * y.C}


def test_it_feeds_cohorts_and_dose_comparison_unchanged():
    times = np.array([1.0, 5.0, 10.0, 20.0])
    objective = objective_of(
        Antibody(), [Estimated("CL", (0.01, 3.0))], times, 10 * np.exp(-0.1 * times),
        lambda t, y, p, local: (y[0], jnp.asarray(SD)),
    )  # fmt: skip
    x = np.log([0.3])
    model, joint = objective.phases[-1].model, distribution(objective, x)
    sampled = qspx.sample_cohort(model, joint, 40, key=1, parameters={"C0": 0.0})
    assert sampled.ledger.ok == 40 and sampled.column("CL").std() > 0
    escalation = Escalation(qspx.Regimen.single(10.0, "ug/kg", "C"), (10.0, 100.0, 1000.0))
    method = Qsp(metric=qspx.AUC("C", end=100.0), threshold=20.0, quantile=0.5)
    draws = laplace(objective, x).sample(0, 40).cohort(parameters={"C0": 0.0})
    for population in (sampled, draws):
        uncertainty = TypicalValueUncertainty(joint, draws=4, subjects=10)
        found = compare_doses(
            model, population, escalation, [method], key=0, uncertainty=uncertainty, progress=False
        ).estimates[0]
        # AUC = dose weight / CL: the dose for a median AUC of 20 mg/L day is 20 CL / weight, 85.7 ug/kg
        assert found.dose_ug_per_kg == pytest.approx(1000 * 20 * np.median(population.column("CL")) / 70, rel=0.02)
        low, _, high = found.interval
        assert 0.9 < low / found.dose_ug_per_kg < high / found.dose_ug_per_kg < 1.1


def test_what_has_no_distribution_or_cohort_says_why(fitted):
    with pytest.raises(CalibrationError, match="kf, kr: not identifiable"):
        distribution(ratio(), np.log([2.0, 1.0]))
    objective, mean, _ = line()
    with pytest.raises(CalibrationError, match="no parameter of Still was estimated"):
        Draws(objective, mean[None], "one").cohort()
    two = decay(runs=2)
    phase = two.phases[0]
    index = phase.theta.index.copy()
    index[1] = -1
    apart = dataclasses.replace(two, phases=(dataclasses.replace(phase, theta=Assigned(phase.theta.constant, index)),))
    draws = Draws(apart, apart.coordinates(np.array([[0.5, SD]])), "one")
    with pytest.raises(CalibrationError, match="run=0 to run=1"):
        draws.cohort()
    assert draws.cohort(run=0).column("k")[0] == pytest.approx(0.5)
    with pytest.raises(CalibrationError, match="`run` must lie between 0 and 1"):
        draws.cohort(run=2)
