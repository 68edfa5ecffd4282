"""Samplers on a model whose outputs are known functions of its parameters."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

import qspx
import qspx.vpop
from qspx._status import Status
from qspx.vpop import (
    AbstractSampler,
    AbstractSimulator,
    Annealing,
    AxisJitter,
    DirectWeights,
    Expansion,
    Genetic,
    Hierarchical,
    Independent,
    Individuals,
    LatentMoves,
    LatinHypercube,
    LocalJitter,
    LogNormalLaw,
    MaximumEntropy,
    MeanSd,
    Metropolis,
    NestedAnnealing,
    Plausibility,
    PopulationError,
    PopulationProblem,
    PosteriorDraws,
    PushForward,
    Rows,
    Screening,
    SlicedWasserstein,
    Sobol,
    Twins,
)
from qspx.vpop.sampler import violation_score

NAMES = ("x", "y")
W = np.array([[1.0, 0.5], [0.0, 1.0], [0.6, -0.5]])


@dataclasses.dataclass(frozen=True, eq=False)
class Exponential(AbstractSimulator):
    """x and y are exponentials of sums of the first three parameters; the solve "fails" where their sum is above 6."""

    model: qspx.AbstractModel
    names: tuple[str, ...] = NAMES

    def traced(self, theta):
        ok = theta[:, :3].sum(axis=1) < 6.0
        safe = jnp.where(ok[:, None], theta[:, :3], 0.0)
        return jnp.where(ok[:, None], jnp.exp(safe @ jnp.asarray(W)), jnp.nan), jnp.where(ok, 0, int(Status.DT_MIN))


LAW = LogNormalLaw(NAMES, np.array([0.4, -0.2]), np.array([[0.5, 0.2], [0.2, 0.6]]), n=400)
PEOPLE = Individuals(NAMES, np.exp([[1.6, 0.4], [1.2, 0.9], [2.0, 0.7], [1.5, np.nan]]), {"x": 0.5, "y": 0.5})
FITTED = qspx.Joint({"a": qspx.TruncatedNormal(0.8, 0.2, 0.0, 2.0), "b": qspx.TruncatedNormal(0.9, 0.2, 0.0, 2.0)})
ALL = {
    "screening": Screening(batch=512),
    "SA": Annealing(steps=100),
    "NSA": NestedAnnealing(steps=100),
    "MH": Metropolis(),
    "GA": Genetic(population=600, generations=10),
    "twins": Twins(),
    "expansion": Expansion(start=60, progress=False),
    "hierarchical": Hierarchical(PEOPLE, draws=1000, warmup=300),
    "posterior draws": PosteriorDraws(FITTED),
    "push-forward": PushForward(steps=80, batch=128, moves=LatentMoves(sweeps=10, apart=2, chains=200)),
    "push-forward, no moves": PushForward(steps=80, batch=128, moves=None, distance=SlicedWasserstein()),
}
every_sampler = pytest.mark.parametrize("name", ALL)


@pytest.fixture(scope="module")
def gaussian(plain):
    """Parameters standard normal."""
    prior = qspx.Joint({k: qspx.Normal(0.0, 1.0) for k in "abc"})
    return PopulationProblem(Exponential(plain), prior, Plausibility({"x": (0.1, 12.0), "y": (0.1, 12.0)}), [LAW])


@pytest.fixture(scope="module")
def boxed(plain):
    """Parameters uniform in a box without negative numbers, as annealing needs it."""
    prior = qspx.Joint({k: qspx.Uniform(0.0, 2.0) for k in "abc"})
    law = dataclasses.replace(LAW, mean=np.array([1.6, 0.8]))
    return PopulationProblem(Exponential(plain), prior, Plausibility({"x": (1.5, 20.0), "y": (0.5, 8.0)}), [law])


@pytest.fixture(scope="module")
def found(boxed):
    pytest.importorskip("blackjax", reason="needs the extra bayes")
    return {name: sampler.sample(boxed, 200, key=1) for name, sampler in ALL.items()}


def test_every_sampler_is_here():
    classes = [c for _, c in inspect.getmembers(qspx.vpop, inspect.isclass) if issubclass(c, AbstractSampler)]
    found = {c for c in classes if not inspect.isabstract(c)}
    assert found == {type(s) for s in ALL.values()}


@every_sampler
def test_patients_are_plausible_and_in_the_box(name, found, boxed):
    outputs = found[name]
    drawn = outputs.cohort.theta[:, boxed.columns]
    assert 150 <= len(outputs) and (drawn >= 0.0).all() and (drawn <= 2.0 + 1e-12).all()
    values = outputs.values[outputs.usable]
    assert boxed.plausibility.inside(values).all()
    np.testing.assert_allclose(values, np.exp(drawn[outputs.usable] @ W), rtol=1e-12)


@every_sampler
def test_everyone_is_accounted_for(name, found):
    outputs = found[name]
    about = outputs.details
    assert about["evaluations"] >= len(outputs) * (name != "push-forward")
    assert 0 < about["strictly_plausible"] <= 1.0
    assert outputs.ledger.total >= outputs.usable.sum() == (outputs.cohort.status == Status.OK).sum()


@every_sampler
def test_same_key_same_patients(name, found, boxed):
    again = ALL[name].sample(boxed, 200, key=1)
    np.testing.assert_array_equal(again.cohort.theta, found[name].cohort.theta)
    other = ALL[name].sample(boxed, 200, key=2)
    assert not np.array_equal(other.cohort.theta, found[name].cohort.theta)


@pytest.fixture(scope="module")
def entangled(plain):
    """A prior of several kinds, truncated at one end, at both ends or by nature, joined by a copula."""
    marginals = {
        "a": qspx.TruncatedNormal(0.8, 0.5, low=0.1),
        "b": qspx.TruncatedNormal(1.0, 0.5, 0.3, 1.6),
        "c": qspx.LogitNormal(1.2, 0.8, 0.0, 2.0),
    }
    prior = qspx.Joint(marginals, {("a", "b"): 0.7, ("b", "c"): -0.5})
    law = dataclasses.replace(LAW, mean=np.array([1.5, 0.8]), covariance=np.array([[0.2, 0.05], [0.05, 0.15]]))
    return PopulationProblem(Exponential(plain), prior, Plausibility({"x": (1.0, 20.0), "y": (0.5, 8.0)}), [law])


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=[pytest.mark.slow] if k == "hierarchical" else []) for k in ALL]
)
def test_a_prior_with_correlations_and_truncation(name, entangled):
    """Every patient is within the prior's bounds (MH piles some up on them)."""
    outputs = ALL[name].sample(entangled, 100, key=3)
    drawn = outputs.cohort.theta[outputs.usable][:, entangled.columns]
    low, high = entangled.box.T
    assert len(drawn) >= 60 and (drawn >= low).all() and (drawn <= high).all()
    assert low[0] == 0.1 and np.isfinite(entangled.box).all()


