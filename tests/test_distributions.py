"""Distributions against scipy.stats, the copula against its multivariate normal, draws against their promises."""

import math

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import scipy.stats as st
from hypothesis import given, settings
from hypothesis import strategies as hs
from scipy.special import expit

import qspx
from qspx._errors import QspxError, SolveError
from qspx._precision import require_x64
from qspx._random import as_key
from qspx.distributions import (
    AbstractDistribution,
    Empirical,
    Joint,
    LogitNormal,
    LogNormal,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
    base,
)

OMEGA = math.sqrt(math.log(1 + 0.4**2))


def logitnorm(median, omega, low, high):
    """Logit-normal as scipy knows none: quantile, density, and moments by quadrature over the density."""
    width, centre = high - low, math.log((median - low) / (high - median))

    class Oracle:
        def ppf(self, u):
            return low + width * expit(centre + omega * st.norm.ppf(u))

        def logpdf(self, x):
            s = (x - low) / width
            return st.norm.logpdf(np.log(s / (1 - s)), centre, omega) - np.log(s * (1 - s)) - np.log(width)

        def mean(self):
            return st.norm.expect(lambda z: low + width * expit(centre + omega * z))

        def std(self):
            mean = self.mean()
            return math.sqrt(st.norm.expect(lambda z: (low + width * expit(centre + omega * z) - mean) ** 2))

    return Oracle()


def truncnorm(mean, sd, low, high):
    return st.truncnorm((low - mean) / sd, (high - mean) / sd, mean, sd)


CONTINUOUS = [
    (Normal(-2.0, 3.0), st.norm(-2, 3)),
    (LogNormal(5.0, cv=0.4), st.lognorm(OMEGA, scale=5)),
    (LogNormal.from_omega(5.0, 1.5), st.lognorm(1.5, scale=5)),
    (Uniform(-1.0, 3.0), st.uniform(-1, 4)),
    (LogUniform(1e-3, 10.0), st.loguniform(1e-3, 10)),
    (LogitNormal(0.3, 1.2), logitnorm(0.3, 1.2, 0, 1)),
    (LogitNormal(4.0, 0.5, low=2.0, high=5.0), logitnorm(4, 0.5, 2, 5)),
    (TruncatedNormal(70.0, 15.0, low=40.0, high=120.0), truncnorm(70, 15, 40, 120)),
    (TruncatedNormal(0.0, 1.0, low=0.5), truncnorm(0, 1, 0.5, math.inf)),
    (TruncatedNormal(0.0, 1.0, low=8.0, high=9.0), truncnorm(0, 1, 8, 9)),
    (TruncatedNormal(0.0, 1.0, high=-8.0), truncnorm(0, 1, -math.inf, -8)),
]
CASES = pytest.mark.parametrize("ours, oracle", CONTINUOUS, ids=[str(ours) for ours, _ in CONTINUOUS])
U = np.array([1e-9, 1e-3, 0.05, 0.3, 0.5, 0.8, 0.99, 1 - 1e-6])


def test_every_distribution_is_held_to_the_oracle():
    tested = {type(ours) for ours, _ in CONTINUOUS} | {Empirical}
    ours = {kind for kind in AbstractDistribution.__subclasses__() if kind.__module__.startswith("qspx.distributions")}
    assert ours == tested


@CASES
def test_quantiles(ours, oracle):
    # scipy and jax invert Φ by different rational approximations, each good to about 1e-13 in the result.
    np.testing.assert_allclose(ours.quantile(U), oracle.ppf(U), rtol=1e-10)


@CASES
def test_log_density(ours, oracle):
    x = oracle.ppf(U[1:-1])
    np.testing.assert_allclose(ours.log_prob(jnp.asarray(x)), oracle.logpdf(x), rtol=1e-9, atol=1e-9)


@CASES
def test_moments(ours, oracle):
    # Far-tail variance is a difference of terms near 64: four digits of sixteen are lost.
    np.testing.assert_allclose(ours.moments(), (oracle.mean(), oracle.std()), rtol=1e-8)


@CASES
def test_score_and_value_are_inverse(ours, oracle):
    z = jnp.linspace(-5.0, 5.0, 21)
    x = ours.from_normal(z)
    assert np.all(np.diff(x) > 0)
    # A value near a bound holds fewer digits of its score: spacing of x over its slope in z.
    slope = np.asarray(jax.vmap(jax.grad(lambda s: ours.from_normal(s[None])[0]))(z))
    lost = 64 * np.spacing(np.abs(x)) / slope
    assert np.all(np.abs(ours.to_normal(x) - z) < 1e-9 + lost)


BOUNDED_BELOW = [ours for ours, oracle in CONTINUOUS if oracle.ppf(0.0) > -math.inf]


