"""Laplace's approximation and NUTS on posteriors that are known."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from uncertainty_systems import line, ratio, still

import qspx
from qspx._errors import CalibrationError, ConfigError
from qspx.calibrate.draws import Draws
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.laplace import laplace
from qspx.calibrate.posterior import Posterior, sample_posterior


def test_laplace_is_exact_for_a_line():
    objective, mean, covariance = line()
    found = laplace(objective, mean)
    draws = found.sample(1, 4000)
    assert found.inside == 1.0 and len(draws) == 4000 and draws.ok.all()
    assert (np.abs(draws.x.mean(axis=0) - mean) < 4 * np.sqrt(np.diag(covariance) / 4000)).all()
    np.testing.assert_allclose(draws.covariance, covariance, rtol=0.1)  # four standard errors of a variance
    # evidence of a linear model under a uniform prior over a box that holds all of it
    n, sd = len(objective.value), 0.5
    best = float(objective.log_likelihood(mean))
    assert best == pytest.approx(norm(np.asarray(objective.predict(mean).prediction), sd).logpdf(objective.value).sum())
    exact = best + math.log(2 * math.pi) + 0.5 * math.log(np.linalg.det(covariance)) - 2 * math.log(100.0)
    assert n == 9 and found.log_evidence == pytest.approx(exact, rel=1e-9)


def test_laplace_is_cut_off_at_the_bounds():
    """A standard error of 0.25 around the lower bound plus 0.25: Φ(1) of it is inside."""
    objective = still([Estimated("m", (0.75, 9.0), scale="lin")], lambda v: v[0], [1.0] * 4)
    found = laplace(objective, np.array([1.0]))
    assert found.inside == pytest.approx(norm.cdf(1.0), abs=0.01)
    assert found.sample(0, 1000).x.min() >= 0.75
    with pytest.raises(CalibrationError, match="`n` must be"):
        found.sample(0, 0)


def test_no_normal_approximation_of_a_flat_direction():
    with pytest.raises(CalibrationError, match="kf, kr are not identifiable"):
        laplace(ratio(), np.log([2.0, 1.0]))


def sampled(*args, **options):
    pytest.importorskip("blackjax", reason="needs the extra bayes")
    pytest.importorskip("arviz_stats", reason="needs the extra bayes")
    return sample_posterior(*args, progress=False, **options)


def test_nuts_on_a_line():
    objective, mean, covariance = line()
    found = sampled(objective, mean, key=0, draws=700, warmup=200)
    assert found.verdict == "converged" and found.divergences == 0 and not found.at_edge
    sd = np.sqrt(np.diag(covariance))
    # with an effective size near 1,500 the mean has a standard error of 2.6 % of sd, and sd one of 1.8 %
    np.testing.assert_allclose(found.draws.x.mean(axis=0), mean, atol=0.1 * sd.min())
    np.testing.assert_allclose(found.draws.x.std(axis=0), sd, rtol=0.06)
    assert np.corrcoef(found.draws.x.T)[0, 1] == pytest.approx(covariance[0, 1] / sd.prod(), abs=0.03)
    assert found.tree["posterior"]["slope"].shape == (4, 700)
    assert set(found.tree["sample_stats"].data_vars) >= {"lp", "diverging", "acceptance_rate", "energy"}
    assert "NO PRIOR was given for intercept, slope" in str(found)


def exact_moments(log_density, box, points=801):
    """Means and standard deviations of two coordinates by quadrature over their box."""
    a, b = (np.linspace(*edge, points) for edge in box)
    density = log_density(a[:, None], b[None, :])
    density = np.exp(density - density.max())
    density /= density.sum()
    found = []
    for values, p in ((a, density.sum(axis=1)), (b, density.sum(axis=0))):
        mean = p @ values
        found.append((mean, math.sqrt(p @ (values - mean) ** 2)))
    return np.array(found)


@pytest.mark.slow
def test_nuts_on_a_product_with_a_prior_on_one_factor():
    """log a + log b is measured, a has a log-normal prior as a density of a itself, b none: quadrature."""
    bounds = (math.exp(-2.0), math.exp(2.0))
    estimated = [Estimated("a", bounds, prior=qspx.LogNormal.from_omega(1.3, 0.5)), Estimated("b", bounds)]
    objective = still(estimated, lambda v: v[0] * v[1], [1.4, 1.6], sd=0.3)

    def log_density(a, b):
        likelihood = sum(-0.5 * ((y - np.exp(a + b)) / 0.3) ** 2 for y in (1.4, 1.6))
        return likelihood - 0.5 * ((a - math.log(1.3)) / 0.5) ** 2

    exact = exact_moments(log_density, [(-2, 2), (-2, 2)])
    found = sampled(objective, np.log([1.3, 1.15]), key=1, draws=700, warmup=300)
    assert found.flat_priors == ("b",)
    np.testing.assert_allclose(found.draws.x.mean(axis=0), exact[:, 0], atol=0.1 * exact[:, 1].min())
    np.testing.assert_allclose(found.draws.x.std(axis=0), exact[:, 1], rtol=0.08)


def test_nuts_fills_the_box_along_what_is_not_identifiable_and_says_so():
    bounds = (math.exp(-1.0), math.e)
    objective = still([Estimated("a", bounds), Estimated("b", bounds)], lambda v: v[0] * v[1], [1.0], sd=0.2)
    exact = exact_moments(lambda a, b: -0.5 * ((1.0 - np.exp(a + b)) / 0.2) ** 2, [(-1, 1), (-1, 1)])
    found = sampled(objective, np.zeros(2), key=2, draws=700, warmup=300)
    assert found.at_edge == ("a", "b") and "The bounds limit a, b" in str(found)
    np.testing.assert_allclose(found.draws.x.mean(axis=0), exact[:, 0], atol=0.15 * exact[:, 1].min())
    np.testing.assert_allclose(found.draws.x.std(axis=0), exact[:, 1], rtol=0.1)


def test_what_keeps_draws_from_being_called_converged():
    objective, mean, covariance = line()
    x = mean + np.random.default_rng(0).normal(size=(80, 2)) @ np.linalg.cholesky(covariance).T
    draws = Draws(objective, x, "made up")
    table = pd.DataFrame({"parameter": objective.names, "rhat": [1.0, 1.0], "ess_bulk": [900.0, 900.0]})
    assert Posterior(draws, 4, None, table, 0).converged
    assert Posterior(draws, 4, None, table, 1).verdict == "not converged: 1 of 80 trajectories diverged"
    table.loc[1, ["rhat", "ess_bulk"]] = [1.05, 70.0]
    said = "not converged: R-hat of slope is 1.050, not below 1.01; effective sample size of slope is 70, not above 400"
    assert Posterior(draws, 4, None, table, 0).verdict == said
    table["rhat"] = np.nan
    assert "R-hat of intercept is nan" in Posterior(draws, 4, None, table, 0).verdict


def test_without_the_extra_the_error_names_it(monkeypatch):
    import builtins

    real = builtins.__import__

    def absent(name, *args, **options):
        if name == "blackjax":
            raise ImportError("No module named 'blackjax'", name="blackjax")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    objective, mean, _ = line()
    with pytest.raises(ConfigError, match=r"qspx\[bayes\]"):
        sample_posterior(objective, mean, key=0)
    with pytest.raises(CalibrationError, match="`chains`"):
        sample_posterior(objective, mean, key=0, chains=1)
