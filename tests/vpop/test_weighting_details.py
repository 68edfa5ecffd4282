"""Each weighting against what is known of it: optimality conditions, closed forms, duals."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from qspx.vpop import (
    AcceptanceRejection,
    Bins,
    Correlation,
    Density2D,
    DirectWeights,
    LogNormalLaw,
    MaximumEntropy,
    MeanSd,
    PopulationError,
    QuadraticProgramme,
    Quantiles,
    Rows,
    Survival,
    systematic,
)
from qspx.vpop.allen import selection_ks
from qspx.vpop.density_ratio import smoothed
from qspx.vpop.diagnostics import (
    chain_size,
    effective_size,
    energy_distance,
    energy_noise_floor,
    ks_distances,
    ks_noise_floor,
    lag_one,
)
from qspx.vpop.quadratic import least_squares


def test_a_normal_cloud_is_tilted_exactly(outputs_of):
    """The maximum-entropy weights that move the mean of exp(lambda x) families: lambda solves a scalar equation."""
    x = np.random.default_rng(0).normal(size=500)
    outputs = outputs_of(x[:, None], ["x"])
    found = MaximumEntropy(ridge=0.0).fit(outputs, [MeanSd("x", 0.5, 1.0)], key=0)
    first, second = found.details["multipliers"].values()
    z = x - 0.5
    w = np.exp(first * z + second * z**2)
    np.testing.assert_allclose(found.weights, w / w.sum(), rtol=1e-10)
    assert found.weights @ x == pytest.approx(0.5, abs=1e-10)
    assert found.weights @ z**2 == pytest.approx(1.0, abs=1e-10)


def test_a_small_sample_is_matched_less_closely(outputs_of):
    """KL + 1/2 (b - Aw)' S^-1 (b - Aw): the dual's optimum is that of the primal problem."""
    x = np.random.default_rng(0).normal(size=40)
    outputs = outputs_of(x[:, None], ["x"])
    target = MeanSd("x", 1.0, 1.0, n=4)
    found = MaximumEntropy(ridge=0.0).fit(outputs, [target], key=0)
    f = target.features(x[:, None])

    def primal(logits):
        w = np.exp(logits - logits.max())
        w = w / w.sum()
        miss = w @ f.matrix - f.target
        return (w * np.log(np.maximum(w, 1e-300) * 40)).sum() + 0.5 * miss @ np.linalg.solve(f.covariance, miss)

    best = minimize(primal, np.zeros(40), method="BFGS", options={"gtol": 1e-9})
    assert primal(np.log(found.weights)) <= best.fun + 1e-10
    assert found.weights @ x < 1.0 < 40
    assert not found.unreached


def test_bins_without_patients_are_named(outputs_of):
    x = np.random.default_rng(0).uniform(0, 1, (300, 1))
    target = Bins("x", [0.0, 0.5, 1.0, 1.5], [0.4, 0.4, 0.2])
    found = MaximumEntropy().fit(outputs_of(x, ["x"]), [target], key=0)
    assert found.details["unsupported"] == ["x in [1, 1.5)"]
    assert "x in [1, 1.5)" in found.unreached


def test_optimality_of_the_quadratic_programme(rng=None):
    """Karush, Kuhn, Tucker: the reduced gradient is zero where a weight is free and has the right sign on bounds."""
    rng = np.random.default_rng(0)
    x, y, s = rng.normal(size=(200, 4)), np.array([0.5, -0.3, 0.8, 0.0]), np.array([0.1, 0.2, 0.1, 1e-3])
    epsilon, cap = 1e-3, 0.02
    w = least_squares(x, y, s, epsilon, cap).weights
    gradient = x @ ((x.T @ w - y) / s) + epsilon * len(x) * w
    free = (w > 0) & (w < cap)
    level = gradient[free].mean()
    assert w.sum() == pytest.approx(1.0, abs=1e-10) and 0 <= w.min() and w.max() <= cap
    assert 10 < free.sum() < 190
    np.testing.assert_allclose(gradient[free], level, atol=1e-8)
    assert (gradient[w == 0] >= level - 1e-8).all() and (gradient[w == cap] <= level + 1e-8).all()


def test_no_weight_above_a_twentieth(outputs_of):
    outputs = outputs_of(np.random.default_rng(0).normal(size=(100, 1)), ["x"])
    found = QuadraticProgramme(least=20).fit(outputs, [MeanSd("x", 2.0, 0.3)], key=0)
    assert found.weights.max() <= 0.05 + 1e-12
    assert found.unreached
    with pytest.raises(PopulationError, match="1/200"):
        QuadraticProgramme(least=200).fit(outputs, [MeanSd("x", 0.0, 1.0)], key=0)


def test_floor_under_the_effective_number(outputs_of):
    outputs = outputs_of(np.random.default_rng(0).normal(size=(400, 1)), ["x"])
    sizes = [DirectWeights(floor=f).fit(outputs, [MeanSd("x", 1.5, 0.5)], key=0).effective_size for f in (60, 200)]
    assert sizes[0] >= 59.9 and sizes[1] == pytest.approx(200, rel=1e-3)


def test_selection_ks_is_the_one_sample_distance():
    z = np.random.default_rng(0).normal(size=(60, 2))
    masks = np.random.default_rng(1).random((4, 60)) < 0.4
    masks[3] = False
    found = selection_ks(z)(masks)
    for k in range(3):
        expected = sum(stats.ks_1samp(z[masks[k], j], stats.norm.cdf).statistic for j in range(2))
        assert found[k] == pytest.approx(expected, abs=1e-14)
    assert found[3] == 2.0


def test_best_of_is_charged(outputs_of):
    z = np.random.default_rng(0).normal(size=(400, 2)) * 1.3
    law = LogNormalLaw(("a", "b"), np.zeros(2), np.eye(2))
    found = AcceptanceRejection(iterations=50).fit(outputs_of(np.exp(z), ["a", "b"]), [law], key=0)
    assert found.details["ks_best"] < found.details["ks_median"]
    picked = found.weights > 0
    np.testing.assert_allclose(ks_distances(law, z, found.weights).sum(), found.details["ks_best"], atol=1e-12)
    np.testing.assert_allclose(found.weights[picked], 1 / picked.sum())


def test_ks_between_samples_is_scipys():
    rng = np.random.default_rng(0)
    people = np.round(np.exp(rng.normal(3, 0.3, (90, 1))))
    z = np.exp(rng.normal(3, 0.4, (70, 1)))
    rows = Rows(("x",), people)
    found = ks_distances(rows, rows.scores(z), np.ones(70))
    assert found[0] == pytest.approx(stats.ks_2samp(z[:, 0], people[:, 0]).statistic, abs=1e-12)


def test_energy_distance_of_normals():
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| for N(0,1) and N(d,1): closed form with the folded normal."""
    d = 1.0
    folded = 2 / np.sqrt(np.pi) * np.exp(-(d**2) / 4) + d * (1 - 2 * stats.norm.cdf(-d / np.sqrt(2)))
    expected = 2 * folded - 4 / np.sqrt(np.pi)
    x = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)[:, None]
    assert energy_distance(x, np.ones(2000), x + d) == pytest.approx(expected, rel=5e-3)
    # weights stand for repetition: N(d, 1) is N(0, 1) weighted by exp(d x)
    assert abs(energy_distance(x, np.exp(d * x[:, 0]), x + d)) < 5e-3


