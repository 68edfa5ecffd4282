"""Push-forward populations against closed forms: distances of normal clouds, and models whose outputs are exponentials
of sums of parameters, so that normal laws stay normal."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtri

import qspx
from qspx._status import Status
from qspx.vpop import (
    AbstractSimulator,
    Bins,
    Correlation,
    CouplingFlow,
    Density2D,
    EnergyDistance,
    GaussianLaw,
    LatentMoves,
    LogNormalLaw,
    Mean,
    MeanSd,
    Plausibility,
    PopulationError,
    PopulationProblem,
    PushForward,
    Quantiles,
    Rows,
    SlicedWasserstein,
    Sobol,
    SummaryDistance,
    Survival,
    mismatch,
)
from qspx.vpop.spread_selection import at_most, halves, spread_selection

KEY = jax.random.key(0)
W = np.array([[1.0, 0.5, 1.2], [0.0, 1.0, 0.4], [0.6, -0.5, 0.0]])
# after treatment: y_treated = 1.2 a + 0.4 b is the outcome of another arm for the same patient
NAMES = ("x", "y", "y_treated")


@dataclasses.dataclass(frozen=True, eq=False)
class Exponential(AbstractSimulator):
    """Exponentials of sums of the first three parameters; the solve "fails" where their sum is above `breaks`."""

    model: qspx.AbstractModel
    breaks: float = 1e3
    names: tuple[str, ...] = NAMES

    def traced(self, theta):
        ok = theta[:, :3].sum(axis=1) < self.breaks
        safe = jnp.where(ok[:, None], theta[:, :3], 0.0)
        return jnp.where(ok[:, None], jnp.exp(safe @ jnp.asarray(W)), jnp.nan), jnp.where(ok, 0, int(Status.DT_MIN))


def problem_of(plain, *targets, bounds=None, **settings):
    prior = qspx.Joint({k: qspx.Normal(0.0, 1.0) for k in "abc"})
    return PopulationProblem(Exponential(plain, **settings), prior, Plausibility(bounds or {}), targets)


def normal(n, m, seed=0):
    """Points of a Sobol' sequence: moments within 1e-3 of those of the law."""
    return jnp.asarray(ndtri(Sobol().points(n, m, seed)))


# distances -----------------------------------------------------------------------------------------------------------


def test_energy_distance_of_two_normal_laws():
    """One output: 2 E|X-Y| - E|X-X'| - E|Y-Y'| with E|N(d, s²)| = s sqrt(2/pi) exp(-d²/2s²) + d erf(d / (s sqrt 2))."""
    from scipy.special import erf

    def absolute(d, s):
        return s * np.sqrt(2 / np.pi) * np.exp(-(d**2) / (2 * s**2)) + d * erf(d / (s * np.sqrt(2)))

    y = jnp.asarray(ndtri((np.arange(1024) + 0.5) / 1024))[:, None]
    x = 0.7 + 1.5 * y
    expected = 2 * absolute(0.7, np.hypot(1.5, 1)) - absolute(0, 1.5 * np.sqrt(2)) - absolute(0, np.sqrt(2))
    found = EnergyDistance().between(x, jnp.ones(1024), y, KEY)
    assert float(found) == pytest.approx(
        expected, abs=4e-3
    )  # evenly spaced, not drawn: off by E|X-X'| / 1024 and so on
    # who has no weight does not matter, and has no gradient
    far, w = jnp.concatenate([x, 50.0 + x]), jnp.repeat(jnp.array([2.0, 0.0]), 1024)
    assert float(EnergyDistance().between(far, w, y, KEY)) == pytest.approx(float(found), rel=1e-6)
    slope = jax.jit(jax.grad(lambda x: EnergyDistance().between(x, w, y, KEY)))(far)
    assert np.isfinite(slope).all() and (slope[1024:] == 0).all() and (slope[:1024] != 0).any()


