"""Fits whose maximum is known, and what becomes of every start."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from closed_form import closed_form, linear, rosenbrock
from scipy.optimize import least_squares
from uncertainty_systems import line

from qspx import FirstOrder, FitStatus, GivenStarts, SobolStarts, StartsAround, TrustRegion, fit
from qspx._errors import CalibrationError
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.fit_status import FIT_STATUS_ADVICE
from qspx.calibrate.noise import LogNormalNoise

METHODS = {
    "trust region": TrustRegion(),
    "adam": FirstOrder(optax.adam(0.02), max_iterations=3000, patience=200, value_tolerance=1e-12),
}


def decay(sd_estimated: bool = True):
    """Two-exponential decay with log-normal noise, sd estimated."""
    t = np.linspace(0.2, 12.0, 25)
    rng = np.random.default_rng(5)
    y = (8.0 * np.exp(-1.3 * t) + 2.0 * np.exp(-0.15 * t)) * np.exp(0.05 * rng.standard_normal(len(t)))

    def formula(v):
        return v[0] * jnp.exp(-v[1] * t) + v[2] * jnp.exp(-v[3] * t), jnp.full(len(t), v[4]), True

    names = {"A": (0.01, 100.0), "a": (0.5, 10.0), "B": (0.01, 100.0), "b": (0.001, 0.5), "sd": (1e-3, 1.0)}
    return closed_form(tuple(Estimated(k, b) for k, b in names.items()), y, formula, LogNormalNoise()), t, y


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_linear_regression_is_exact(method):
    """Estimates by the normal equations, standard errors by the inverse of A'A: closed forms. Tolerances are those to
    which the methods converge; Adam ends within 1e-6 of an estimate."""
    o, best, se = linear()
    found = fit(o, key=1, starts=4, method=method, progress=False)
    np.testing.assert_allclose(found.x, best, rtol=1e-5 if isinstance(method, FirstOrder) else 1e-9)
    np.testing.assert_allclose(found.to_dataframe()["se"], se, rtol=1e-9)
    assert found.hits() == 4
    np.testing.assert_allclose(found.to_dataframe()["high"] - found.x, 1.959963985 * se, rtol=1e-8)


def test_the_same_as_scipys_least_squares():
    """Estimates and standard errors of a two-exponential decay on the log scale: for log-normal noise the maximum is
    that of least squares of the logarithms, sd² the mean square (closed form)."""
    o, t, y = decay()
    found = fit(o, key=0, starts=8, progress=False)

    def residuals(x):
        A, a, B, b = np.exp(x)
        return np.log(y) - np.log(A * np.exp(-a * t) + B * np.exp(-b * t))

    low, high = o.box[:4].T
    best = least_squares(
        residuals, np.log([5.0, 1.0, 1.0, 0.1]), bounds=(low, high), xtol=1e-12, ftol=1e-12, gtol=1e-12
    )
    sd = np.sqrt(np.mean(best.fun**2))
    np.testing.assert_allclose(found.x[:4], best.x, atol=1e-6)
    assert found.parameters["sd"] == pytest.approx(sd, rel=1e-6)
    covariance = sd**2 * np.linalg.inv(best.jac.T @ best.jac)  # least_squares gives the Jacobian by differences
    np.testing.assert_allclose(found.information.se[:4], np.sqrt(np.diag(covariance)), rtol=1e-4)
    assert found.value == pytest.approx(float(o.log_posterior(found.x)), rel=1e-12)


def test_a_curved_valley():
    found = fit(rosenbrock(), key=0, starts=20, progress=False)
    np.testing.assert_allclose(found.x, [1.0, 1.0], atol=1e-6)
    assert found.hits() == 20


def test_an_optimum_on_a_bound():
    """With b held below its unconstrained estimate, the maximum is on that bound and a is the closed form given b; the
    gradient there pushes outward, and no slope is left inside (Karush, Kuhn & Tucker)."""
    o, best, _ = linear(upper=best_b() - 0.2)
    found = fit(o, key=2, starts=5, progress=False)
    assert list(found.at_bound) == [0, 1]
    assert found.x[1] == o.box[1, 1]
    assert found.x[0] == pytest.approx(best[0] + 0.2 * np.linspace(-1, 3, 30).mean(), rel=1e-9)
    assert found.search.gradient[found.order[0], 1] > 0
    assert np.abs(found.gradient).max() < 1e-6
    row = found.to_dataframe().set_index("parameter").loc["b"]
    assert row["bound"] == "upper" and np.isnan(row["se"])
    assert found.to_dataframe()["se"][0] == pytest.approx(0.5 / np.sqrt(30))
    assert "At a bound" in str(found) and "upper" in str(found)


def best_b() -> float:
    return float(linear()[1][1])


def failing(where):
    """The straight line, whose runs fail where `where(a, b)` says so."""
    o = linear()[0]
    A = np.stack([np.ones(30), np.linspace(-1, 3, 30)], axis=1)
    return closed_form(o.estimated, o.value, lambda v: (A @ v, jnp.full(30, 0.5), ~where(v[0], v[1])))


def test_failed_regions_are_left_and_counted():
    """A third of the box fails, candidates there are replaced; the rest reaches the maximum, which is 0.7 away."""
    found = fit(failing(lambda a, b: b > 0.0), key=0, starts=16, progress=False)
    assert found.run.discarded > 0
    assert found.hits() == 16
    assert f"{found.run.discarded} candidates replaced" in str(found)


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_a_start_that_fails_has_a_row(method):
    """None of the given starts is replaced: one fails, and the numbers of the others are what they are without it."""
    o = failing(lambda a, b: b > 5.0)
    starts = [[0.0, 0.0], [0.0, 9.0], [-5.0, 3.0]]
    found = fit(o, key=0, starts=GivenStarts(starts), method=method, progress=False)
    assert FitStatus(int(found.search.status[1])) is FitStatus.FAILED_START
    table = found.starts.set_index("start")
    assert table.loc[1, "status"] == "failed_start" and table.loc[1, "value"] == -np.inf
    assert found.ledger["n"].sum() == 3
    assert found.run.discarded == 0
    without = fit(o, key=0, starts=GivenStarts(starts[::2]), method=method, progress=False)
    np.testing.assert_array_equal(found.xs[[0, 2]], without.xs)


def test_all_starts_fail():
    with pytest.raises(CalibrationError) as error:
        fit(failing(lambda a, b: a > -100.0), key=0, starts=4, progress=False)
    message = str(error.value)
    assert "Not one of 40 candidates" in message
    assert "32 of 32 runs ended with max_steps: step limit reached" in message
    assert "narrow the bounds" in message


def test_a_likelihood_that_is_nowhere_finite_names_the_measurements():
    """Log-normal noise around a prediction that is negative."""
    o = closed_form(
        (Estimated("a", (0.1, 1.0)),),
        [1.0, 2.0, 3.0],
        lambda v: (v[0] * jnp.array([1.0, -1.0, 1.0]), jnp.ones(3), True),
        LogNormalNoise(),
    )
    with pytest.raises(CalibrationError, match=r"all runs solved, but 1 measurements \(rows 1\) have no finite"):
        fit(o, key=0, starts=2, progress=False)


def test_the_same_seed_gives_the_same_fit():
    a, b, other = (fit(rosenbrock(), key=k, starts=SobolStarts(6), progress=False) for k in (3, 3, 4))
    np.testing.assert_array_equal(a.xs, b.xs)
    assert (a.run.start_value != other.run.start_value).all()


def test_a_limit_of_iterations_is_told():
    found = fit(rosenbrock(), key=0, starts=5, method=TrustRegion(max_iterations=2), progress=False)
    assert (found.search.iterations <= 2).all()
    assert "max_iterations: iteration limit reached" in str(found)
    assert found.run.history.shape == (3, 5)
    assert (np.diff(found.run.history, axis=0) >= 0).all()


def test_few_programs_are_compiled():
    """One per size of a batch (8, 32, 128), however many starts are still running."""
    o = rosenbrock()
    fit(o, key=0, starts=20, progress=False)
    fit(o, key=1, starts=7, progress=False)
    assert o.evaluations._cache_size() == 2


def test_one_parameter_and_one_start():
    o = closed_form((Estimated("a", (0.1, 10.0), value=0.2),), [3.0], lambda v: (v, jnp.ones(1), True))
    found = fit(o, key=0, starts=StartsAround(1), progress=False)
    assert found.parameters["a"] == pytest.approx(3.0, rel=1e-6)


def test_what_the_measurements_do_not_tell_has_no_standard_error():
    o = closed_form(
        tuple(Estimated(k, (0.1, 10.0)) for k in "ab"), [3.0], lambda v: (v[:1] * v[1], jnp.full(1, 0.1), True)
    )
    found = fit(o, key=0, starts=4, progress=False)
    assert np.isinf(found.to_dataframe()["se"]).all()
    assert "Not told by the measurements" in str(found)


def test_the_table_has_every_column():
    found = fit(decay()[0], key=0, starts=4, progress=False)
    text = str(found)
    for word in ("parameter", "estimate", "scale", "SE", "95 % CI", "bound", "gradient", "4 starts", "sd"):
        assert word in text
    table = found.starts
    assert list(table["value"]) == sorted(table["value"], reverse=True)
    assert set(table.columns) >= {
        "start",
        "status",
        "start_value",
        "value",
        "gradient",
        "iterations",
        "evaluations",
        "sd",
    }
    assert found.predict().prediction.shape == (25,)


def test_figures():
    import matplotlib.pyplot as plt

    found = fit(rosenbrock(), key=0, starts=6, progress=False)
    for plot in (found.plot_waterfall, found.plot_parameters, found.plot_history, found.plot_predictions):
        ax = plot()
        assert ax.lines
        plt.close(ax.figure)
    ax = found.plot_residuals()
    np.testing.assert_allclose(ax.lines[0].get_ydata(), found.objective.residuals(found.x))
    plt.close(ax.figure)


def test_status_codes_never_change():
    names = ["GRADIENT", "VALUE", "STEP", "MAX_ITERATIONS", "FAILED_START", "STALLED", "RUNNING", "AT_KINK"]
    assert [(s.name, int(s)) for s in FitStatus] == [(name, i) for i, name in enumerate(names)]
    assert set(FIT_STATUS_ADVICE) == set(FitStatus)
    converged = [FitStatus.GRADIENT, FitStatus.VALUE, FitStatus.STEP, FitStatus.AT_KINK]
    assert [s for s in FitStatus if s.converged] == converged


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"problem": 3}, "`problem` must be a CalibrationProblem or an Objective, but is int"),
        ({"save_every": 0}, "`save_every` must be at least 1"),
        ({"starts": 0}, "must be a positive whole number"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(CalibrationError, match=message):
        fit(**({"problem": rosenbrock(), "key": 0} | arguments))


@pytest.mark.parametrize("make", [lambda: TrustRegion(radius=0.0), lambda: FirstOrder(optax.sgd(0.1), patience=0)])
def test_mistakes_of_methods(make):
    with pytest.raises(CalibrationError, match="must be positive"):
        make()


def test_an_optimiser_of_another_library():
    with pytest.raises(CalibrationError, match="must be one of optax"):
        FirstOrder(3)


def test_a_fit_knows_its_uncertainty():
    """A straight line: profile and Laplace's approximation are exact, so all agree with the normal equations."""
    o, best, covariance = line()
    found = fit(o, key=1, starts=2, progress=False)
    assert found.identifiability().identifiable
    name, half = o.names[1], 1.959963985 * np.sqrt(covariance[1, 1])
    ends = found.profile(name, progress=False).to_dataframe()
    assert list(ends["parameter"]) == [name]
    np.testing.assert_allclose(ends[["low", "high"]].to_numpy()[0], [best[1] - half, best[1] + half], rtol=1e-6)
    np.testing.assert_allclose(found.laplace().information.covariance, covariance, rtol=1e-6)