def test_screening_of_a_truncated_copula_keeps_its_correlations(entangled):
    """Of the normal scores, where nobody is implausible; marginals by Kolmogorov-Smirnov distance (1 % level)."""
    everyone = dataclasses.replace(entangled, plausibility=Plausibility({"x": (0.0, np.inf)}))
    drawn = Screening(batch=4096).sample(everyone, 4096, key=0).cohort.theta[:, :3]
    marginals = everyone.prior.marginals.values()
    z = np.stack([np.asarray(m.to_normal(jnp.asarray(drawn[:, j]))) for j, m in enumerate(marginals)], axis=1)
    np.testing.assert_allclose(np.corrcoef(z.T)[[0, 1, 0], [1, 2, 2]], [0.7, -0.5, 0.0], atol=0.06)
    assert all(stats.kstest(z[:, j], "norm").pvalue > 0.01 for j in range(3))
    assert drawn[:, 0].min() >= 0.1 and drawn[:, 1].min() >= 0.3 and drawn[:, 1].max() <= 1.6


def test_screening_keeps_the_prior(gaussian):
    outputs = Screening(batch=2048).sample(gaussian, 3000, key=0)
    reasons = outputs.ledger.reasons[Status.IMPLAUSIBLE]
    assert set(reasons) == {"x below 0.1", "x above 12", "y below 0.1", "y above 12"}
    z = np.random.default_rng(0).normal(size=(200_000, 3))
    inside = gaussian.plausibility.inside(np.exp(z @ W))
    assert outputs.details["plausible_share"] == pytest.approx(inside.mean(), abs=0.02)
    assert outputs.ledger.ok / outputs.ledger.total == outputs.details["plausible_share"]
    np.testing.assert_allclose(outputs.cohort.theta[:, :3].mean(axis=0), z[inside].mean(axis=0), atol=0.07)


def test_screening_gives_up_with_the_counts(plain, gaussian):
    impossible = dataclasses.replace(gaussian, plausibility=Plausibility({"x": (1e4, 2e4)}))
    with pytest.raises(PopulationError, match="0 of 1024 draws were plausible.*implausible"):
        Screening(batch=512, at_most=1024).sample(impossible, 10, key=0)


