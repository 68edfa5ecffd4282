"""Intervals of populations whose target is a sample: closed forms."""

import numpy as np
import pytest
from scipy.stats import norm

from qspx.vpop import (
    Bins,
    Correlation,
    LogNormalLaw,
    MaximumEntropy,
    MeanSd,
    PopulationError,
    Rows,
    VirtualPopulation,
    ensemble,
)

N = 50  # people behind the target


@pytest.fixture(scope="module")
def cloud(outputs_of):
    """Twice as wide as the target, on normal quantiles."""
    x = norm.ppf((np.arange(2000) + 0.5) / 2000)
    return outputs_of(np.stack([2.0 * x, np.exp(x)], axis=1), ("y", "z"))


@pytest.fixture(scope="module")
def found(cloud):
    population = MaximumEntropy().fit(cloud, [MeanSd("y", 0.5, 1.0, n=N)], key=0)
    return ensemble(population, MaximumEntropy(), key=1, n=400)


def test_the_mean_has_the_standard_error_of_the_sample(found, cloud):
    """sd/sqrt(n); of 400 replicates the standard error is known within 3.5 %, so an end of the interval within 10 %."""
    y = cloud.values[:, 0]
    means = found.weights @ y
    assert means.std() == pytest.approx(1 / np.sqrt(N), rel=0.12)
    value, low, high = found.mean(y, level=0.9)
    assert value == pytest.approx(0.5, abs=0.02)
    assert high - low == pytest.approx(2 * 1.645 / np.sqrt(N), rel=0.15)
    assert len(found) == 400 and not found.failed
    np.testing.assert_allclose(found.weights.sum(axis=1), 1.0, rtol=1e-12)


def test_a_percentile_of_a_normal_population(found, cloud):
    """mean + 1.2816 sd: variance 1/n + 1.2816² 2/(4n), from the mean and from the second moment, 2/n, of it half the
    square root's slope each."""
    y = cloud.values[:, 0]
    z = norm.ppf(0.9)
    value, low, high = found.percentile(y, 0.9, level=0.68)
    assert value == pytest.approx(0.5 + z, abs=0.04)
    assert (high - low) / 2 == pytest.approx(np.sqrt((1 + z**2 / 2) / N), rel=0.2)
    share = found.mean(y < 0.5)
    assert share.low < 0.5 < share.high and share.value == pytest.approx(0.5, abs=0.01)


def test_percentiles_that_are_too_fine_are_refused(found, cloud):
    y = cloud.values[:, 0]
    size = min(found.population.effective_size, np.median(found.effective_sizes))
    assert found.finest == pytest.approx(10 / size) and 800 < size < 2000
    with pytest.raises(PopulationError, match="finer than .* effective patients support.*coarser"):
        found.percentile(y, 0.999)
    table = found.table(y, [0.5, 0.95, 0.001])
    assert table["supported"].tolist() == [True, True, False] and np.isnan(table["value"][2])
    assert (table["low"] <= table["value"])[:2].all() and (table["value"] <= table["high"])[:2].all()
    with pytest.raises(PopulationError, match="0.95 is the 95th"):
        found.percentile(y, 95)


def test_rows_are_drawn_with_replacement(cloud):
    """Bootstrap of the rows: the mean of the logarithm scatters by their sd over the root of their number."""
    rows = np.exp(np.random.default_rng(0).normal(0.3, 0.6, (80, 1)))
    population = MaximumEntropy().fit(cloud, [Rows(("z",), rows, bins=4)], key=0)
    again = ensemble(population, MaximumEntropy(), key=3, n=200)
    means = again.weights @ np.log(cloud.values[:, 1])
    assert means.std() == pytest.approx(np.log(rows).std() / np.sqrt(80), rel=0.2)
    assert means.mean() == pytest.approx(np.log(rows).mean(), abs=0.02)


def test_every_summary_is_drawn_from_its_covariance(cloud):
    """Shares scatter as multinomial ones do; targets side by side are independent."""
    shares = np.array([0.3, 0.5, 0.2])
    targets = [
        Bins("y", [-np.inf, -0.5, 1.0, np.inf], shares, n=200),
        MeanSd("z", 0.0, 1.0, n=1000, log=True),
    ]
    population = MaximumEntropy().fit(cloud, targets, key=0)
    again = ensemble(population, MaximumEntropy(), key=5, n=300)
    drawn = again.weights @ (cloud.values[:, :1] < -0.5)
    assert drawn.mean() == pytest.approx(0.3, abs=0.02)
    assert drawn.std() == pytest.approx(np.sqrt(0.3 * 0.7 / 200), rel=0.4)  # the second target pulls on it too
    law = LogNormalLaw(("z",), np.array([0.1]), np.array([[0.8]]), n=60)
    one = ensemble(MaximumEntropy().fit(cloud, [law], key=0), MaximumEntropy(), key=2, n=100)
    means = one.weights @ np.log(cloud.values[:, 1])
    assert means.std() == pytest.approx(np.sqrt(0.8 / 60), rel=0.25)


def test_same_key_same_ensemble(found, cloud):
    again = ensemble(found.population, MaximumEntropy(), key=1, n=3)
    np.testing.assert_array_equal(again.weights, found.weights[:3])


def test_what_cannot_be_done_is_an_error(found, cloud):
    known = MaximumEntropy().fit(cloud, [MeanSd("y", 0.5, 1.0)], key=0)
    with pytest.raises(PopulationError, match="no sample size.*give its `n`"):
        ensemble(known, MaximumEntropy(), key=0)
    pair = Correlation(("y", "z"), 0.5, (0.0, 1.0), (1.0, 1.0))
    with pytest.raises(PopulationError, match="Correlation of"):
        ensemble(MaximumEntropy().fit(cloud, [pair], key=0), MaximumEntropy(), key=0)
    with pytest.raises(PopulationError, match="no targets"):
        ensemble(VirtualPopulation(cloud, np.ones(2000)), MaximumEntropy(), key=0)
    with pytest.raises(PopulationError, match="`n` must be"):
        ensemble(found.population, MaximumEntropy(), key=0, n=1)
    lost = cloud.values[:, 0].copy()
    lost[7] = np.nan
    with pytest.raises(PopulationError, match="1 patients with a weight"):
        found.mean(lost)
    with pytest.raises(PopulationError, match="2000 patients"):
        found.mean(np.ones(3))


def test_endpoints_may_be_infinite(found, cloud):
    """A dose that no level reaches: percentiles below it stand."""
    y = cloud.values[:, 0]
    dose = np.where(y > 1.5, np.inf, y)
    assert found.percentile(dose, 0.5) == found.percentile(y, 0.5)
    assert found.percentile(dose, 0.95).value == np.inf