@pytest.mark.parametrize("ours", BOUNDED_BELOW, ids=str)
def test_outside_the_support_is_impossible_and_has_a_gradient(ours):
    outside = jnp.asarray(ours.quantile([1e-9]) - 300.0)
    assert ours.log_prob(outside)[0] == -jnp.inf
    assert jnp.isfinite(jax.grad(lambda x: ours.log_prob(x)[0])(outside))[0]


def test_truncated_normal_far_out_keeps_its_digits():
    # Beyond 30 sd the excess over the bound is exponential with rate 30 to first order in 1/30².
    far = TruncatedNormal(0.0, 1.0, low=30.0)
    excess = np.asarray(far.quantile(U)) - 30.0
    np.testing.assert_allclose(excess[2:], -np.log1p(-U[2:]) / 30, rtol=2 / 30**2 * 14)
    assert np.all(excess >= 0)


def test_cv_is_that_of_the_parameter_and_omega_that_of_its_logarithm():
    assert float(LogNormal(1.0, cv=0.3).omega) == pytest.approx(math.sqrt(math.log(1.09)), rel=1e-14)
    mean, sd = LogNormal.from_omega(2.0, 0.7).moments()
    assert sd / mean == pytest.approx(math.sqrt(math.expm1(0.49)), rel=1e-14)


def test_empirical_draws_what_was_observed():
    values, weights = [3.0, 1.0, 2.0, 3.0], [1.0, 2.0, 0.0, 1.0]
    ours = Empirical(values, weights)
    # numpy's weighted quantiles by the inverse of the distribution function, its definition in Hyndman & Fan's list.
    u = np.array([0.01, 0.3, 0.49, 0.51, 0.9, 1.0])
    np.testing.assert_array_equal(ours.quantile(u), np.quantile(values, u, weights=weights, method="inverted_cdf"))
    np.testing.assert_allclose(np.exp(ours.log_prob(jnp.asarray([1.0, 2.0, 3.0, 4.0]))), [0.5, 0, 0.5, 0], atol=1e-15)
    assert ours.moments() == (2.0, 1.0)
    np.testing.assert_allclose(ours.to_normal(jnp.asarray([1.0, 3.0])), st.norm.ppf([0.25, 0.75]), rtol=1e-12)


def test_empirical_survives_weights_that_round_below_one():
    ours = Empirical(np.arange(10.0), np.full(10, 0.1))
    assert ours.quantile(np.array([1.0]))[0] == 9.0


WRONG = [
    (lambda: Normal(math.nan, 1.0), "`mean`"),
    (lambda: Normal(0.0, -1.0), "`sd`"),
    (lambda: LogNormal(-1.0, cv=0.3), "`median`"),
    (lambda: LogNormal(1.0, cv=0.0), "does not vary"),
    (lambda: LogNormal(1.0, cv=math.nan), "`cv`"),
    (lambda: LogNormal.from_omega(1.0, 0.0), "`omega`"),
    (lambda: LogNormal("a", cv=0.3), "'a'"),
    (lambda: Uniform(2.0, 1.0), "`high`"),
    (lambda: LogUniform(0.0, 1.0), "`low`"),
    (lambda: LogitNormal(2.0, 1.0), "`median`"),
    (lambda: LogitNormal(0.5, 0.0), "`omega`"),
    (lambda: TruncatedNormal(0.0, 1.0, low=1.0, high=1.0), "`high`"),
    (lambda: TruncatedNormal(0.0, 1.0, low=36.0), "35 `sd`"),
    (lambda: Empirical([]), "`values`"),
    (lambda: Empirical([1.0, math.nan]), "finite"),
    (lambda: Empirical([1.0, 2.0], [1.0]), "`weights`"),
    (lambda: Empirical([1.0, 2.0], [1.0, -1.0]), "`weights`"),
    (lambda: Joint({}), "at least one"),
    (lambda: Joint({"CL": 0.3}), "A constant"),  # pyright: ignore[reportArgumentType]
    (lambda: pair("CL", "Vd"), "Did you mean `V`"),
    (lambda: pair("CL", "CL"), "two parameters"),
    (lambda: pair("CL", "V", 1.0), "between -1 and 1"),
    (lambda: pair("CL", "V", math.nan), "between -1 and 1"),
    (lambda: Joint(THREE, {("CL", "V"): 0.5, ("V", "CL"): 0.5}), "both orders"),
]
THREE = {"CL": LogNormal(0.3, cv=0.4), "V": LogNormal(3.0, cv=0.2), "ka": Normal(0.0, 1.0)}


def pair(first, second, rho=0.5):
    return Joint(THREE, {(first, second): rho})