def test_scores_of_allen_2016(boxed):
    """The middle scores -1 before it is cut at zero; the bounds score zero; one half-width further out, 3 (h/m)²."""
    values = np.array([[10.75, 4.25], [1.5, 8.0], [20.0 + 9.25, 4.25], [np.nan, 1.0]])
    found = violation_score(boxed, values)
    np.testing.assert_allclose(found[:3], [0.0, 0.0, 3 * (9.25 / 10.75) ** 2], atol=1e-12)
    assert found[3] == np.inf


def test_metropolis_is_a_chain(boxed):
    outputs = Metropolis().sample(boxed, 400, key=0)
    assert outputs.details["lag_one"] > 0.5 and outputs.details["autocorrelation_size"] < 200
    assert outputs.details["start"].startswith("first plausible")


def test_twins_of_a_linear_model_are_draws_of_the_conditional_prior(gaussian):
    """Given y, z is normal with mean A+ y and covariance I - A+ A, A+ the pseudo-inverse."""
    y = np.array([0.7, -0.3])
    one = dataclasses.replace(gaussian, targets=(Rows(NAMES, np.exp(np.stack([y, y + [1e-9, -1e-9]]))),))
    outputs = Twins().sample(one, 4000, key=0)
    z = outputs.cohort.theta[:, :3]
    inverse = np.linalg.pinv(W.T)
    assert outputs.details["reached"] == 1.0
    assert np.abs(np.log(outputs.values) - y).max() < 0.01
    np.testing.assert_allclose(z.mean(axis=0), inverse @ y, atol=0.03)
    np.testing.assert_allclose(np.cov(z.T), np.eye(3) - inverse @ W.T, atol=0.03)


def test_twins_name_those_out_of_reach(gaussian):
    rows = np.array([[1.0, 1.0], [0.05, 1.0], [2.0, 0.5], [3.0, 30.0]])  # the second and the last break a bound
    outputs = Twins(rounds=2).sample(dataclasses.replace(gaussian, targets=(Rows(NAMES, rows),)), 4, key=0)
    assert sorted(outputs.details["unreached"]) == [1, 3]
    np.testing.assert_allclose(outputs.values, rows[outputs.details["twin_of"]], rtol=0.01)
    assert outputs.ledger.total == 4 and outputs.ledger.counts[Status.NOT_REACHED] == 2
    assert list(outputs.ledger.reasons[Status.NOT_REACHED].values()) == [2]
    vpop = MaximumEntropy().fit(outputs, [MeanSd("x", 1.5, 0.5, n=4)], key=0)
    assert "of 4 subjects: 2 ok, 2 not_reached" in str(vpop)


def test_twins_of_a_law_have_the_law(gaussian):
    outputs = Twins().sample(gaussian, 1000, key=0)
    z = LAW.scores(outputs.values)
    assert outputs.details["reached"] > 0.98
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=0.05)
    np.testing.assert_allclose(np.corrcoef(z.T), LAW.correlation, atol=0.05)


def test_twins_of_a_law_with_mass_out_of_reach(gaussian):
    """4.5 % of the law has x below 0.45. The draws there are named; the others, drawn again by weights, have its
    deciles and moments without weights, up to what 2000 patients in whole numbers allow; each is a patient of his own.
    """
    low = 0.45
    problem = dataclasses.replace(gaussian, plausibility=Plausibility({"x": (low, 60.0), "y": (0.01, 60.0)}))
    outputs = Twins().sample(problem, 2000, key=0)
    about, z = outputs.details, LAW.scores(outputs.values)
    edge = (np.log(low) - 0.4) / np.sqrt(0.5)
    assert 1 - about["reached"] == pytest.approx(ndtr(edge), abs=0.005)
    assert len(about["unreached"]) == 2000 - round(2000 * about["reached"])
    assert not set(about["unreached"]) & set(about["twin_of"])
    assert len(outputs) == outputs.usable.sum() == 2000 - about["lost"] and about["lost"] <= 2
    assert about["again"] == 2000 - len(set(about["twin_of"])) - about["lost"]
    assert len(np.unique(outputs.cohort.theta, axis=0)) == len(outputs)
    assert z.min(axis=0)[0] >= edge - 1e-9
    deciles = [np.histogram(ndtr(z[:, j]), 10, (0, 1))[0] / len(z) for j in range(2)]
    np.testing.assert_allclose(deciles, 0.1, atol=0.005)
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=0.01)
    np.testing.assert_allclose(z.T @ z / len(z), LAW.correlation, atol=0.02)
    assert MaximumEntropy().fit(outputs, [LAW], key=0).effective_size > 0.99 * len(outputs)


