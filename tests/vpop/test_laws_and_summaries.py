"""Laws on the linear scale, laws from published summaries, and what is said where a law is missing."""

import jax.numpy as jnp
import numpy as np
import pytest

import qspx
from qspx.vpop import (
    AbstractSimulator,
    AcceptanceRejection,
    Bins,
    Correlation,
    DensityRatio,
    DirectWeights,
    GaussianLaw,
    LogNormalLaw,
    Mapel,
    MaximumEntropy,
    MeanSd,
    NormalLaw,
    Plausibility,
    PopulationError,
    PopulationProblem,
    PushForward,
    Quantiles,
    Rows,
    Twins,
)
from qspx.vpop.law_of_summaries import law_of_summaries

NAMES = ("HDL", "LDL")
CHANGE = NormalLaw(NAMES, np.array([-30.0, 5.0]), np.array([[400.0, 60.0], [60.0, 100.0]]), n=200)


@pytest.fixture(scope="module")
def changes(outputs_of):
    """Per cent changes from baseline, of both signs, wider than the law."""
    return outputs_of(np.random.default_rng(0).multivariate_normal([-20, 2], np.diag([900.0, 225.0]), 900), NAMES)


@pytest.mark.parametrize("method", [MaximumEntropy(), DirectWeights(floor=150), DensityRatio()], ids=str)
@pytest.mark.parametrize("rows", [True, False])
def test_outputs_that_may_be_negative(changes, method, rows):
    people = np.random.default_rng(1).multivariate_normal(CHANGE.mean, CHANGE.covariance, 400)
    law = Rows(NAMES, people, log=False) if rows else CHANGE
    found = method.fit(changes, [law], key=0)
    x, w = changes.values, found.weights
    mean, sd = law.fitted.mean, law.fitted.sd
    np.testing.assert_allclose((w @ x - mean) / sd, 0.0, atol=0.2)
    np.testing.assert_allclose(np.sqrt(w @ (x - w @ x) ** 2) / sd, 1.0, atol=0.2)
    about = found.diagnostics(law)
    assert about["ks_sum"] < 0.25 and about["correlation_error"] < 0.12 and np.isfinite(about["energy"])
    assert found.goodness_of_fit().composite_p > 1e-3


def test_rows_on_both_scales():
    people = np.exp(np.random.default_rng(0).normal(size=(50, 2)))
    with pytest.raises(PopulationError, match="finite positive numbers.*log=False"):
        Rows(("x",), np.array([[-30.0], [20.0], [5.0]]))
    linear, log = Rows(NAMES, people, log=False), Rows(NAMES, np.exp(people))
    np.testing.assert_allclose(linear.scores(people), log.scores(np.exp(people)))
    np.testing.assert_allclose(linear.features(people).matrix, log.features(np.exp(people)).matrix)


class Shift(AbstractSimulator):
    """A change that is a - 1."""

    names = ("change",)

    def __init__(self, model):
        self.model = model

    def traced(self, theta):
        return theta[:, :1] - 1.0, jnp.zeros(len(theta), jnp.int32)


def test_push_forward_to_changes_and_no_twins_of_them(plain):
    law = NormalLaw(("change",), np.array([-0.3]), np.array([[0.04]]))
    problem = PopulationProblem(Shift(plain), qspx.Joint({"a": qspx.Uniform(0.0, 2.0)}), Plausibility({}), [law])
    found = PushForward(GaussianLaw(), steps=80, moves=None).sample(problem, 300, key=0)
    x = found.values[:, 0]
    assert x.mean() == pytest.approx(-0.3, abs=0.05) and x.std() == pytest.approx(0.2, abs=0.05)
    with pytest.raises(PopulationError, match="twins need a law of logarithms.*PushForward"):
        Twins().sample(problem, 10, key=0)