def test_energy_distance_does_not_reward_few_patients(outputs_of):
    """Weights that sit on a dozen of 50 patients, fitted to the people: never negative (less the own distances of a
    sample it was -0.09 here), and not nearer than the same number of draws of the people by more than fitting does."""
    law = LogNormalLaw(("a", "b"), np.zeros(2), np.eye(2))
    found = []
    for seed in range(8):
        z = np.random.default_rng(seed).normal(0.8, 1.0, (50, 2))
        vpop = MaximumEntropy().fit(outputs_of(np.exp(z), ["a", "b"]), [law], key=0)
        found.append(vpop.diagnostics(law))
    assert np.mean([f["effective_size"] for f in found]) < 25
    assert min(f["energy"] for f in found) > 0.0 and np.mean([f["energy"] for f in found]) > 0.02


def test_the_noise_of_energy_distances_is_that_of_samples():
    """Mean over 200 samples with uneven weights against the closed form; standard error 3 %. The same points: zero."""
    rng = np.random.default_rng(0)
    w = rng.exponential(size=40)
    people = rng.normal(size=(200, 300, 2))
    found = [energy_distance(rng.normal(size=(40, 2)), w, y) for y in people]
    assert np.mean(found) == pytest.approx(np.mean([energy_noise_floor(w, y) for y in people[:20]]), rel=0.1)
    assert energy_distance(people[0], np.ones(300), people[0]) == pytest.approx(0.0, abs=1e-12)


def test_sizes():
    assert effective_size(np.array([0.5, 0.5, 0.0])) == pytest.approx(2.0)
    assert ks_noise_floor(2330, 3) == pytest.approx(0.054, abs=5e-4)
    # an autoregressive chain of order one is worth n (1 - rho) / (1 + rho)
    rng, rho, n = np.random.default_rng(0), 0.9, 20_000
    x = np.zeros(n)
    noise = rng.normal(size=n)
    for i in range(1, n):
        x[i] = rho * x[i - 1] + noise[i]
    assert chain_size(x[:, None]) == pytest.approx(n * (1 - rho) / (1 + rho), rel=0.2)
    assert lag_one(x[:, None])[0] == pytest.approx(rho, abs=0.02)