def test_push_forward_reaches_the_law(gaussian):
    outputs = PushForward(steps=200, moves=LatentMoves(sweeps=20, apart=2)).sample(gaussian, 1000, key=0)
    z = LAW.scores(outputs.values)
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=0.15)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=0.15)
    assert outputs.details["plausible_share"] > 0.9
    vpop = MaximumEntropy().fit(outputs, [LAW], key=0)
    assert vpop.effective_size > 0.8 * len(outputs) and not vpop.unreached


def test_expansion_grows_to_the_number_wanted(boxed):
    """From 30 patients, far too few for 150 effective ones, to a population that fits; every child is accounted for."""
    outputs = Expansion(start=30, progress=False).sample(boxed, 150, key=0)
    about = outputs.details
    assert about["reached"] and about["composite_p"] >= 0.9 and about["effective"] >= 150 * (1 - 1e-6)
    vpop = DirectWeights(floor=150).fit(outputs, boxed.targets, key=0)
    assert vpop.effective_size >= 150 * (1 - 1e-6)
    assert vpop.goodness_of_fit().composite_p == pytest.approx(about["composite_p"], rel=1e-6)
    history = about["history"]
    assert len(outputs) == 30 + sum(row["kept"] for row in history)
    assert max(row["kept"] for row in history) <= 50 and about["evaluations"] == outputs.ledger.total + len(outputs)
    assert [row["floor"] for row in history] == sorted(row["floor"] for row in history)
    on = Expansion(start=outputs, floor=140.0, progress=False).sample(boxed, 160, key=1)
    assert on.details["reached"]
    np.testing.assert_allclose(on.cohort.theta[: len(outputs)], outputs.cohort.theta, rtol=1e-9)


def test_expansion_says_when_it_did_not_get_there(boxed):
    narrow = dataclasses.replace(LAW, mean=np.array([9.0, 0.8]))  # beyond every bound
    short = Expansion(start=30, iterations=3, progress=False)
    outputs = short.sample(dataclasses.replace(boxed, targets=(narrow,)), 150, key=0)
    assert not outputs.details["reached"] and outputs.details["composite_p"] < 1e-3 and outputs.details["least_p"]
    with pytest.raises(PopulationError, match="needs targets"):
        short.sample(dataclasses.replace(boxed, targets=()), 150, key=0)
    with pytest.raises(PopulationError, match="`start` must be at least one, but is 0"):
        Expansion(start=0)
    with pytest.raises(PopulationError, match="`growth` >= 1"):
        Expansion(step=0, growth=1.0)


def test_children_along_the_directions_of_their_neighbours():
    rng = np.random.default_rng(0)
    cloud = 0.5 + rng.normal(size=(400, 1)) * [0.1, 0.1] + 0.001 * rng.normal(size=(400, 2))
    moves = LocalJitter(neighbours=400, scale=0.5).moves(cloud, np.zeros(3000, int), rng)
    np.testing.assert_allclose(np.cov(moves.T), 0.25 * np.cov(cloud.T), rtol=0.1)
    assert AxisJitter(0.05).moves(cloud, np.zeros(4000, int), rng).std() == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize("design", [Independent(), LatinHypercube(), Sobol()], ids=lambda d: type(d).__name__)
def test_designs(design):
    points = design.points(256, 3, 5)
    assert points.shape == (256, 3) and (points > 0).all() and (points < 1).all()
    np.testing.assert_array_equal(points, design.points(256, 3, 5))
    np.testing.assert_allclose(points.mean(axis=0), 0.5, atol=0.06)
    if not isinstance(design, Independent):  # one point in each of 256 slices
        assert (np.sort(np.floor(points * 256), axis=0) == np.arange(256)[:, None]).all()


def test_correlated_prior_has_its_correlation(plain):
    prior = qspx.Joint({"a": qspx.LogNormal(1.0, 0.5), "b": qspx.LogNormal(2.0, 0.3)}, {("a", "b"): 0.7})
    problem = PopulationProblem(Exponential(plain), prior, Plausibility({"x": (0, 100)}))
    drawn = problem.quantiles(Sobol().points(4096, 2, 0))
    assert np.corrcoef(np.log(drawn).T)[0, 1] == pytest.approx(0.7, abs=0.02)
    slope = jax.jacfwd(lambda z: problem.drawn(z))(jnp.zeros((1, 2)))[0, :, 0]
    assert np.isfinite(slope).all() and slope[1, 0] > 0
