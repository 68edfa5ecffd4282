"""Hierarchical populations whose posterior is known: linear models, by quadrature over the spread."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import qspx
from qspx._errors import CalibrationError
from qspx._status import Status
from qspx.vpop import (
    AbstractSimulator,
    ConvergenceWarning,
    Hierarchical,
    Individuals,
    Plausibility,
    PopulationError,
    PopulationProblem,
)
from qspx.vpop.hierarchical_density import HierarchicalDensity

pytest.importorskip("blackjax", reason="needs the extra bayes")

A = np.array([[1.0, 0.6], [-0.4, 1.0]])
NOISE = {"x": 0.3, "y": 0.2}


@dataclasses.dataclass(frozen=True, eq=False)
class Linear(AbstractSimulator):
    """x and y are A times the first two parameters; the solve "fails" where the first is above `fails`."""

    model: qspx.AbstractModel
    names: tuple[str, ...] = ("x", "y")
    fails: float = np.inf

    def traced(self, theta):
        ok = theta[:, 0] < self.fails
        safe = jnp.where(ok[:, None], theta[:, :2], 0.0)
        return jnp.where(ok[:, None], safe @ jnp.asarray(A).T, jnp.nan), jnp.where(ok, 0, int(Status.DT_MIN))


def people_of(rng, n, mean, covariance, noise=(0.3, 0.2)):
    """Outputs of `n` people, every third without y, one without x."""
    theta = rng.multivariate_normal(mean, covariance, n)
    data = theta @ A.T + rng.normal(size=(n, 2)) * noise
    data[::3, 1] = np.nan
    data[1, 0] = np.nan
    return data


@pytest.fixture(scope="module")
def problem(plain):
    prior = qspx.Joint({"a": qspx.Normal(0.0, 1.0), "b": qspx.Normal(0.0, 1.0)}, {("a", "b"): 0.4})
    return PopulationProblem(Linear(plain), prior, Plausibility({"x": (-2.0, 4.0)}))


@pytest.fixture(scope="module")
def data():
    return people_of(np.random.default_rng(3), 14, [0.8, -0.5], [[0.25, 0.1], [0.1, 0.16]])


@pytest.fixture(scope="module")
def sampler(data):
    people = Individuals(("x", "y"), data, NOISE, additive=("x", "y"))
    return Hierarchical(people, draws=1000, warmup=400)


@pytest.fixture(scope="module")
def posterior(sampler, problem):
    return sampler.posterior(problem, key=0, progress=False)


def moments(values, weight):
    mean = np.tensordot(weight, values, (0, 0))
    return mean, np.sqrt(np.tensordot(weight, (values - mean) ** 2, (0, 0)))


def by_quadrature(data, points=48):
    """Exact means and SDs of (mu_a, mu_b, sigma_a, sigma_b, rho): mu integrated in closed form, the others on a
    grid."""
    u, rho = np.linspace(-4.0, 1.8, points), np.linspace(-0.99, 0.99, points)
    sa, sb, r = (g.ravel() for g in np.meshgrid(0.5 * np.exp(u), 0.5 * np.exp(u), rho, indexing="ij"))
    omega = np.stack([np.stack([sa**2, r * sa * sb], -1), np.stack([r * sa * sb, sb**2], -1)], -2)
    # half-normal(0.5) in the logarithm of sigma; LKJ(2) of two is (1 - rho²)
    log_p = sum(np.log(s) - 0.5 * (s / 0.5) ** 2 for s in (sa, sb)) + np.log1p(-(r**2))
    precision = np.tile(np.linalg.inv([[1.0, 0.4], [0.4, 1.0]]), (len(sa), 1, 1))
    pulled, square = np.zeros((len(sa), 2)), np.zeros(len(sa))
    for row in data:
        k = ~np.isnan(row)
        a, y = A[k], row[k]
        v = a @ omega @ a.T + np.diag(np.array(list(NOISE.values()))[k] ** 2)
        inverse = np.linalg.inv(v)
        log_p = log_p - 0.5 * np.linalg.slogdet(v)[1]
        precision = precision + a.T @ inverse @ a
        pulled = pulled + (a.T @ inverse) @ y
        square = square + (inverse @ y) @ y
    covariance = np.linalg.inv(precision)
    mean = (covariance @ pulled[..., None])[..., 0]
    log_p = log_p + 0.5 * np.linalg.slogdet(covariance)[1] - 0.5 * square + 0.5 * (pulled * mean).sum(1)
    w = np.exp(log_p - log_p.max())
    w /= w.sum()
    mu, between = moments(mean, w)
    within = np.tensordot(w, np.diagonal(covariance, axis1=1, axis2=2), (0, 0))
    spread, spread_sd = moments(np.stack([sa, sb, r], -1), w)
    predictive = np.tensordot(w, omega + covariance, (0, 0)) + np.cov(mean.T, aweights=w, bias=True)
    return (
        np.concatenate([mu, spread]),
        np.concatenate([np.sqrt(between**2 + within), spread_sd]),
        predictive,
    )


def test_a_linear_model_has_the_posterior_of_quadrature(posterior, data):
    """Effective sizes are near 1,500: four standard errors of a mean are 0.1 SD, of an SD 0.075 of it."""
    mean, sd, predictive = by_quadrature(data)
    drawn = np.concatenate([posterior.mean, posterior.sd, posterior.correlation[:, :1, 1]], axis=1)
    assert posterior.converged, posterior.verdict
    assert np.abs((drawn.mean(axis=0) - mean) / sd).max() < 0.12
    np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=0.1)
    # new patients: the law of total variance
    patients = posterior.new_patients(40_000, 1)
    np.testing.assert_allclose(patients.mean(axis=0), mean[:2], atol=0.12 * sd[:2].max())
    np.testing.assert_allclose(np.cov(patients.T), predictive, atol=0.08 * predictive.max())


def test_individuals_have_their_own_posteriors(posterior, data, sampler):
    """People are nearer to their data than the population is, and shrunk towards it."""
    theta, who = posterior.individuals(4000 * len(data), 2)
    assert (np.bincount(who) == 4000).all()
    own = np.array([theta[who == i].mean(axis=0) for i in range(len(data))])
    expected = posterior.scores.mean(axis=0)
    np.testing.assert_allclose(own, expected, atol=0.04)  # four standard errors; the transform is the identity
    seen, known = own @ A.T, ~np.isnan(data)
    assert np.abs((seen - data)[known]).mean() < 0.3
    centre = posterior.mean.mean(axis=0) @ A.T
    pulled = np.abs(seen - centre[None])[known].mean() / np.abs(data - centre[None])[known].mean()
    assert 0.4 < pulled < 1.0
    assert posterior.tree["posterior"]["scores"].shape == (4, 1000, len(data), 2)


def test_patients_of_the_sampler(sampler, problem, data):
    outputs = sampler.sample(problem, 500, key=5)
    about = outputs.details
    assert about["verdict"] == "converged" and about["rhat"] < 1.01 and about["ess"] > 400 and about["divergences"] <= 4
    assert about["evaluations"] >= about["gradients"] > 4 * 1000 * len(data)
    assert outputs.ledger.total == 500 and 0.8 < about["strictly_plausible"] < 1.0
    assert {"a: typical", "b: SD", "a, b: correlation"} <= set(about["law"]["parameter"])
    people = dataclasses.replace(sampler, of_people=True).sample(problem, 28, key=5)
    assert people.details["draw_of"] == [*range(14), *range(14)]


def test_what_has_not_converged_is_said(sampler, problem):
    short = dataclasses.replace(sampler, draws=20)
    with pytest.warns(ConvergenceWarning, match="not converged: .*effective sample size"):
        outputs = short.sample(problem, 10, key=1)
    assert outputs.details["verdict"].startswith("not converged") and len(outputs) == 10


def test_the_density_is_what_the_page_says(plain):
    """Three parameters, log and additive noise of unknown size, by scipy: the difference between two points."""
    prior = qspx.Joint(
        {"a": qspx.LogNormal.from_omega(2.0, 0.4), "b": qspx.Uniform(1.0, 3.0), "c": qspx.Normal(0.5, 2.0)},
        {("a", "c"): -0.3},
    )
    problem = PopulationProblem(Linear(plain), prior, Plausibility({}))
    rows = np.array([[2.0, 0.5], [np.nan, 1.0], [3.0, np.nan]])
    people = Individuals(("x", "y"), rows, {"x": 0.2, "y": 0.5}, additive=("y",), noise_known=False)
    density = HierarchicalDensity(problem, people, eta=3.0)
    # log-normal: exactly of the logarithm; uniform: slope of log(theta) at its median; normal: of the score
    slope = 2.0 * stats.norm.pdf(0) / 2.0
    np.testing.assert_allclose(density.sd_scales, [0.5 / 0.4, 0.5 / slope, 0.5], rtol=1e-10)
    assert density.dimensions == 3 + 3 + 3 + 9 + 2

    def law_of(free):  # (u, r, e) -> (sigma, correlations, noise)
        x = jnp.zeros(density.dimensions).at[3:9].set(free[:6]).at[18:].set(free[6:])
        law = density.law(x)
        correlation = law.factor @ law.factor.T
        return jnp.concatenate([law.sd, correlation[np.tril_indices(3, -1)], law.noise])

    slope_of, law_at = jax.jit(jax.jacfwd(law_of)), jax.jit(density.law)

    def expected(x):
        law = law_at(jnp.asarray(x))
        sd, noise = np.asarray(law.sd), np.asarray(law.noise)
        correlation = np.asarray(law.factor @ law.factor.T)
        np.testing.assert_allclose(np.diag(correlation), 1.0, rtol=1e-12)
        omega = correlation * np.outer(sd, sd)
        prior_c = np.array([[1, 0, -0.3], [0, 1, 0], [-0.3, 0, 1]])
        found = stats.multivariate_normal(np.zeros(3), prior_c).logpdf(np.asarray(law.mean))
        found += stats.halfnorm.logpdf(sd, scale=density.sd_scales).sum()
        found += stats.halfnorm.logpdf(noise, scale=[0.2, 0.5]).sum()
        found += (3.0 - 1) * np.log(np.linalg.det(correlation))
        jacobian = slope_of(jnp.concatenate([jnp.asarray(x[3:9]), jnp.asarray(x[18:])]))
        found += np.linalg.slogdet(np.asarray(jacobian))[1]
        scores = np.asarray(law.scores)
        found += stats.multivariate_normal(np.asarray(law.mean), omega).logpdf(scores).sum()
        found += len(rows) * 0.5 * np.linalg.slogdet(omega)[1]  # the scores as functions of zeta
        theta = np.stack([2 * np.exp(0.4 * scores[:, 0]), 1 + 2 * stats.norm.cdf(scores[:, 1])], -1)
        x_seen, y_seen = (theta @ A.T).T
        found += stats.norm.logpdf(np.log([2.0, 3.0]), np.log(x_seen[[0, 2]]), noise[0]).sum()
        return found + stats.norm.logpdf([0.5, 1.0], y_seen[:2], noise[1]).sum()

    rng = np.random.default_rng(0)
    at = 0.5 * rng.normal(size=(4, density.dimensions))
    mine = np.asarray(jax.jit(jax.vmap(density))(jnp.asarray(at)))
    theirs = np.array([expected(x) for x in at])
    np.testing.assert_allclose(mine - mine[0], theirs - theirs[0], atol=1e-9)


def test_a_failed_run_has_no_density(plain, problem, sampler):
    """Where one of the people fails the density is -inf; chains go on and stay on the other side."""
    edge = dataclasses.replace(problem, simulator=Linear(plain, fails=1.2))
    density = HierarchicalDensity(edge, sampler.people)
    x = jnp.zeros(density.dimensions)
    look = jax.jit(jax.value_and_grad(density))
    value, slope = look(x)
    assert np.isfinite(value) and np.isfinite(slope).all()
    beyond = x.at[0].set(3.0)
    value, slope = look(beyond)
    assert value == -np.inf and np.isfinite(slope).all()
    nowhere = dataclasses.replace(problem, simulator=Linear(plain, fails=-50.0))
    with pytest.raises(CalibrationError, match="no start.*narrow the prior"):
        dataclasses.replace(sampler, draws=20, warmup=20).posterior(nowhere, key=0, progress=False)


@pytest.mark.slow
def test_chains_beside_failures(plain, problem, data):
    people = Individuals(("x", "y"), data[:4], NOISE, additive=("x", "y"))
    edge = dataclasses.replace(problem, simulator=Linear(plain, fails=1.2))
    found = Hierarchical(people, draws=50, warmup=100, depth=6).posterior(edge, key=0, progress=False)
    assert np.isfinite(found.scores).all() and found.scores[..., 0].max() < 1.2
    assert np.isfinite(found.tree["sample_stats"]["lp"]).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": np.ones((1, 2))}, "at least two people"),
        ({"additive": ("z",)}, "additive.*'z'"),
        ({"noise": {"x": 0.1}}, "noise"),
        ({"noise": {"x": 0.1, "y": 0.0}}, "noise"),
        ({"data": np.array([[1.0, 1.0], [np.nan, np.nan]])}, "no measurement of the people .1."),
        ({"data": np.array([[1.0, 1.0], [-1.0, 1.0]])}, "person 1 has x = -1"),
    ],
)
def test_individuals_that_are_not_well_defined(change, said):
    given = {"names": ("x", "y"), "data": np.ones((2, 2)), "noise": NOISE} | change
    with pytest.raises(PopulationError, match=said):
        Individuals(**given)


def test_mistakes_are_named(problem, sampler, data):
    other = Individuals(("x", "w"), np.ones((2, 2)), {"x": 0.1, "w": 0.1})
    with pytest.raises(PopulationError, match="'w'"):
        Hierarchical(other).posterior(problem, key=0)
    with pytest.raises(PopulationError, match="spread"):
        dataclasses.replace(sampler, spread=-1.0).posterior(problem, key=0)
    with pytest.raises(CalibrationError, match="chains"):
        Hierarchical(sampler.people, chains=1)
    steps = dataclasses.replace(problem, prior=qspx.Joint({"a": qspx.Empirical([1.0, 2.0])}))
    with pytest.raises(PopulationError, match="single values"):
        sampler.posterior(steps, key=0)


@pytest.mark.slow
def test_simulation_based_calibration(plain):
    """Data simulated from draws of the priors: the rank of the truth among the draws is uniform (Talts 2018,
    arXiv:1804.06788). 128 data sets side by side, 63 thinned draws each, 8 bins of the ranks of mu, sigma and noise:
    chi-square with 7 degrees of freedom, 0.999 quantile 24.3."""
    import blackjax

    n, sets, thin, kept = 6, 128, 8, 63
    prior = qspx.Joint({"a": qspx.Normal(0.0, 1.0)})
    problem = PopulationProblem(Linear(plain), prior, Plausibility({}))
    rng = np.random.default_rng(11)
    mean, sd = rng.normal(size=sets), np.abs(rng.normal(size=sets)) * 0.5
    noise = np.abs(rng.normal(size=(sets, 2))) * 0.4
    theta = mean[:, None] + sd[:, None] * rng.normal(size=(sets, n))
    data = theta[..., None] * A[:, 0] + noise[:, None] * rng.normal(size=(sets, n, 2))
    people = Individuals(("x", "y"), np.ones((n, 2)), {"x": 0.4, "y": 0.4}, ("x", "y"), noise_known=False)

    density = HierarchicalDensity(problem, people)

    def one(key, rows):
        k1, k2, k3 = jax.random.split(key, 3)
        start = 0.3 * jax.random.normal(k1, (density.dimensions,))
        log_density = functools.partial(density.given, measured=rows)
        adapt = blackjax.window_adaptation(blackjax.nuts, log_density, target_acceptance_rate=0.95, max_num_doublings=7)
        (state, tuned), _ = adapt.run(k2, start, num_steps=300)
        kernel = blackjax.nuts(log_density, **tuned).step

        def step(state, key):
            state, _ = kernel(key, state)
            law = density.law(state.position)
            return state, jnp.concatenate([law.mean, law.sd, law.noise])

        _, drawn = jax.lax.scan(step, state, jax.random.split(k3, thin * kept))
        return drawn[thin - 1 :: thin]

    drawn = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), sets), jnp.asarray(data)))
    truth = np.concatenate([mean[:, None], sd[:, None], noise], axis=1)
    ranks = (drawn < truth[:, None]).sum(axis=1)
    for j, name in enumerate(("mu", "sigma", "noise of x", "noise of y")):
        counts = np.bincount(ranks[:, j] * 8 // (kept + 1), minlength=8)
        assert ((counts - sets / 8) ** 2 / (sets / 8)).sum() < 24.3, (name, counts)