def test_laws_of_published_summaries():
    """Moments of a log-normal law back and forth, on both scales."""
    raw = [MeanSd("a", 10.0, 3.0, n=50), MeanSd("b", 4.0, 2.0, n=40), Correlation(("b", "a"), 0.4, (4, 10), (2, 3))]
    law = law_of_summaries(raw)
    z = np.random.default_rng(0).standard_normal((400_000, 2)) @ np.linalg.cholesky(law.covariance).T
    x = np.exp(law.mean + z)
    np.testing.assert_allclose(x.mean(0), [10, 4], rtol=0.01)
    np.testing.assert_allclose(x.std(0), [3, 2], rtol=0.01)
    assert np.corrcoef(x.T)[0, 1] == pytest.approx(0.4, abs=0.01) and law.n == 40
    logs = law_of_summaries([MeanSd("a", 1.0, 0.5, log=True), MeanSd("b", 2.0, 0.4, log=True),
                             Correlation(("a", "b"), 0.3, (1, 2), (0.5, 0.4), log=True)])  # fmt: skip
    np.testing.assert_allclose(logs.covariance, [[0.25, 0.06], [0.06, 0.16]])


@pytest.mark.parametrize("method", [AcceptanceRejection(iterations=50), DensityRatio()], ids=str)
def test_methods_of_densities_take_summaries(outputs_of, method):
    x = np.exp(np.random.default_rng(0).normal(2.2, 0.6, (800, 1)))
    found = method.fit(outputs_of(x, ["a"]), [MeanSd("a", 10.0, 3.0, n=100)], key=0)
    assert found.weights @ x[:, 0] == pytest.approx(10.0, abs=0.8)
    assert np.sqrt(found.weights @ (x[:, 0] - 10) ** 2) == pytest.approx(3.0, abs=0.6)


def test_mapel_takes_published_summaries(outputs_of):
    """Means, SDs, bins and quantiles: its normal use."""
    x = np.random.default_rng(0).normal([0.0, 0.0], 1.5, (600, 2))
    targets = [MeanSd("x", 0.4, 1.0, n=80), Bins("y", [-9, 0, 9], [0.3, 0.7], n=80), Quantiles("y", [0.5], [0.6], n=80)]
    found = Mapel(bins=6, restarts=1).fit(outputs_of(x, ["x", "y"]), targets, key=0)
    assert found.weights @ x[:, 0] == pytest.approx(0.4, abs=0.1)
    assert found.weights @ (x[:, 1] < 0) == pytest.approx(0.3, abs=0.07)


LAW = LogNormalLaw(("a",), np.zeros(1), np.eye(1))


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        ([MeanSd("a", 1, 1), MeanSd("b", 1, 1)], r'Missing: Correlation\("a", "b"\)'),
        ([MeanSd("a", 1, 1), Correlation(("a", "b"), 0.1, (1, 1), (1, 1))], r'Missing: MeanSd\("b", ...\)'),
        ([Bins("a", [0, 1], [1.0])], r"cannot be had from Bins of \('a',\).*MaximumEntropy"),
        ([LAW, LAW], r"one target that is a law.*cannot be had from LogNormalLaw of \('a',\), LogNormalLaw"),
        ([MeanSd("a", -1, 1)], r"positive mean.*`a` is -1.*NormalLaw"),
        ([MeanSd("a", 1, 1), MeanSd("a", 1, 1)], r"\['a'\] have several MeanSd"),
    ],
)
def test_what_a_density_lacks(outputs_of, targets, says):
    outputs = outputs_of(np.ones((5, 2)) + np.arange(10.0).reshape(5, 2), ["a", "b"])
    with pytest.raises(PopulationError, match=says):
        DensityRatio().fit(outputs, targets, key=0)


def test_twins_of_two_studies_are_refused(plain):
    prior = qspx.Joint({"a": qspx.Uniform(0.0, 2.0)})
    rows = Rows(("change",), np.array([[1.0], [2.0]]))
    for targets, says in (([rows, rows], "2 of the targets are.*several studies are not one"), ([], "0 of.*none")):
        problem = PopulationProblem(Shift(plain), prior, Plausibility({}), targets)
        with pytest.raises(PopulationError, match=f"twins need exactly one target.*{says}"):
            Twins().sample(problem, 5, key=0)