def test_sliced_wasserstein_of_shifted_clouds():
    """Each projection is shifted by u . d, and the mean of (u . d)² over any bases is |d|² / M."""
    y, shift = normal(500, 3), jnp.array([0.6, -0.2, 0.3])
    found = SlicedWasserstein(7).between(y[::-1] + shift[None], jnp.ones(500), y, KEY)
    assert float(found) == pytest.approx(float(shift @ shift) / 3, rel=1e-10)
    # who has no weight does not matter, and has no gradient
    w = jnp.where(jnp.arange(500) % 2 == 0, 1.0, 0.0)
    masked = jnp.where(w[:, None] > 0, y + shift[None], 1e3)
    alone = SlicedWasserstein(7).between(masked[::2], jnp.ones(250), y, KEY)
    assert float(SlicedWasserstein(7).between(masked, w, y, KEY)) == pytest.approx(float(alone), rel=1e-10)
    slope = jax.grad(lambda x: SlicedWasserstein(7).between(x, w, y, KEY))(masked)
    assert np.isfinite(slope).all() and (slope[1::2] == 0).all()


def test_summaries_are_matched_by_patients_who_have_them():
    """x = exp(N(0.3, 0.4²)), y of correlation 0.6 in the logarithm: each target is met."""
    z = np.asarray(normal(4096, 2))
    logs = np.stack([0.3 + 0.4 * z[:, 0], 0.6 * z[:, 0] + 0.8 * z[:, 1]], axis=1)
    values, w = jnp.exp(jnp.asarray(logs)), jnp.ones(4096)
    levels = np.array([0.1, 0.5, 0.8])
    met = [
        (MeanSd("x", 0.3, 0.4, n=50, log=True), values[:, :1]),
        (Quantiles("x", levels, np.exp(0.3 + 0.4 * ndtri(levels)), n=50), values[:, :1]),
        (Survival("x", [1.0], [1 - 0.22663], n=50), values[:, :1]),  # Phi(-0.75)
        (Correlation(("x", "y"), 0.6, (0.3, 0.0), (0.4, 1.0), n=50, log=True), values),
    ]
    for target, seen in met:
        r, covariance = mismatch(target, seen, w)
        np.testing.assert_allclose(r, 0.0, atol=3e-3)
        assert covariance.shape == (len(r), len(r)) and np.linalg.eigvalsh(covariance)[0] > 0
        assert np.isfinite(jax.grad(lambda v, t=target: SummaryDistance().of(t, v, w))(seen)).all()
    r, covariance = mismatch(MeanSd("x", 0.1, 0.5, n=50, log=True), values[:, :1], w)
    np.testing.assert_allclose(r, [0.4, -0.2], atol=3e-3)
    np.testing.assert_allclose(covariance, np.diag([1 / 50, 1 / 100]))
    # a target known exactly counts in full; one with the tolerance as its error counts half
    mean = MeanSd("x", 0.1, 0.5, log=True)
    assert float(SummaryDistance().of(mean, values[:, :1], w)) == pytest.approx(0.16 + 0.04, rel=0.02)
    half = SummaryDistance(tolerance=np.sqrt(1 / 50)).of(dataclasses.replace(mean, n=50), values[:, :1], w)
    assert float(half) == pytest.approx(0.16 / 2 + 0.04 * 2 / 3, rel=0.02)


def test_bins_without_people_are_no_trouble():
    """Edges with the same share below them, outer edges that are finite: the median lies between 1 and 3."""
    x = jnp.asarray(2.0 + 0.1 * ndtri((np.arange(200) + 0.5) / 200))[:, None]
    r, _ = mismatch(Bins("x", [0.0, 1.0, 3.0, 4.0], [0.5, 0.0, 0.5]), x, jnp.ones(200))
    np.testing.assert_allclose(r, [0.0], atol=1e-6)


def test_targets_without_a_differentiable_form_say_so(plain):
    cells = Density2D(("x", "y"), ([0, 1, 9], [0, 1, 9]), np.full((2, 2), 0.25))
    with pytest.raises(PopulationError, match="Density2D.*no differentiable form.*mismatch.register"):
        PushForward().sample(problem_of(plain, cells), 10, key=0)
    with pytest.raises(PopulationError, match="at least one target"):
        PushForward().sample(problem_of(plain), 10, key=0)
    with pytest.raises(PopulationError, match="sweeps"):
        LatentMoves(sweeps=0)


# laws ----------------------------------------------------------------------------------------------------------------


def test_divergence_of_a_normal_law_is_the_one_estimated():
    rng, law = np.random.default_rng(0), GaussianLaw()
    at = {
        "mean": jnp.array([0.5, -1.0]),
        "low": jnp.asarray(rng.normal(size=(2, 2))),
        "log_diagonal": jnp.array([-0.5, 0.2]),
    }
    e = normal(8192, 2)
    z, volume = law.moved(at, e)
    exact = float(law.divergence(at, e, z, volume))
    estimated = super(GaussianLaw, law).divergence(at, e, z, volume)
    assert exact == pytest.approx(float(estimated), abs=5e-3)
    root = np.linalg.cholesky(np.cov(np.asarray(z).T))
    assert exact == pytest.approx(0.5 * ((root**2).sum() + 1.25 - 2) - np.log(np.diag(root)).sum(), abs=5e-3)


