"""Prediction errors and predictive checks, at the truth: normal measurements have them in closed form."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from population_systems import lines
from scipy.stats import kstest, norm

from qspx._errors import CalibrationError
from qspx.nlme import (
    FO,
    Laplace,
    PopulationFit,
    PopulationObjective,
    npde,
    visual_predictive_check,
    write_results,
)
from qspx.nlme.search import Search

OMEGA, SD, TIMES = np.array([[0.64, 0.12], [0.12, 0.09]]), 0.4, np.array([0.0, 1.0, 2.5, 4.0])
DESIGN = np.stack([np.ones(4), TIMES], axis=1)
COVARIANCE = DESIGN @ OMEGA @ DESIGN.T + SD**2 * np.eye(4)


def straight(n, seed=0, limit=None):
    """Straight lines with correlated random effects; what is below the limit is censored."""
    rng = np.random.default_rng(seed)
    y = DESIGN @ (np.array([2.0, 0.5]) + rng.multivariate_normal(np.zeros(2), OMEGA, n)).T + SD * rng.normal(
        size=(4, n)
    )
    frame = pd.DataFrame({"ID": np.repeat(np.arange(n), 4), "TIME": np.tile(TIMES, n), "DV": y.T.ravel()})
    frame["X"] = (frame["ID"] % 2).astype(float)
    frame["CENS"] = 0
    if limit is not None:
        low = frame["DV"] < limit
        frame.loc[low, "CENS"], frame.loc[low, "DV"] = 1, limit
    return frame


def at_truth(frame, method=None, intercept=2.0, sd=SD):
    objective = PopulationObjective(lines(frame), method or FO())
    x = objective.problem.coordinates({"intercept": intercept, "slope": 0.5, "sd": sd}, OMEGA)
    search = Search(x, objective(x), 1, 0.0, True)
    return PopulationFit(objective, search.end, (search,), None)


@pytest.fixture(scope="module")
def fit():
    return at_truth(straight(80))


def test_normal_measurements_have_their_own_scores(fit):
    """C⁻¹ (y - E) with the true covariance; 4000 replicates know a quantile to about 0.02 in the middle, 0.05 at 2."""
    found = npde(fit, n=4000, key=1)
    y = fit.problem.data.value.reshape(-1, 4)
    exact = np.linalg.solve(np.linalg.cholesky(COVARIANCE), (y - DESIGN @ [2.0, 0.5]).T).T.ravel()
    near = np.abs(exact) < 2
    np.testing.assert_allclose(found["NPDE"][near], exact[near], atol=0.2)
    assert np.abs(found["NPDE"][near] - exact[near]).mean() < 0.03
    plain = ((y - DESIGN @ [2.0, 0.5]) / np.sqrt(np.diag(COVARIANCE))).ravel()
    assert np.abs(found["NPD"][near] - plain[near]).mean() < 0.05
    assert kstest(found["NPDE"], norm.cdf).pvalue > 0.05
    assert list(found.columns) == ["ID", "TIME", "observable", "DV", "CENS", "NPD", "NPDE"]
    # within an individual NPD hang together, NPDE do not: correlations of neighbours over 80 individuals
    each = {name: np.corrcoef(found[name].to_numpy().reshape(-1, 4).T)[0, 1] for name in ("NPD", "NPDE")}
    assert each["NPD"] > 0.5 and abs(each["NPDE"]) < 0.25


@pytest.mark.slow
def test_a_wrong_model_is_seen(fit):
    assert kstest(npde(at_truth(straight(80), sd=0.8), n=500)["NPDE"], norm.cdf).pvalue < 1e-3
    moved = npde(at_truth(straight(80), intercept=2.6), n=500)  # at the first time by two thirds of the sd there
    assert kstest(moved.loc[moved["TIME"] == 0.0, "NPDE"], norm.cdf).pvalue < 1e-3
    with pytest.raises(CalibrationError, match="Argument `n` must be a whole number >= 100, but 50"):
        npde(fit, n=50)


@pytest.mark.slow
def test_values_below_a_limit_are_neither_lost_nor_taken_at_the_limit(tmp_path):
    """A quarter of the values is censored. Errors are normal as they would be without a limit; percentiles are those of
    all values, but for those that lie below it; left out, the lowest percentiles would stand far too high."""
    frame = straight(120, seed=3, limit=2.0)
    fit = at_truth(frame, Laplace())
    assert 0.2 < frame["CENS"].mean() < 0.4
    errors = npde(fit, n=1000)
    assert errors["NPDE"].notna().all() and kstest(errors["NPDE"], norm.cdf).pvalue > 0.05
    seen = errors[errors["CENS"] == 0]
    assert kstest(seen["NPDE"], norm.cdf).pvalue < 1e-3  # what leaving them out would do
    check = visual_predictive_check(fit, n=200, percentiles=(10.0, 50.0, 90.0))
    table = check.frame.set_index(["time", "percentile"])
    assert np.isnan(table.loc[(0.0, 10.0), "observed"]) and np.isfinite(table.loc[(4.0, 50.0), "observed"])
    whole = straight(120, seed=3)
    for t in TIMES[1:]:
        expected = np.percentile(whole.loc[whole["TIME"] == t, "DV"], 50)
        assert table.loc[(t, 50.0), "observed"] == pytest.approx(expected)
    assert check.share_inside > 0.8 and (check.frame["measurements"] == 120).all()
    shares = check.censored.set_index("time")
    exact = norm.cdf(2.0, DESIGN @ [2.0, 0.5], np.sqrt(np.diag(COVARIANCE)))
    np.testing.assert_allclose(shares["median"], exact, atol=0.02)  # 200 replicates of 120
    np.testing.assert_allclose(shares["observed"], frame.groupby("TIME")["CENS"].mean())
    assert shares["observed"].between(shares["low"], shares["high"]).all()
    for ax in (check.plot(), check.plot_censored()):
        ax.figure.savefig(tmp_path / "check.png")
        plt.close(ax.figure)


def test_groups_are_checked_apart(fit, tmp_path):
    frame = straight(80)
    frame.loc[frame["X"] == 1, "DV"] += 3.0  # which the model does not know
    check = visual_predictive_check(at_truth(frame), n=100, stratify="X")
    assert check.groups == ("0", "1") and check.stratify == "X"
    inside = {g: t["observed"].between(t["low"], t["high"]).mean() for g, t in check.frame.groupby("group")}
    assert inside["0"] > 0.8 and inside["1"] < 0.2
    ax = check.plot(group="1")
    assert ax.get_title() == "X 1"
    plt.close(ax.figure)
    with pytest.raises(CalibrationError, match="there is no group `2`"):
        check.plot(group="2")
    with pytest.raises(CalibrationError, match="no observable has values below one limit"):
        check.plot_censored()
    with pytest.raises(CalibrationError, match="`stratify` names `x`, which is no covariate.*Did you mean `X`"):
        visual_predictive_check(fit, stratify="x")
    frame["X"] = frame["ID"].astype(float)
    with pytest.raises(CalibrationError, match="`X`, which has 80 values, more than 12 groups"):
        visual_predictive_check(at_truth(frame), stratify="X")


def test_results_are_files(fit, tmp_path):
    before = plt.get_fignums()
    check = write_results(fit, tmp_path / "all", replicates=50, stratify="X")
    assert check.groups == ("0", "1")
    names = {p.name for p in (tmp_path / "all").iterdir()}
    figures = {"goodness_Y.svg", "individuals_Y.svg", "predictive_check_Y_0.svg", "predictive_check_Y_1.svg"}
    assert names == figures | {"fit.txt", "fit.json", "estimates.csv", "individuals.csv", "residuals.csv"}
    assert len(pd.read_csv(tmp_path / "all" / "residuals.csv")) == 320 and plt.get_fignums() == before
