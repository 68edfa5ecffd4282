"""Numbers of other hands on the 600 stored patients of Rieger 2018."""

import dataclasses
import time

import numpy as np
import pytest

from qspx.vpop import MaximumEntropy
from qspx.vpop.allen import log_inclusion
from qspx.vpop.diagnostics import correlation_error, ks_distances
from qspx.vpop.laws import LogNormalLaw

SETS = ["SA", "NSA", "MH", "GA", "all", "all_within_state_bounds"]


@pytest.mark.parametrize("name", SETS)
def test_ks_distances(name, cloud, law, checks):
    values = cloud(name).values
    found = ks_distances(law, law.scores(values), np.ones(len(values)))
    known = checks["ks"][name]
    assert len(values) == known["n"]
    np.testing.assert_allclose(found, [known[k] for k in ("hdl", "ldl", "tc")], rtol=0, atol=1e-12)


@pytest.mark.parametrize("rho, kind", [(1e-3, "maxent_bins_and_moments_rho_1e-3"), (0.0, "maxent_moments_rho_0")])
@pytest.mark.parametrize("name", SETS)
def test_maximum_entropy(name, rho, kind, cloud, law, checks):
    target = law if rho else dataclasses.replace(law, bins=0)
    outputs, known = cloud(name), checks[kind][name]
    found = MaximumEntropy(ridge=rho).fit(outputs, [target], key=0)
    z = law.scores(outputs.values)
    assert found.details["converged"]
    assert found.effective_size == pytest.approx(known["ess"], rel=1e-6)
    assert found.weights.max() == pytest.approx(known["max_weight"], rel=1e-6)
    assert ks_distances(law, z, found.weights).sum() == pytest.approx(known["sum_ks"], rel=1e-6)
    assert correlation_error(law, z, found.weights) == pytest.approx(
        known["max_abs_correlation_error"], rel=1e-6, abs=1e-9
    )
    assert found.details["dual_value"] == pytest.approx(known["dual_value"], rel=1e-6)
    assert found.details["multiplier_norm"] == pytest.approx(known["lambda_norm"], rel=1e-5)


def test_inclusion_probabilities(stored, cloud, law):
    """Of each method's 150 patients among themselves; they span 300 decades, so the logarithm is compared where the
    stored probability is not denormal."""
    for name in ("SA", "NSA", "MH", "GA"):
        known = stored.loc[stored["method"] == name, "p_incl_within_method"].to_numpy()
        found = log_inclusion(law, cloud(name).values)
        large = known > 1e-290
        assert large.sum() > 100
        np.testing.assert_allclose(found[large], np.log(known[large]), rtol=0, atol=1e-9)
        assert (found[~large] < np.log(1e-289)).all()


def test_fitted_law_of_the_rows(people, law):
    """Mean and covariance of Rieger 2018 from the NHANES rows, and how far the rows are from it."""
    np.testing.assert_allclose(people.fitted.mean, law.mean, rtol=1e-12)
    np.testing.assert_allclose(people.fitted.covariance, law.covariance, rtol=1e-10)
    found = ks_distances(law, people.people, np.ones(len(people.data)))
    np.testing.assert_allclose(found, [0.0307, 0.0356, 0.0244], atol=5e-5)
    assert law.peak == pytest.approx(np.log(9.427308995123818), rel=1e-12)


def test_ten_thousand_patients_take_seconds(outputs_of, law):
    rng = np.random.default_rng(0)
    z = rng.multivariate_normal(np.zeros(3), 1.5 * law.correlation, 10_000)
    outputs = outputs_of(np.exp(law.mean + z * law.sd), law.names)
    started = time.perf_counter()
    found = MaximumEntropy().fit(outputs, [LogNormalLaw(law.names, law.mean, law.covariance, n=2942)], key=0)
    print(f"{time.perf_counter() - started:.2f} s")
    assert found.details["converged"] and not found.unreached
    assert ks_distances(law, law.scores(outputs.values), found.weights).sum() < 0.02