def test_volumes_of_a_flow_are_those_of_its_derivatives():
    pytest.importorskip("flowjax")
    flow, e = CouplingFlow(layers=2, width=8), normal(4, 3)
    at = jax.tree.map(lambda x: x + 0.3, flow.start(3, jax.random.key(1)))
    slopes = jax.vmap(jax.jacfwd(lambda one: flow.moved(at, one[None])[0][0]))(e)
    np.testing.assert_allclose(flow.moved(at, e)[1], np.linalg.slogdet(slopes)[1], atol=1e-10)


# populations ---------------------------------------------------------------------------------------------------------

LAW = LogNormalLaw(("x", "y"), np.array([0.4, -0.2]), np.array([[0.5, 0.2], [0.2, 0.6]]), n=400)
PLAIN = PushForward(moves=None, prior=1e-4, steps=200, batch=128, rate=0.05)


def test_a_normal_target_of_a_linear_model_is_recovered(plain):
    """Mean and covariance of the logarithms, which a normal law of the parameters can have exactly."""
    outputs = PLAIN.sample(problem_of(plain, LAW), 4000, key=0)
    logs = np.log(outputs.values[:, :2])
    np.testing.assert_allclose(logs.mean(axis=0), LAW.mean, atol=0.06)
    np.testing.assert_allclose(np.cov(logs.T), LAW.covariance, atol=0.06)
    assert outputs.details["divergence"] > 0 and outputs.details["plausible_share"] == 1.0


def test_moves_bring_the_prior_back(plain):
    """Given the logarithms y ~ N(m, S) of x and y, the nearest population to N(0, I) has mean A m and covariance
    A S A' + I - A W', A the pseudo-inverse of W' (two columns), whatever the law that the moves start from."""
    problem = problem_of(plain, dataclasses.replace(LAW, n=None))
    narrow = dataclasses.replace(PLAIN, steps=100, prior=0.0)
    outputs = dataclasses.replace(narrow, moves=LatentMoves(sweeps=30, apart=3)).sample(problem, 1000, key=0)
    inverse = np.linalg.pinv(W[:, :2].T)
    expected = inverse @ LAW.covariance @ inverse.T + np.eye(3) - inverse @ W[:, :2].T
    z = outputs.cohort.theta[:, problem.columns]
    # 1,000 patients out of 4 x 1,000, spread over the outputs: three standard errors of a covariance are 0.13
    np.testing.assert_allclose(z.mean(axis=0), inverse @ LAW.mean, atol=0.09)
    np.testing.assert_allclose(np.cov(z.T), expected, atol=0.13)
    logs = np.log(outputs.values[:, :2])
    np.testing.assert_allclose(np.cov(logs.T), LAW.covariance, atol=0.06)
    assert len(np.unique(z[:, 0])) == 1000
    # moves that need no rejection: the law is normal in these coordinates
    assert outputs.details["acceptance"] > 0.8 and abs(outputs.details["lag_correlation"]) < 0.2
    # beside the fit, and the patients found once more
    assert outputs.ledger.total == outputs.details["evaluations"] - 100 * 128 - 1000


def test_arms_and_summaries_together(plain):
    """The law of one arm, mean, SD and correlation of two outputs, and quantiles of the other arm, by one set of
    patients. True parameters: N((0.3, -0.2, 0.1), diag(0.7, 0.8, 0.9)²)."""
    mean = np.array([0.3, -0.2, 0.1]) @ W
    covariance = W.T @ np.diag(np.array([0.7, 0.8, 0.9]) ** 2) @ W
    sd, levels = np.sqrt(np.diag(covariance)), np.array([0.1, 0.25, 0.5, 0.75, 0.9])
    targets = (
        Rows(("x",), np.exp(mean[0] + sd[0] * ndtri((np.arange(300) + 0.5) / 300))[:, None]),
        MeanSd("y", mean[1], sd[1], n=100, log=True),
        Correlation(("x", "y"), covariance[0, 1] / sd[0] / sd[1], tuple(mean[:2]), tuple(sd[:2]), n=100, log=True),
        Quantiles("y_treated", levels, np.exp(mean[2] + sd[2] * ndtri(levels)), n=100),
    )
    outputs = PLAIN.sample(problem_of(plain, *targets), 4000, key=0)
    logs = np.log(outputs.values)
    np.testing.assert_allclose(logs.mean(axis=0), mean, atol=0.1)
    np.testing.assert_allclose(logs.std(axis=0), sd, atol=0.1)
    assert np.corrcoef(logs[:, 0], logs[:, 1])[0, 1] == pytest.approx(covariance[0, 1] / sd[0] / sd[1], abs=0.06)


