"""The Rosenbrock solvers on systems with known solutions, states and gradients."""

from __future__ import annotations

import diffrax
import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from scipy.integrate import solve_ivp

from qspx.integrate import rosenbrock
from qspx.integrate.rosenbrock import Rodas4P, Rodas5P

SOLVERS = [Rodas5P(), Rodas4P()]
solvers = pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)


def riccati(t, y, args):
    """Nonlinear, coupled, time-dependent; y = (1 / (1 + t + sin t), exp(sin t)) from (1, 1)."""
    return jnp.stack(
        [-(y[0] ** 2) * (1 + jnp.cos(t)), jnp.cos(t) * y[1] + (y[0] - 1 / (1 + t + jnp.sin(t))) * y[0] * y[1]]
    )


def riccati_exact(t):
    return np.stack([1 / (1 + t + np.sin(t)), np.exp(np.sin(t))], axis=-1)


def prothero_robinson(t, y, args):
    """Stiff relaxation at rate `args` towards y = sin(t + pi/4)."""
    return -args * (y - jnp.sin(t + jnp.pi / 4)) + jnp.cos(t + jnp.pi / 4)


def robertson(t, y, args):
    """Robertson's kinetics: three rate constants over nine decades."""
    k1, k2, k3 = args
    slow, back, fast = k1 * y[0], k2 * y[1] * y[2], k3 * y[1] ** 2
    return jnp.stack([back - slow, slow - back - fast, fast])


def chain(t, y, args):
    """Two compartments in a row, rates `args`; see `chain_exact`."""
    k, m = args
    return jnp.stack([-k * y[0], k * y[0] - m * y[1]])


def chain_exact(t, k, m):
    """Second compartment from (1, 0)."""
    return k / (m - k) * (np.exp(-k * t) - np.exp(-m * t))


def solve(field, solver, t1, y0, args=None, *, rtol=1e-8, atol=1e-10, saveat=None, t0=0.0, dt0=1e-3, **options):
    controller = diffrax.PIDController(rtol=rtol, atol=atol)
    saveat = saveat or diffrax.SaveAt(t1=True)
    return diffrax.diffeqsolve(
        diffrax.ODETerm(field), solver, t0, t1, dt0, y0, args, saveat=saveat, stepsize_controller=controller, **options
    )


def fixed_steps(field, solver, steps, t1, y0, args=None):
    """End state and the states at three fractions of every step, `(steps, 3, n)`, with their times."""
    terms, h = diffrax.ODETerm(field), t1 / steps
    fractions = jnp.array([0.25, 0.5, 0.8])

    def body(y, k):
        start = k * h
        y1, _, info, _, _ = solver.step(terms, start, start + h, y, args, None, False)
        dense = solver.interpolation_cls(t0=start, t1=start + h, **info)
        times = start + fractions * h
        return y1, (times, jax.vmap(dense.evaluate)(times))

    y1, (times, inside) = jax.lax.scan(body, y0, jnp.arange(steps, dtype=float))
    return np.asarray(y1), np.asarray(times), np.asarray(inside)


def observed_orders(field, exact, solver, counts, t1, args=None):
    """Convergence orders of the end state and of the dense output between two step counts."""
    ends, insides = [], []
    for steps in counts:
        y1, times, inside = fixed_steps(field, solver, steps, t1, jnp.asarray(exact(np.array(0.0))), args)
        ends.append(np.abs(y1 - exact(np.array(t1))).max())
        insides.append(np.abs(inside - exact(times)).max())
    ratio = np.log(counts[1] / counts[0])
    return np.log(ends[0] / ends[1]) / ratio, np.log(insides[0] / insides[1]) / ratio


@solvers
def test_convergence_order_of_solution_and_dense_output(solver):
    end, inside = observed_orders(riccati, riccati_exact, solver, (80, 160), 2.0)
    assert end == pytest.approx(solver.tableau.order, abs=0.3)
    # A dense output of order q has local error h^(q+1), on top of the global error of the method.
    assert inside == pytest.approx(solver.tableau.order, abs=0.3)


def test_order_is_lost_without_the_time_derivative(monkeypatch):
    """Guards the test above: it must see a missing term."""
    monkeypatch.setattr(rosenbrock, "_time_drift", lambda *_: None)
    end, inside = observed_orders(riccati, riccati_exact, Rodas5P(), (80, 160), 2.0)
    assert end < 3.2
    assert inside < 2.3


