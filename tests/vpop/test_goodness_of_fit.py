"""Every test of goodness of fit against SciPy's on samples without weights, weights as repetition, and closed forms."""

import numpy as np
import pytest
from scipy import stats

from qspx.vpop import (
    Bins,
    Correlation,
    CountedAbove,
    Density2D,
    Given,
    LogNormalLaw,
    Mapel,
    MaximumEntropy,
    Mean,
    MeanSd,
    PopulationError,
    Rows,
    Survival,
    VirtualPopulation,
    effective_size,
)
from qspx.vpop.comparisons import FixedCount
from qspx.vpop.composite import composite_p, hall_buckley_eagleson
from qspx.vpop.ks_tests import PlaneComparison, of_normal, of_people

N = 60
X = np.random.default_rng(0).normal(0.3, 1.2, (N, 2)) @ np.array([[1.0, 0.4], [0.0, 1.0]])


def p_of(target, x, weights=None, count=effective_size):
    w = np.ones(len(x)) if weights is None else weights
    return {s.label: s.p for s in (c(w / w.sum(), count) for c in target.comparisons(x))}


def test_composite_p_value():
    """K equal p-values of one half: the upper tail of chi-squared with 2 K degrees at 2 K ln 2; 0.5 for one."""
    assert composite_p(np.array([0.5])) == pytest.approx(0.5, abs=1e-12)
    for k in (3, 10):
        assert composite_p(np.full(k, 0.5)) == pytest.approx(stats.chi2.sf(2 * k * np.log(2), 2 * k), rel=1e-12)
        p = np.random.default_rng(k).random(k)
        assert composite_p(p) == pytest.approx(stats.combine_pvalues(p, "fisher").pvalue, rel=1e-12)
        assert composite_p(p, np.full(k, 3.7)) == pytest.approx(composite_p(p), rel=1e-12)
    with pytest.raises(PopulationError, match="`importance`.*not all zero"):
        composite_p(np.array([0.5, 0.1]), np.zeros(2))
    with pytest.raises(PopulationError, match="between 0 and 1"):
        composite_p(np.array([0.5, np.nan]))


@pytest.mark.parametrize("c", [(1.0, 2.0, 3.0), (0.5, 1.0, 1.5, 2.5, 4.0), (1.0, 10.0)])
def test_a_weighted_sum_of_chi_squared(c):
    """Sums of c_k χ²_2 are sums of exponentials of mean 2 c_k, whose tail is known when all c differ. Three matched
    cumulants leave up to 0.01 of probability (measured: 0.008 for (1, 10))."""
    c = np.array(c)
    for x in np.array([0.5, 1.0, 2.0, 3.0]) * 2 * c.sum():
        others = [np.prod([a / (a - b) for b in c if b != a]) for a in c]
        exact = float(np.dot(others, np.exp(-x / (2 * c))))
        assert hall_buckley_eagleson(x, c) == pytest.approx(exact, abs=0.01)


def test_means_and_standard_deviations_are_tested_as_in_scipy():
    x, n = X[:, :1], 25
    found = p_of(MeanSd("x", 0.0, 1.0, n=n), x)
    t = stats.ttest_ind_from_stats(x.mean(), x.std(ddof=1), N, 0.0, 1.0, n, equal_var=True)
    assert found["x: mean"] == pytest.approx(t.pvalue, rel=1e-10)
    f = stats.f(N - 1, n - 1)
    assert found["x: SD"] == pytest.approx(2 * min(f.cdf(x.var(ddof=1)), f.sf(x.var(ddof=1))), rel=1e-10)
    exact = p_of(MeanSd("x", 0.0, 1.0), x)
    many = p_of(MeanSd("x", 0.0, 1.0, n=1e9), x)
    assert exact["x: mean"] == pytest.approx(2 * stats.norm.sf(abs(x.mean()) * np.sqrt(N)), rel=1e-10)
    for label in exact:
        assert exact[label] == pytest.approx(many[label], rel=1e-6)