def test_failed_solves_have_no_say(plain):
    """Half of the patients of the prior fail; the fitted law goes where nobody does, and no gradient is lost."""
    away = LogNormalLaw(("x", "y"), np.array([-1.0, -0.8]), 0.2 * np.eye(2))
    outputs = dataclasses.replace(PLAIN, steps=150).sample(problem_of(plain, away, breaks=0.0), 1000, key=0)
    logs = np.log(outputs.values[:, :2])
    assert np.isfinite(outputs.details["loss"]) and outputs.details["plausible_share"] > 0.8
    np.testing.assert_allclose(logs.mean(axis=0), away.mean, atol=0.12)
    assert outputs.ledger.counts[Status.DT_MIN] > 0


def test_a_flow_has_two_humps_where_a_normal_law_has_one(plain):
    pytest.importorskip("flowjax")
    rng = np.random.default_rng(0)
    logs = np.where(rng.random(2000) < 0.5, -1.5, 1.5) + 0.3 * rng.standard_normal(2000)
    problem = problem_of(plain, Rows(("x",), np.exp(logs)[:, None]))
    settings = {"moves": None, "prior": 1e-3, "steps": 250, "batch": 128, "rate": 0.02}
    between = {}
    for law in (GaussianLaw(), CouplingFlow(layers=2, width=8)):
        found = np.log(PushForward(law=law, **settings).sample(problem, 2000, key=0).values[:, 0])
        between[type(law)] = float((np.abs(found) < 0.7).mean())
    assert (np.abs(logs) < 0.7).mean() < 0.01
    assert between[GaussianLaw] > 0.25 and between[CouplingFlow] < 0.1


# selection -----------------------------------------------------------------------------------------------------------


def test_selected_patients_are_spread_like_the_weighted_ones():
    """Nearer to the weighted shares below each decile than patients picked in no order, whose distance is chance."""
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(4000, 3)), rng.gamma(5.0, size=4000)
    below = values[:, :, None] < ndtri(np.arange(1, 10) / 10)

    def far(order):
        picked = order(int(rng.integers(2**31)))
        assert len(set(picked)) == 1000
        return np.abs(below[picked].mean(axis=0) - np.average(below, axis=0, weights=weights)).mean()

    spread = np.mean([far(lambda key: spread_selection(weights, values, 1000, key)) for _ in range(10)])
    chance = np.mean(
        [far(lambda key: spread_selection(weights, rng.normal(size=(4000, 1)), 1000, key)) for _ in range(10)]
    )
    assert spread < 0.6 * chance
    np.testing.assert_array_equal(np.sort(halves(values)), np.arange(4000))


def test_nobody_is_picked_twice():
    weights = np.array([10.0, 1.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(at_most(weights, 0.4), [0.4, 0.2, 0.2, 0.2, 0.0])
    np.testing.assert_allclose(at_most(weights, 0.25), [0.25] * 4 + [0.0])
    picked = spread_selection(weights, np.arange(5.0)[:, None], 4, 0)
    assert sorted(picked) == [0, 1, 2, 3]


def test_a_mean_alone_is_matched():
    """In standard deviations of the patients, which it does not change by its derivative."""
    x, w = 2.0 + 3.0 * normal(2048, 1), jnp.ones(2048)
    r, covariance = mismatch(Mean("x", 5.0, error=0.3), x, w)
    assert float(r[0]) == pytest.approx((float(x.mean()) - 5.0) / float(x.std()), rel=1e-9)
    assert float(covariance[0, 0]) == pytest.approx((0.3 / float(x.std())) ** 2, rel=1e-9)
    slope = jax.grad(lambda v: mismatch(Mean("x", 5.0), v, w)[0][0])(x)
    np.testing.assert_allclose(slope, 1 / 2048 / float(x.std()), rtol=1e-9)