def test_heavy_tails_are_seen():
    """Ratios of N(0, 1) over N(0, s²): the tail's shape is above 0.7 where the patients are too narrow."""
    rng = np.random.default_rng(0)
    for sd, covered in ((1.5, True), (0.2, False)):
        x = rng.normal(0, sd, 4000)
        weights, shape = smoothed(-0.5 * x**2 + 0.5 * (x / sd) ** 2)
        assert (shape < 0.7) == covered
        assert np.isfinite(weights).all() and (weights >= 0).all()


def test_systematic_resampling():
    w = np.array([0.1, 0.0, 0.6, 0.3])
    counts = np.bincount(systematic(w, 10, 3), minlength=4)
    assert list(counts) == [1, 0, 6, 3]
    for seed in range(5):
        counts = np.bincount(systematic(w, 7, seed), minlength=4)
        assert (np.abs(counts - 7 * w) < 1).all() and counts[1] == 0


def test_every_kind_of_target_is_reached_together(outputs_of):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 3))
    x[:, 2] = rng.exponential(12.0, 3000)
    outputs = outputs_of(x, ["a", "b", "event"])
    targets = [
        MeanSd("a", 0.2, 0.9, n=100),
        MeanSd("b", 0.0, 1.0, n=100),
        Quantiles("b", [0.25, 0.5, 0.75], [-0.6, 0.1, 0.7], n=100),
        Correlation(("a", "b"), 0.4, (0.2, 0.0), (0.9, 1.0), n=100),
        Density2D(("a", "b"), ([-np.inf, 0, np.inf], [-np.inf, 0, np.inf]), np.array([[0.26, 0.16], [0.2, 0.38]])),
        Survival("event", [5.0, 10.0, 20.0], [0.6, 0.35, 0.1], n=100),
    ]
    found = MaximumEntropy().fit(outputs, targets, key=0)
    assert not found.unreached and found.details["converged"]
    assert found.weights @ (x[:, 2] >= 10.0) == pytest.approx(0.35, abs=0.02)
    assert found.effective_size > 1000


def test_tied_quantiles_are_merged():
    target = Quantiles("a", [0.1, 0.2, 0.5], [1.0, 1.0, 2.0])
    np.testing.assert_allclose(target.shares, [0.2, 0.3, 0.5])
    with pytest.raises(PopulationError, match="increase"):
        Quantiles("a", [0.5, 0.2], [1.0, 2.0])
    with pytest.raises(PopulationError, match="tied"):
        Bins("a", [0.0, 1.0, 1.0], [0.5, 0.5])


def test_what_matching_costs_a_perfect_model(outputs_of):
    """Self-target control: patients drawn from the target itself. Matching K features exactly makes weights vary by K/N
    (chi-squared of K degrees over N; to first order), so that N / (1 + K/N) are effective: fewer with every marginal.
    The sum's standard deviation, sqrt(2 K)/N, is below 7e-3 here."""
    n, edges = 2000, np.concatenate([[-np.inf], stats.norm.ppf(np.arange(1, 10) / 10), [np.inf]])
    x = np.random.default_rng(0).normal(size=(n, 10))
    names = [f"x{j}" for j in range(10)]
    shares = []
    for outputs in (1, 3, 10):
        targets = [Bins(name, edges, np.full(10, 0.1)) for name in names[:outputs]]
        found = MaximumEntropy().fit(outputs_of(x, names), targets, key=0)
        assert not found.unreached
        shares.append(found.effective_size / n)
        assert shares[-1] == pytest.approx(1 / (1 + 9 * outputs / n), abs=0.02)
    assert shares == sorted(shares, reverse=True)


def test_two_outputs_that_are_nearly_one_and_disagree(outputs_of):
    """Means 0 and 0.5 of outputs that differ by 1e-3: no weights do both. That is said, not "converged and fits"."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 1)) + 1e-3 * rng.normal(size=(500, 2))
    targets = [MeanSd("x", 0.0, 1.0, n=100), MeanSd("y", 0.5, 1.0, n=100)]
    found = MaximumEntropy().fit(outputs_of(x, ["x", "y"]), targets, key=0)
    assert np.isfinite(found.weights).all() and found.effective_size > 1
    assert found.goodness_of_fit().composite_p < 0.05 or found.unreached
    least = DirectWeights(floor=200).fit(outputs_of(x, ["x", "y"]), targets, key=0)
    assert least.weights @ x[:, 0] == pytest.approx(0.25, abs=0.03)
    assert least.goodness_of_fit().composite_p < 0.1