def test_bins_are_a_contingency_table():
    edges, shares = [-np.inf, 0.0, 1.0, np.inf], np.array([0.4, 0.35, 0.25])
    counts = np.histogram(X[:, 0], [-1e9, 0, 1, 1e9])[0]
    found = p_of(Bins("x", edges, shares, n=40), X[:, :1])["x: bins"]
    assert found == pytest.approx(stats.chi2_contingency([40 * shares, counts], correction=False).pvalue, rel=1e-10)
    exact = p_of(Bins("x", edges, shares), X[:, :1])["x: bins"]
    assert exact == pytest.approx(stats.chisquare(counts, N * shares).pvalue, rel=1e-10)
    cells = np.array([[0.2, 0.2], [0.1, 0.5]])
    target = Density2D(("x", "y"), ([-np.inf, 0, np.inf], [-np.inf, 0, np.inf]), cells, n=40)
    counts = np.histogram2d(X[:, 0], X[:, 1], [[-1e9, 0, 1e9]] * 2)[0]
    expected = stats.chi2_contingency([40 * cells.ravel(), counts.ravel()], correction=False).pvalue
    assert p_of(target, X)["x x y: cells"] == pytest.approx(expected, rel=1e-10)
    # whoever is outside all bins is where no person is
    assert p_of(Bins("x", [0.0, 1.0], [1.0], n=40), X[:, :1])["x: bins"] < 1e-5
    assert p_of(Bins("x", [0.0, 1.0], [1.0]), X[:, :1])["x: bins"] == 0.0
    assert p_of(Bins("x", [-99, 99], [1.0]), X[:, :1])["x: bins"] == 1.0


def test_distributions_are_tested_by_kolmogorov_and_smirnov():
    """Stephens' correction of the limit law, made for small p-values: within 0.02 of the exact law at these sizes, and
    within 5e-3 below 0.25."""
    people = np.exp(np.random.default_rng(1).normal(0.2, 1.0, (80, 1)))
    law = LogNormalLaw(("x",), np.array([0.2]), np.array([[1.3]]))
    y = np.exp(X[:, :1])
    one = stats.ks_1samp(X[:, 0], stats.norm(0.2, np.sqrt(1.3)).cdf)
    assert p_of(law, y)["x: distribution"] == pytest.approx(one.pvalue, abs=0.02)
    for shift in (0.3, 0.4, 0.5):
        far = stats.ks_1samp(X[:, 0] + shift, stats.norm(0.2, np.sqrt(1.3)).cdf).pvalue
        assert far < 0.25 and p_of(law, y * np.exp(shift))["x: distribution"] == pytest.approx(far, abs=5e-3)
    two = stats.ks_2samp(y[:, 0], people[:, 0], method="exact")
    found = {c.label: c(np.ones(N), effective_size) for c in Rows(("x",), people).comparisons(y)}["x: distribution"]
    assert found.achieved == pytest.approx(two.statistic, abs=1e-12)
    # two samples of different size have their steps at many places, so that the law is nearly continuous
    assert found.p == pytest.approx(two.pvalue, abs=0.02)


def brute(x, y):
    """The two-sample statistic as Fasano and Franceschini describe it, point by point."""
    worst = [0.0, 0.0]
    for k, points in enumerate((x, y)):
        for a, b in points:
            for right in (True, False):
                for up in (True, False):
                    share = [np.mean(((z[:, 0] > a) == right) & ((z[:, 1] > b) == up)) for z in (x, y)]
                    worst[k] = max(worst[k], abs(share[0] - share[1]))
    return sum(worst) / 2


def test_planes_point_by_point():
    y = np.round(np.random.default_rng(2).normal(size=(45, 2)), 1)  # with ties
    x = np.round(X, 1)
    found = PlaneComparison("p", x, y, of_people(y), 0.0, 45.0)(np.ones(N), effective_size)
    assert found.achieved == pytest.approx(brute(x, y), abs=1e-12)
    root, r = np.sqrt(N * 45 / (N + 45)), np.corrcoef(x.T)[0, 1]
    spread = np.sqrt(1 - r**2 / 2)
    expected = stats.kstwobign.sf(root * found.achieved / (1 + spread * (0.25 - 0.75 / root)))
    assert found.p == pytest.approx(expected, rel=1e-9)


