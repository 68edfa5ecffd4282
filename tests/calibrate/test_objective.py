"""The likelihood against SciPy and closed forms, its derivatives against central differences."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from scipy import stats
from small import CONCENTRATION, DOSE, ESTIMATED, MODEL, RESPONSE, TIGHT, TIMES, VALUES, objective

from qspx import AutomaticIntegrator, Dose, LogNormal, Normal, Regimen
from qspx._errors import CalibrationError
from qspx._status import Status
from qspx.calibrate.assigned import Assigned
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.runs import Runs

CL, V, KOUT, KIN, SIGMA = VALUES
EXPECTED = 100.0 / V * np.exp(-CL / V * TIMES)
LATER = Regimen((Dose(100.0, "mg", "A", at=1.5),), time_unit="h")
CLOSE = 1e-7  # the integrator works at 1e-10 per step; logits and logarithms lose little


def by_hand(censored=(0,) * 8):
    """Of each measurement, by SciPy."""
    z = (np.log(CONCENTRATION) - np.log(EXPECTED)) / SIGMA
    first = stats.lognorm.logpdf(CONCENTRATION, SIGMA, scale=EXPECTED)
    second = stats.norm.logpdf(RESPONSE, KIN / KOUT, 0.3)
    z = np.concatenate([z, (RESPONSE - KIN / KOUT) / 0.3])
    limit = np.where(np.array(censored) < 0, stats.norm.logcdf(z), stats.norm.logsf(z))
    return np.where(np.array(censored) == 0, np.concatenate([first, second]), limit)


@pytest.mark.parametrize("censored", [(0,) * 8, (0, 0, 0, -1, 0, 0, 0, 1)], ids=["all seen", "two censored"])
def test_log_likelihood(censored):
    o = objective(censored)
    x = o.coordinates(VALUES)
    np.testing.assert_allclose(o.log_likelihoods(x), by_hand(censored), rtol=CLOSE)
    np.testing.assert_allclose(o.log_likelihood(x), by_hand(censored).sum(), rtol=CLOSE)


def test_predictions_and_residuals():
    o = objective()
    found = o.predict(o.coordinates(VALUES))
    np.testing.assert_allclose(found.prediction, [*EXPECTED, *[KIN / KOUT] * 4], rtol=CLOSE)
    np.testing.assert_allclose(found.sd, [0.3] * 8, rtol=1e-14)
    z = [*(np.log(CONCENTRATION / EXPECTED) / SIGMA), *((RESPONSE - KIN / KOUT) / 0.3)]
    np.testing.assert_allclose(o.residuals(o.coordinates(VALUES)), z, rtol=1e-6)


def test_without_run_in_the_model_starts_where_it_says():
    o = objective(settled=False)
    start = MODEL.theta[MODEL.parameter_index("R0")]
    expected = KIN / KOUT + (start - KIN / KOUT) * np.exp(-KOUT * TIMES)
    np.testing.assert_allclose(o.predict(o.coordinates(VALUES)).prediction[4:], expected, rtol=CLOSE)


def test_natural_is_the_inverse_of_coordinates():
    o = objective()
    np.testing.assert_allclose(o.natural(o.coordinates(VALUES)), VALUES, rtol=1e-14)
    np.testing.assert_allclose(o.coordinates(VALUES)[:3], [np.log(CL), np.log10(V), KOUT], rtol=1e-14)


@pytest.mark.parametrize("censored", [(0,) * 8, (0, 0, 0, -1, 0, 0, 0, 1)], ids=["all seen", "two censored"])
def test_gradients(censored):
    """Reverse and forward mode agree with each other and with central differences (their error is about 1e-8)."""
    o = dataclasses.replace(
        objective(censored),
        estimated=(*ESTIMATED[:2], dataclasses.replace(ESTIMATED[2], prior=Normal(0.5, 0.2)), *ESTIMATED[3:]),
    )
    x = np.stack([o.coordinates(VALUES), o.coordinates(VALUES * 1.1)])
    values, reverse = o.values_and_gradients(x)
    forward = o.evaluations(x)
    assert forward.ok.all()
    np.testing.assert_allclose(forward.value, values, rtol=1e-12)
    np.testing.assert_allclose(forward.gradient, reverse, rtol=1e-8, atol=1e-8)
    h = 1e-5
    steps = np.concatenate([x[:1] + h * np.eye(5), x[:1] - h * np.eye(5)])
    shifted = np.asarray(o.values(steps))
    np.testing.assert_allclose(reverse[0], (shifted[:5] - shifted[5:]) / (2 * h), rtol=1e-5, atol=1e-5)


def test_information_is_that_of_the_closed_form():
    """For log C: d/dlog CL = -k t, d/dlog10 V = ln 10 (k t - 1), over sigma; 2 per value for log sigma."""
    o = objective()
    k = CL / V
    j = np.stack([-k * TIMES, np.log(10.0) * (k * TIMES - 1)], axis=1) / SIGMA
    found = np.asarray(o.evaluate(o.coordinates(VALUES)).information)
    np.testing.assert_allclose(found[:2, :2], j.T @ j, rtol=1e-6)
    np.testing.assert_allclose(found[4, 4], 2 * 4, rtol=1e-12)
    np.testing.assert_allclose(found[4, :4], 0.0, atol=1e-12)
    d = np.array([-KIN / KOUT**2, 1 / KOUT * KIN_SLOPE]) / 0.3
    np.testing.assert_allclose(found[2:4, 2:4], 4 * np.outer(d, d), rtol=1e-6)


KIN_SLOPE = (KIN - 0.01) * (10.0 - KIN) / 9.99  # of the logit between its bounds


def test_information_of_a_censored_value():
    """That of a coin that shows how often values are beyond the limit: phi(z)^2 / (P (1 - P)) dz dz^T."""
    o = objective((0, 0, 0, -1, 0, 0, 0, 0))
    seen = objective()
    x = o.coordinates(VALUES)
    z = np.log(CONCENTRATION[3] / EXPECTED[3]) / SIGMA
    p = stats.norm.cdf(z)
    k = CL / V
    slope = np.array([-k * TIMES[3], np.log(10.0) * (k * TIMES[3] - 1)]) / SIGMA
    change = (stats.norm.pdf(z) ** 2 / (p * (1 - p)) - 1.0) * np.outer(slope, slope)
    found = np.asarray(o.evaluate(x).information - seen.evaluate(x).information)
    np.testing.assert_allclose(found[:2, :2], change, rtol=1e-6)


def test_prior_counts_on_its_scale():
    prior = LogNormal(1.0, cv=0.5)
    own = dataclasses.replace(ESTIMATED[0], prior=prior)
    o = dataclasses.replace(objective(), estimated=(own, *ESTIMATED[1:]))
    x = o.coordinates(VALUES)
    np.testing.assert_allclose(o.log_prior(x), prior.log_prob(jax.numpy.array(CL)), rtol=1e-12)
    coordinate = dataclasses.replace(own, prior=Normal(0.0, 1.0), prior_on="estimation")
    o = dataclasses.replace(objective(), estimated=(coordinate, *ESTIMATED[1:]))
    np.testing.assert_allclose(o.log_prior(x), stats.norm.logpdf(np.log(CL)), rtol=1e-12)
    np.testing.assert_allclose(o.log_posterior(x), o.log_likelihood(x) + o.log_prior(x), rtol=1e-12)


@pytest.mark.parametrize("steps", [60, 100_000], ids=["not solved", "no likelihood"])
def test_a_failing_start_changes_no_other(steps):
    """Its value is -inf, its gradient zero; the others keep theirs."""
    o = objective(integrator=AutomaticIntegrator(rtol=1e-6, atol=1e-9, max_steps=steps))
    good = o.coordinates(VALUES)
    bad = o.coordinates([100.0, 0.2, 10.0, 2.2, 0.3])  # powers of ten faster, so that there is nothing left to measure
    values, gradients = o.values_and_gradients(np.stack([good, bad, good]))
    assert np.isfinite(values[0]) and np.isneginf(values[1])
    assert values[0] == values[2]
    np.testing.assert_array_equal(gradients[1], 0.0)
    found = o.evaluations(np.stack([good, bad]))
    np.testing.assert_array_equal(found.ok, [True, False])
    np.testing.assert_array_equal(found.gradient[1], 0.0)
    np.testing.assert_allclose(found.gradient[0], gradients[0], rtol=1e-6, atol=1e-6)


def test_a_state_that_does_not_come_to_rest_fails_with_a_status_of_its_own():
    o = objective(within=1.0)
    status = o.predict(o.coordinates(VALUES)).status
    np.testing.assert_array_equal(status, [Status.NOT_STEADY] * 2)
    assert np.isneginf(o.log_likelihood(o.coordinates(VALUES)))


def test_no_second_compilation():
    o = objective()
    x = o.coordinates(VALUES)
    o.values(np.stack([x] * 3))
    with jax.log_compiles(), jax.checking_leaks():
        before = o.values._cache_size()
        o.values(np.stack([x * 1.01] * 3))
        assert o.values._cache_size() == before


def test_assigned():
    a = Assigned.of([[1.0, "b"], ["a", 2.0]], ["a", "b"])
    np.testing.assert_array_equal(a(np.array([5.0, 7.0])), [[1.0, 7.0], [5.0, 2.0]])
    np.testing.assert_array_equal(a.used, [0, 1])
    with pytest.raises(CalibrationError, match="`aa` is no number.*Did you mean `a`"):
        Assigned.of([["aa"]], ["a", "b"])
    with pytest.raises(CalibrationError, match="one shape"):
        Assigned(np.zeros((2, 2)), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scale": "ln"}, "`scale`.*one of"),
        ({"bounds": (2.0, 1.0)}, "finite and increasing"),
        ({"bounds": (0.0, 1.0)}, "positive on scale 'log'.*lin"),
        ({"value": 20.0}, "inside its bounds 0.1 to 10, but 20"),
        ({"prior_on": "log"}, "`prior_on`"),
    ],
)
def test_estimated_says_what_is_wrong(given, said):
    with pytest.raises(CalibrationError, match=said):
        Estimated("CL", **({"bounds": (0.1, 10.0)} | given))


def test_a_prediction_of_zero_is_surely_below_the_limit():
    """Before anything is given: log-normal noise has no density at zero, but the value is below any limit."""
    o = objective(censored=(-1, 0, 0, 0, 0, 0, 0, 0), doses=(LATER, None))
    x = o.coordinates(VALUES)
    each = np.asarray(o.log_likelihoods(x))
    assert each[0] == 0.0 and np.isfinite(each).all()
    above = dataclasses.replace(o, censored=np.array([1, 0, 0, 0, 0, 0, 0, 0]))
    assert np.isneginf(above.log_likelihoods(x)[0])
    gradient = o.evaluate(x)
    h = 1e-5
    shifted = np.asarray(o.values(np.concatenate([x + h * np.eye(5), x - h * np.eye(5)])))
    assert gradient.ok
    np.testing.assert_allclose(gradient.gradient, (shifted[:5] - shifted[5:]) / (2 * h), rtol=1e-5, atol=1e-5)


def test_an_early_sample_of_one_run_does_not_start_the_others():
    """A run begins at zero, or with its own first sample or dose."""
    runs = Runs.of(MODEL, [None, DOSE], [[(-3.0, False), (1.0, False)], [(0.0, True), (1.0, False)]])
    theta = np.tile(MODEL.theta, (2, 1))
    states, status = runs.states(theta, TIGHT)
    assert (np.asarray(status) == Status.OK).all()
    response = 4.0 + (0.4 - 4.0) * np.exp(-0.5 * np.array([4.0, 1.0]))
    np.testing.assert_allclose([states[0, 1, 1], states[1, 1, 1]], response, rtol=1e-8)
    np.testing.assert_allclose(states[1, 0], [0.0, 0.4])  # before the dose
    np.testing.assert_allclose(states[1, 1, 0], 100.0 * np.exp(-0.1), rtol=1e-8)


def test_a_late_first_record_shows_the_initial_values():
    """A run that a reset starts: a sample above everything else at that time is not what the engine had before it."""
    late = dataclasses.replace(LATER, resets=(1.5,))
    runs = Runs.of(MODEL, [late], [[(1.5, True), (1.5, False), (2.5, False)]])
    states, _ = runs.states(MODEL.theta[None], TIGHT)
    np.testing.assert_allclose(states[0, :2], [[0.0, 0.4], [100.0, 0.4]])
    np.testing.assert_allclose(states[0, 2, 1], 4.0 + (0.4 - 4.0) * np.exp(-0.5), rtol=1e-8)