@solvers
def test_no_collapse_of_order_on_prothero_robinson(solver):
    """Both methods are built to keep their order on this problem, where others fall to 1 or 2 (Steinebach 2023).

    At rate 1e6 end states have errors of about h^3 / rate; inside the step, the dense output has h^4.
    """

    def exact(t):
        return np.sin(t + np.pi / 4)[..., None]

    y1, _, _ = fixed_steps(prothero_robinson, solver, 20, 2.0, jnp.asarray(exact(np.array(0.0))), 1e6)
    assert np.abs(y1 - exact(np.array(2.0))).max() < 1e-10
    end, dense = observed_orders(prothero_robinson, exact, solver, (10, 20), 2.0, 1e6)
    assert end > 2.7
    assert dense == pytest.approx(4, abs=0.2)


def test_robertson_agrees_with_radau():
    args = (0.04, 1e4, 3e7)
    y0, times = np.array([1.0, 0.0, 0.0]), np.array([0.4, 40.0, 4e3, 4e5])
    field = jax.jit(lambda y: robertson(0.0, y, args))
    jacobian = jax.jit(jax.jacfwd(lambda y: robertson(0.0, y, args)))
    reference = solve_ivp(
        lambda t, y: np.asarray(field(y)),
        (0.0, times[-1]),
        y0,
        method="Radau",
        t_eval=times,
        jac=lambda t, y: np.asarray(jacobian(y)),
        rtol=1e-10,
        atol=1e-14,
    ).y.T
    found = solve(robertson, Rodas5P(), times[-1], jnp.asarray(y0), args, saveat=diffrax.SaveAt(ts=times), atol=1e-13)
    # rtol 1e-8 per step; the slow decay adds the errors of some hundred steps.
    np.testing.assert_allclose(found.ys, reference, rtol=1e-6)
    np.testing.assert_allclose(np.sum(found.ys, axis=1), 1.0, atol=1e-12)  # mass is a linear invariant, kept exactly
    assert found.stats["num_steps"] < 1000


@solvers
@pytest.mark.parametrize("n", [3, 30])
def test_linear_system_for_inverse_and_for_LU(solver, n):
    """Above and below the size where the linear solver changes; y(t) = V exp(L t) V^-1 y0."""
    assert 3 <= rosenbrock._LARGEST_INVERSE < 30
    rng = np.random.default_rng(n)
    V = np.linalg.qr(rng.normal(size=(n, n)))[0]
    rates = -(10.0 ** rng.uniform(-2, 4, n))
    matrix, y0 = (V * rates) @ V.T, rng.normal(size=n)
    found = solve(lambda t, y, a: a @ y, solver, 1.0, jnp.asarray(y0), jnp.asarray(matrix))
    np.testing.assert_allclose(found.ys[0], V @ (np.exp(rates) * (V.T @ y0)), atol=1e-7)


@solvers
@pytest.mark.parametrize("adjoint", [diffrax.RecursiveCheckpointAdjoint(), diffrax.ForwardMode()])
def test_gradient_of_a_solve_against_closed_form(solver, adjoint):
    k, m, t = 0.7, 1.9, 2.0

    def final(rates):
        saveat = diffrax.SaveAt(ts=[t / 3, t])
        return solve(chain, solver, t, jnp.array([1.0, 0.0]), rates, saveat=saveat, adjoint=adjoint).ys[:, 1]

    mode = jax.jacfwd if isinstance(adjoint, diffrax.ForwardMode) else jax.jacrev
    found = mode(final)(jnp.array([k, m]))
    for row, time in zip(found, (t / 3, t), strict=True):
        e, step = jnp.array([k, m]), 1e-6
        expected = [
            (chain_exact(time, *(e + step * d)) - chain_exact(time, *(e - step * d))) / (2 * step) for d in np.eye(2)
        ]
        np.testing.assert_allclose(row, expected, atol=2e-7)