def test_quadrants_of_a_normal_law():
    at = np.array([[0.5, -0.2], [-1.0, -1.5], [0.0, 0.3], [1.2, 0.0], [-0.7, 2.0], [0.0, 0.0]])
    for rho in (-0.6, 0.0, 0.914):
        corner, right, up = of_normal(rho)(at)
        law = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]])
        np.testing.assert_allclose(corner, [law.cdf(-z) for z in at], atol=1e-8)
        np.testing.assert_allclose(right, stats.norm.sf(at[:, 0]), atol=1e-12)
        np.testing.assert_allclose(up, stats.norm.sf(at[:, 1]), atol=1e-12)


def test_planes_of_the_same_law_are_rarely_told_apart():
    """Under the null, p-values below 0.1 come about as often as they should (the approximation errs to the safe side),
    and another correlation is seen though both margins are right."""
    rng, law = np.random.default_rng(3), LogNormalLaw(("x", "y"), np.zeros(2), np.array([[1.0, 0.5], [0.5, 1.0]]))
    factor = np.linalg.cholesky(law.correlation).T
    label = "x x y: distribution"
    p = np.array([p_of(law, np.exp(rng.normal(size=(150, 2)) @ factor))[label] for _ in range(120)])
    assert 0.0 < (p < 0.1).mean() < 0.2
    assert p_of(law, np.exp(rng.normal(size=(400, 2))))[label] < 0.01


def test_correlations_are_compared_by_fishers_z():
    rho, n = 0.1, 50
    target = Correlation(("x", "y"), rho, (0.3, 0.4), (1.2, 1.3), n=n)
    z = np.arctanh(np.corrcoef(X.T)[0, 1]) - np.arctanh(rho)
    expected = 2 * stats.norm.sf(abs(z) / np.sqrt(1 / (N - 3) + 1 / (n - 3)))
    assert p_of(target, X)["correlation of x and y"] == pytest.approx(expected, rel=1e-10)


def test_weights_are_repetition():
    """Patients of weight k/30 and 30 patients, repeated, are one population when both count for as many."""
    times = np.random.default_rng(5).integers(0, 4, N)
    rows = np.repeat(X, times, axis=0)
    law = Rows(("x", "y"), np.exp(np.random.default_rng(6).normal(0.2, 1.1, (70, 2))))
    targets = [
        (law, np.exp),
        (Bins("x", [-np.inf, 0, np.inf], [0.4, 0.6], n=30), lambda x: x[:, :1]),
        (Correlation(("x", "y"), 0.2, (0, 0), (1, 1), n=30), lambda x: x),
        (Survival("x", [0.0, 1.0], [0.6, 0.2], n=30), lambda x: x[:, :1]),
    ]
    for target, of in targets:
        a = p_of(target, of(X), times.astype(float), FixedCount(50.0))
        b = p_of(target, of(rows), None, FixedCount(50.0))
        for label in a:
            assert a[label] == pytest.approx(b[label], rel=1e-9), label


def test_a_target_without_a_test_of_its_own_is_tested_by_wald(outputs_of):
    """One mean: the square of a z score."""
    x = X[:, :1]
    found = p_of(Mean("x", 0.0, error=0.2), x)["x: mean"]
    assert found == pytest.approx(2 * stats.norm.sf(abs(x.mean()) / np.sqrt(x.var() / N + 0.04)), rel=1e-8)
    # a feature that does not vary must be met as it is
    target = Survival("x", [50.0], [0.4])
    assert p_of(target, x) == {"x: beyond 50": 0.0}