@pytest.fixture
def without_type_checks():
    """As outside the tests, where no hook refuses a wrong type before our own message can."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("make, message", WRONG, ids=[message for _, message in WRONG])
def test_wrong_arguments_say_what_and_how(make, message, without_type_checks):
    with pytest.raises(QspxError, match=message):
        make()


def test_correlations_that_cannot_be_name_the_pair_and_the_repair():
    wrong = {("CL", "V"): 0.9, ("V", "ka"): 0.9}
    with pytest.raises(QspxError, match=r"positive definite.*\(`(CL|V)`, `(V|ka)`\)") as error:
        Joint(THREE, wrong)
    factor = float(str(error.value).split(" by ")[1].split()[0])
    # C has eigenvalues 1 and 1 ± 0.9 √2, so that the largest factor is 1 / (0.9 √2) = 0.786.
    assert factor == pytest.approx(1 / (0.9 * math.sqrt(2)), abs=0.02)
    Joint(THREE, {names: factor * rho for names, rho in wrong.items()})


JOINT = Joint(
    {
        "CL": LogNormal(0.3, cv=0.4),
        "V": LogNormal(3.0, cv=0.2),
        "ka": LogUniform(0.1, 10.0),
        "F": LogitNormal(0.7, 0.8),
        "WT": TruncatedNormal(70.0, 15.0, low=40.0, high=120.0),
        "R0": Empirical([1.0, 2.0, 5.0]),
        "T0": Uniform(0.0, 2.0),
    },
    {("CL", "V"): 0.6, ("CL", "ka"): -0.3, ("V", "WT"): 0.5},
)


@pytest.fixture(scope="module")
def ten_thousand():
    return JOINT.sample(7, range(10_000))


def test_a_subject_is_the_same_whoever_else_is_asked_for(ten_thousand):
    np.testing.assert_array_equal(JOINT.sample(7, range(10)), ten_thousand[:10])
    np.testing.assert_array_equal(JOINT.sample(7, [9_999]), ten_thousand[-1:])
    order = np.random.default_rng(0).permutation(10_000)
    np.testing.assert_array_equal(JOINT.sample(7, order), ten_thousand[order])


@settings(max_examples=20, deadline=None)
@given(hs.lists(hs.integers(0, 9_999), max_size=300))
def test_any_ids_in_any_order_and_twice(ten_thousand, ids):
    np.testing.assert_array_equal(JOINT.sample(7, ids), ten_thousand[ids])


def test_another_parameter_leaves_the_others_alone(ten_thousand):
    more = Joint({**JOINT.marginals, "new": Normal(0.0, 1.0)}, JOINT.correlations)
    np.testing.assert_array_equal(more.sample(7, range(300))[:, :-1], ten_thousand[:300])
    # Not even the last bit changes: no compiled program holds two parameters.
    alone = Joint({"T0": JOINT.marginals["T0"]})
    np.testing.assert_array_equal(alone.sample(7, range(300))[:, 0], ten_thousand[:300, -1])


def test_keys(ten_thousand):
    for key in (np.int64(7), jax.random.key(7), jax.random.PRNGKey(7)):
        np.testing.assert_array_equal(JOINT.sample(key, range(5)), ten_thousand[:5])
    assert not np.any(JOINT.sample(8, range(5))[:, :5] == ten_thousand[:5, :5])


@pytest.mark.parametrize("key", [None, 0.5, True, "seed", np.zeros(3)])
def test_what_is_no_key(key):
    with pytest.raises(QspxError, match="`key`"):
        as_key(key)


def test_marginals_are_those_asked_for(ten_thousand):
    oracles = {
        "CL": st.lognorm(OMEGA, scale=0.3),
        "ka": st.loguniform(0.1, 10),
        "WT": truncnorm(70, 15, 40, 120),
        "T0": st.uniform(0, 2),
    }
    for name, oracle in oracles.items():
        column = ten_thousand[:, JOINT.names.index(name)]
        # The seed is fixed; a right sampler falls below 1e-4 for one seed in 2,500 over these four.
        assert st.kstest(column, oracle.cdf).pvalue > 1e-4, name
    observed = np.unique(ten_thousand[:, JOINT.names.index("R0")], return_counts=True)
    np.testing.assert_array_equal(observed[0], [1.0, 2.0, 5.0])
    # Standard error of each count is 47.
    np.testing.assert_allclose(observed[1], 10_000 / 3, atol=4 * 47)


def test_correlations_are_recovered(ten_thousand):
    scores = np.stack(
        [d.to_normal(jnp.asarray(x)) for d, x in zip(JOINT.marginals.values(), ten_thousand.T, strict=True)]
    )
    found = np.corrcoef(scores)
    wanted = np.eye(7)
    for (a, b), rho in JOINT.correlations.items():
        i, j = JOINT.names.index(a), JOINT.names.index(b)
        wanted[i, j] = wanted[j, i] = rho
    # Standard error (1 - ρ²)/√n ≤ 0.01; 21 pairs.
    np.testing.assert_allclose(found, wanted, atol=0.04)


def test_joint_density_is_the_multivariate_lognormal():
    joint = Joint({"CL": LogNormal(0.3, cv=0.4), "V": LogNormal(3.0, cv=0.2)}, {("CL", "V"): 0.6})
    omega = np.sqrt(np.log1p(np.array([0.4, 0.2]) ** 2))
    covariance = np.outer(omega, omega) * np.array([[1, 0.6], [0.6, 1]])
    x = joint.sample(1, range(20))
    wanted = st.multivariate_normal(np.log([0.3, 3.0]), covariance).logpdf(np.log(x)) - np.log(x).sum(axis=1)
    np.testing.assert_allclose(joint.log_prob(x), wanted, rtol=1e-11)


def test_joint_density_integrates_to_one():
    joint = Joint({"a": Uniform(0.0, 2.0), "b": LogitNormal(0.4, 0.7)}, {("a", "b"): 0.5})
    n = 400
    middle = (np.arange(n) + 0.5) / n
    a, b = np.meshgrid(2 * middle, middle, indexing="ij")
    density = np.exp(joint.log_prob(np.stack([a.ravel(), b.ravel()], axis=1)))
    # Midpoint rule; the density's square-root singularities at the corners leave about 1e-4.
    assert density.mean() * 2 == pytest.approx(1.0, abs=1e-3)


def test_log_prob_outside_and_its_gradient():
    joint = Joint({"a": Uniform(0.0, 2.0), "b": LogNormal(1.0, cv=0.5)}, {("a", "b"): 0.5})
    rows = jnp.asarray([[1.0, 1.0], [3.0, 1.0], [1.0, -1.0]])
    assert np.isfinite(joint.log_prob(rows)).tolist() == [True, False, False]
    gradient = jax.grad(lambda x: joint.log_prob(x)[0])(rows[:1])
    step = 1e-6
    for column in range(2):
        shift = np.zeros((1, 2))
        shift[0, column] = step
        slope = (joint.log_prob(rows[:1] + shift) - joint.log_prob(rows[:1] - shift)) / (2 * step)
        assert float(gradient[0, column]) == pytest.approx(float(slope[0]), rel=1e-6, abs=1e-8)


def test_log_prob_of_correlated_single_values_is_refused():
    joint = Joint({"a": Empirical([1.0, 2.0]), "b": Normal(0.0, 1.0)}, {("a", "b"): 0.3})
    with pytest.raises(QspxError, match="continuous"):
        joint.log_prob([[1.0, 0.0]])
    free = Joint(joint.marginals)
    assert float(free.log_prob([[1.0, 0.0]])[0]) == pytest.approx(math.log(0.5) + st.norm.logpdf(0), rel=1e-12)


@pytest.mark.parametrize("values", [[1.0, 2.0], [[1.0, 2.0]], 3.0])
def test_log_prob_wants_one_column_a_parameter(values):
    with pytest.raises(QspxError, match=r"shape \(n, 3\)"):
        Joint(THREE).log_prob(values)


@pytest.mark.parametrize("ids", [5, [-1], [0.5], [2**32], [[1]]])
def test_ids_are_whole_numbers(ids, without_type_checks):
    with pytest.raises(QspxError, match="`ids`"):
        Joint(THREE).sample(0, ids)


def test_no_ids_no_rows():
    assert Joint(THREE).sample(0, []).shape == (0, 3)


def test_float32_is_refused():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(SolveError, match="qspx.enable_x64"):
            Joint(THREE).sample(0, range(3))
        require_x64(allow_float32=True)
    finally:
        qspx.enable_x64()


def test_other_numbers_do_not_compile_anew():
    Joint(THREE).sample(0, range(3))
    before = base.value._cache_size()
    Joint({"a": LogNormal(1, cv=2), "b": Normal(1, 1), "c": Normal(2, 1), "d": LogNormal(1, 1)}).sample(5, range(2000))
    assert base.value._cache_size() == before


def test_describe():
    table = JOINT.describe().set_index("parameter")
    assert list(table.index) == list(JOINT.names)
    assert table.loc["CL", "median"] == pytest.approx(0.3, rel=1e-12)
    assert table.loc["CL", "cv"] == pytest.approx(0.4, rel=1e-12)
    assert table.loc["V", "p95"] == pytest.approx(st.lognorm(math.sqrt(math.log(1.04)), scale=3).ppf(0.95), rel=1e-10)
    assert table.loc["V", "correlations"] == "CL: 0.6, WT: 0.5"