@pytest.mark.parametrize("size", [2, 30])
def test_derivatives_of_one_step_against_finite_differences(size):
    """With respect to parameters, state, start and length, in both modes, for both linear solvers."""
    solver = Rodas5P()

    def field(t, y, args):
        return args["k"] * jnp.cos(t) * jnp.roll(y, 1) - args["m"] * y**2

    rng = np.random.default_rng(0)
    point = {
        "y": jnp.asarray(rng.uniform(0.5, 2, size)),
        "args": {"k": jnp.asarray(rng.uniform(0.5, 2, size)), "m": jnp.asarray(1.3)},
        "t0": jnp.asarray(0.2),
        "h": jnp.asarray(0.3),
    }
    flat, unravel = jax.flatten_util.ravel_pytree(point)
    weights = jnp.asarray(rng.normal(size=(3, size)))

    def loss(x):
        p = unravel(x)
        y1, error, info, _, _ = solver.step(
            diffrax.ODETerm(field), p["t0"], p["t0"] + p["h"], p["y"], p["args"], None, False
        )
        dense = solver.interpolation_cls(t0=p["t0"], t1=p["t0"] + p["h"], **info)
        return jnp.sum(weights * jnp.stack([y1, 100 * error, dense.evaluate(p["t0"] + 0.4 * p["h"])]))

    step, signs = 1e-5, jnp.concatenate([jnp.eye(flat.size), -jnp.eye(flat.size)])
    both = jax.jit(jax.vmap(loss))(flat[None] + step * signs)
    expected = (both[: flat.size] - both[flat.size :]) / (2 * step)
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(flat), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(loss))(flat), expected, rtol=1e-6, atol=1e-7)


@solvers
def test_dense_output_equals_saved_states(solver):
    times = jnp.linspace(0.0, 3.0, 23)
    y0 = jnp.ones(2)
    dense = solve(riccati, solver, 3.0, y0, saveat=diffrax.SaveAt(dense=True))
    saved = solve(riccati, solver, 3.0, y0, saveat=diffrax.SaveAt(ts=times))
    np.testing.assert_allclose(jax.vmap(dense.evaluate)(times), saved.ys, rtol=1e-13)
    np.testing.assert_allclose(saved.ys, riccati_exact(times), atol=1e-6)
    np.testing.assert_allclose(
        dense.evaluate(0.3, 1.1), riccati_exact(np.array(1.1)) - riccati_exact(np.array(0.3)), atol=1e-6
    )


def test_interpolation_meets_both_ends_and_survives_an_empty_step():
    values = {"y0": jnp.array([1.0, 2.0]), "y1": jnp.array([3.0, 5.0]), "coefficients": jnp.full((3, 2), 7.0)}
    dense = Rodas5P.interpolation_cls(t0=1.0, t1=3.0, **values)
    np.testing.assert_array_equal(dense.evaluate(1.0), values["y0"])
    np.testing.assert_array_equal(dense.evaluate(3.0), values["y1"])
    np.testing.assert_array_equal(dense.evaluate(1.0, 3.0), values["y1"] - values["y0"])
    empty = Rodas5P.interpolation_cls(t0=jnp.array(1.0), t1=jnp.array(1.0), **values)
    np.testing.assert_array_equal(empty.evaluate(1.0), values["y0"])
    assert np.isfinite(jax.grad(lambda t: empty.evaluate(t).sum())(1.0))


def test_integration_backwards_in_time():
    found = solve(riccati, Rodas5P(), 0.0, jnp.asarray(riccati_exact(np.array(2.0))), t0=2.0, dt0=-1e-3)
    np.testing.assert_allclose(found.ys[0], [1.0, 1.0], atol=1e-6)


def test_event_is_located_with_the_dense_output():
    event = diffrax.Event(lambda t, y, args, **_: y[0] - 0.5, optx.Newton(1e-10, 1e-10))
    found = solve(lambda t, y, k: -k * y, Rodas5P(), 10.0, jnp.ones(1), 0.3, event=event)
    np.testing.assert_allclose(found.ts[0], np.log(2) / 0.3, rtol=1e-6)


def test_a_step_out_of_the_domain_is_rejected():
    """y' = -sqrt(y) from 1 is (1 - t/2)^2; a long first step goes negative, where the field is not a number."""

    def field(t, y, args):
        return -jnp.sqrt(y)

    _, error, _, _, _ = Rodas5P().step(diffrax.ODETerm(field), 0.0, 50.0, jnp.ones(1), None, None, False)
    assert np.isinf(error).all()
    found = solve(field, Rodas5P(), 1.9, jnp.ones(1), dt0=50.0)
    np.testing.assert_allclose(found.ys[0], (1 - 0.95) ** 2, rtol=1e-5)
    assert found.stats["num_rejected_steps"] > 0