def test_table_and_composite_of_any_population(outputs_of):
    outputs = outputs_of(X, ["x", "y"])
    targets = [MeanSd("x", 0.3, 1.1, n=40), Bins("y", [-np.inf, 0.4, np.inf], [0.5, 0.5], n=40)]
    equal = VirtualPopulation(outputs, np.ones(N), tuple(targets))
    fitted = MaximumEntropy().fit(outputs, targets, key=0)
    before, after = equal.goodness_of_fit(), fitted.goodness_of_fit()
    assert after.composite_p > before.composite_p
    table = after.table()
    assert list(table["label"]) == ["x: mean", "x: SD", "y: bins"]
    assert list(table["test"]) == ["t", "F", "chi-squared"]
    np.testing.assert_allclose(table["patients"], fitted.effective_size)
    np.testing.assert_allclose(table["people"], 40.0)
    only = fitted.goodness_of_fit(importance={"x: SD": 0.0, "y: bins": 0.0})
    assert only.composite_p == pytest.approx(table["p"][0], rel=1e-10)
    assert "of 3 tests, least" in str(after)
    many = fitted.goodness_of_fit(count=CountedAbove(1e-6))
    assert many.table()["patients"].tolist() == [60.0] * 3
    with pytest.raises(PopulationError, match="`y: bin`.*Did you mean `y: bins`"):
        fitted.goodness_of_fit(importance={"y: bin": 1.0})
    with pytest.raises(PopulationError, match="at least one target"):
        VirtualPopulation(outputs, np.ones(N)).goodness_of_fit()


def test_a_subgroup_is_tested_among_its_own(outputs_of):
    group = Given(MeanSd("x", 0.5, 1.0, n=20), "y", (0.0, np.inf), share=0.6, n=30)
    found = p_of(group, X[:, ::-1])  # columns: y, x
    inside = X[X[:, 1] >= 0, :1]
    alone = p_of(MeanSd("x", 0.5, 1.0, n=20), inside)
    assert found["x: mean | y in [0, inf)"] == pytest.approx(alone["x: mean"], rel=1e-10)
    counts = [len(inside), N - len(inside)]
    expected = stats.chi2_contingency([[18, 12], counts], correction=False).pvalue
    assert found["share of y in [0, inf)"] == pytest.approx(expected, rel=1e-10)
    empty = p_of(group, X[:, ::-1], (X[:, 1] < 0).astype(float))
    assert empty["x: mean | y in [0, inf)"] == 0.0
    # a fixed number of patients is shared out
    fixed = {c.label: c(np.full(N, 1 / N), FixedCount(200.0)) for c in group.comparisons(X[:, ::-1])}
    assert fixed["x: mean | y in [0, inf)"].patients == pytest.approx(200 * len(inside) / N)


def test_mapel_in_angles():
    from qspx.vpop.mapel import angles_of, shares_at

    shares = np.random.default_rng(0).dirichlet(np.ones(5), 7)
    shares[0] = [0, 0, 1, 0, 0]
    np.testing.assert_allclose(shares_at(angles_of(shares)), shares, atol=1e-12)
    angles = np.random.default_rng(1).uniform(0, np.pi / 2, (50, 4))
    np.testing.assert_allclose(shares_at(angles).sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(angles_of(shares_at(angles)), angles, atol=1e-9)


def test_ensemble_of_mapel(outputs_of):
    """Accepted are those with a large composite p-value, which that of the population itself says again."""
    rng = np.random.default_rng(0)
    outputs = outputs_of(np.exp(rng.normal(0, 1.3, (250, 2))), ["x", "y"])
    targets = [MeanSd("x", 0.2, 1.1, n=60, log=True), MeanSd("y", -0.1, 1.2, n=60, log=True)]
    method = Mapel(bins=3, restarts=4, iterations=25, patients=100.0, accept=0.5)
    found = method.ensemble(outputs, targets, key=0)
    best = method.fit(outputs, targets, key=0)
    assert 1 <= len(found) == best.details["accepted"] <= 4 == len(best.details["starts"])
    np.testing.assert_array_equal(found[0].weights, best.weights)
    for one in found:
        again = one.goodness_of_fit(count=lambda w: 100.0)
        assert again.composite_p == pytest.approx(one.details["composite_p"], rel=1e-9) and again.composite_p >= 0.5
    assert Mapel(bins=3, restarts=1, iterations=2, accept=1.1).ensemble(outputs, targets, key=0) == ()
    with pytest.raises(PopulationError, match="`bins` >= 2"):
        Mapel(bins=1)
