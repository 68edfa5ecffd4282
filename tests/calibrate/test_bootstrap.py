"""The bootstrap on linear problems, where standard errors and refits are known."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import laplace as double_exponential
from scipy.stats import t as student
from uncertainty_systems import LINE_TIMES, line, still

from qspx._errors import CalibrationError
from qspx.calibrate import bootstrap, climb
from qspx.calibrate.bootstrap import case_bootstrap, parametric_bootstrap, residual_bootstrap, standard_draws
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.noise import LaplaceNoise, LogNormalNoise, NormalNoise, StudentNoise

DESIGN = np.stack([np.ones_like(LINE_TIMES), LINE_TIMES], axis=1)


def test_parametric_standard_errors_are_those_of_the_information():
    objective, mean, covariance = line()
    found = parametric_bootstrap(objective, mean, 600, key=0, progress=False)
    assert found.ok.all() and not found.reasons
    # a standard error from 600 replicates has one of 2.9 %
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), np.sqrt(np.diag(covariance)), rtol=0.1)
    assert (np.abs(found.x.mean(axis=0) - mean) < 4 * np.sqrt(np.diag(covariance) / 600)).all()


def test_residuals_are_centred_and_widened():
    objective, mean, _ = line()
    found = residual_bootstrap(objective, mean, 600, key=1, progress=False)
    residuals = objective.value - DESIGN @ mean
    unbiased = residuals @ residuals / (len(residuals) - 2)
    expected = np.sqrt(np.diag(unbiased * np.linalg.inv(DESIGN.T @ DESIGN)))
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), expected, rtol=0.1)


def test_cases_are_refitted_with_their_weights(monkeypatch):
    objective, mean, _ = line()
    kept = []
    real = bootstrap._refitted
    monkeypatch.setattr(bootstrap, "_refitted", lambda o, x, v, w, *rest: kept.append(w) or real(o, x, v, w, *rest))
    unit = np.arange(len(objective.value)) // 3
    found = case_bootstrap(objective, mean, 40, key=2, unit=unit, progress=False)
    for x, w in zip(found.x, kept[0], strict=True):
        assert w.sum() == 9 and (w.reshape(3, 3) == w.reshape(3, 3)[:, :1]).all()
        exact = np.linalg.lstsq(DESIGN * np.sqrt(w)[:, None], objective.value * np.sqrt(w), rcond=None)[0]
        np.testing.assert_allclose(x, exact, atol=2e-3)  # fits end within 1e-3 standard errors


def test_log_normal_values_are_drawn_on_their_scale():
    objective = still(
        [Estimated("m", (0.1, 100.0))], lambda v: v[0], [2.0, 3.0, 2.5, 1.8], sd=0.3, noise=LogNormalNoise()
    )
    best = np.log(objective.value).mean()
    found = parametric_bootstrap(objective, np.array([best]), 400, key=3, progress=False)
    assert found.x.std() == pytest.approx(0.15, rel=0.12) and found.x.mean() == pytest.approx(best, abs=0.03)


def test_fits_that_fail_are_rows_of_nan_and_counted(monkeypatch):
    objective, mean, _ = line()
    real = climb.in_lanes

    def some_fail(*args):
        found = real(*args)
        return found._replace(ok=found.ok & (args[2][:, 0] < objective.value[0] + 0.5))

    monkeypatch.setattr(climb, "in_lanes", some_fail)
    found = parametric_bootstrap(objective, mean, 100, key=4, progress=False)
    assert 0 < (~found.ok).sum() < 60 and found.reasons == {"a run failed at the start": int((~found.ok).sum())}
    assert np.isnan(found.x[~found.ok]).all() and "failed (a run failed at the start)" in str(found)
    cohortless = found.to_dataframe()
    assert np.isfinite(cohortless[["median", "sd"]]).all(axis=None)
    monkeypatch.setattr(climb, "in_lanes", lambda *args: real(*args)._replace(ok=np.zeros(len(args[1]), bool)))
    with pytest.raises(CalibrationError, match="not one fit"):
        parametric_bootstrap(objective, mean, 20, key=4, progress=False)


@pytest.mark.parametrize(
    "noise, law", [(NormalNoise(), None), (LaplaceNoise(), double_exponential()), (StudentNoise(3.0), student(3.0))]
)
def test_standard_draws_follow_their_distribution(noise, law):
    from scipy.stats import kstest, norm

    drawn = standard_draws(noise, np.random.default_rng(5), (4000,))
    assert kstest(drawn, (law or norm()).cdf).pvalue > 0.01


def test_mistakes_are_named():
    objective, mean, _ = line()
    with pytest.raises(CalibrationError, match="`n` must be >= 2"):
        parametric_bootstrap(objective, mean, 1, key=0)
    with pytest.raises(CalibrationError, match="belong to one unit"):
        case_bootstrap(objective, mean, 10, key=0)
    with pytest.raises(CalibrationError, match="`unit` must name"):
        case_bootstrap(objective, mean, 10, key=0, unit=np.arange(2))
    censored = dataclasses.replace(objective, censored=np.array([-1] + [0] * 8))
    for method in (parametric_bootstrap, residual_bootstrap):
        with pytest.raises(CalibrationError, match=r"censored \(1 here\)"):
            method(censored, mean, 10, key=0)