@pytest.mark.parametrize("n", [3, 30])
def test_a_step_of_no_length_is_the_identity_with_finite_derivatives(n):
    y0, t = jnp.linspace(0.5, 2.0, n), jnp.asarray(1.5)

    def step(y, k):
        terms = diffrax.ODETerm(lambda t, y, k: -k * (1 + t) * jnp.sqrt(y) * jnp.roll(y, 1))
        return Rodas5P().step(terms, t, t, y, k, None, False)[:3]

    y1, error, info = step(y0, 1e3)
    np.testing.assert_array_equal(y1, y0)
    np.testing.assert_array_equal(error, 0.0)
    np.testing.assert_array_equal(info["coefficients"], 0.0)
    by_y, by_k = jax.jacrev(lambda *a: step(*a)[0], (0, 1))(y0, 1e3)
    np.testing.assert_array_equal(by_y, np.eye(n))
    np.testing.assert_array_equal(by_k, 0.0)
    np.testing.assert_array_equal(jax.jacfwd(step, 1)(y0, 1e3)[0], 0.0)


def test_vmapped_steps_equal_single_steps():
    rng = np.random.default_rng(1)
    y0, k = jnp.asarray(rng.uniform(0.5, 2, (5, 30))), jnp.asarray(rng.uniform(1, 1e3, (5, 30)))

    def step(y, k):
        terms = diffrax.ODETerm(lambda t, y, k: -k * y * jnp.roll(y, 1))
        return Rodas5P().step(terms, 0.0, 0.01, y, k, None, False)[:2]

    together = jax.jit(jax.vmap(step))(y0, k)
    single = jax.jit(step)
    alone = [single(*row) for row in zip(y0, k, strict=True)]
    for i, batch in enumerate(together):
        np.testing.assert_allclose(batch, np.stack([row[i] for row in alone]), rtol=1e-10, atol=1e-13)


def test_time_derivative_is_skipped_only_where_time_is_not_used():
    def drift(field):
        terms = diffrax.ODETerm(field)
        return rosenbrock._time_drift(terms, jnp.array(0.5), jnp.array(0.7), jnp.ones(2), 3.0)

    assert drift(lambda t, y, k: -k * y) is None
    assert drift(jax.jit(lambda t, y, k: -k * y + 0 * y)) is None
    assert drift(eqx.filter_jit(lambda t, y, k: -k * y)) is None
    np.testing.assert_allclose(drift(jax.jit(lambda t, y, k: k * t**2 * y)), 0.2 * 3.0 * 2 * 0.5 * np.ones(2))


def test_single_precision_stays_single():
    y0 = jnp.ones(2, jnp.float32)
    rates = jnp.array([0.7, 1.9], jnp.float32)
    parts = jax.eval_shape(lambda y: Rodas5P().step(diffrax.ODETerm(chain), 0.0, 0.1, y, rates, None, False)[:3], y0)
    assert {leaf.dtype for leaf in jax.tree.leaves(parts)} == {np.dtype("float32")}
    # diffrax gives the state the precision of the times, so these must be single too.
    start, end, first = (jnp.float32(t) for t in (0.0, 2.0, 1e-3))
    y0 = jnp.array([1.0, 0.0], jnp.float32)
    found = solve(chain, Rodas5P(), end, y0, rates, rtol=1e-4, atol=1e-6, t0=start, dt0=first)
    assert found.ys.dtype == np.float32
    np.testing.assert_allclose(found.ys[0, 1], chain_exact(2.0, 0.7, 1.9), rtol=1e-3)


@pytest.mark.parametrize("y0", [jnp.ones((2, 2)), jnp.ones(3, int), {"a": jnp.ones(2)}], ids=["matrix", "int", "dict"])
def test_state_must_be_a_flat_float_array(y0):
    with pytest.raises(TypeError, match="Argument `y0` must be a flat floating-point array"):
        Rodas5P().step(diffrax.ODETerm(lambda t, y, a: y), 0.0, 0.1, y0, None, None, False)
    with pytest.raises(TypeError, match="Argument `y0`"):
        Rodas5P().init(diffrax.ODETerm(lambda t, y, a: y), 0.0, 0.1, y0, None)


def test_only_one_ordinary_term_is_taken():
    terms = diffrax.MultiTerm(diffrax.ODETerm(lambda t, y, a: y), diffrax.ODETerm(lambda t, y, a: y))
    with pytest.raises(ValueError, match="(?i)terms"):
        diffrax.diffeqsolve(terms, Rodas5P(), 0.0, 1.0, 0.1, jnp.ones(2))
