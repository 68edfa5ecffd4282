"""Symbolic derivatives against those of jax, and the edges where a formula alone would give NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import ZOO
from scipy.integrate import quad
from test_program import MODELS, close, model_called, points, run

from qspx import Parameter, Regimen, Species, simulate
from qspx.integrate import BatchIntegrator
from qspx.integrate.derivatives import jacobian, pullback
from qspx.integrate.graph import THETA, Graph
from qspx.integrate.lowering import lower, lower_functions
from qspx.integrate.program import Program
from qspx.integrate.scalar_domain import trace_scalars
from qspx.model import AbstractModel


def dense(lowered, n, t, y, theta):
    """Jacobians at rows of points, shape (rows, n, n)."""
    J = np.zeros((len(y), n, n))
    J[:, *np.array(lowered.pattern).T] = run(lowered, lowered.jacobian, t, y, theta)["entries"].T
    return J


@pytest.mark.parametrize("name", MODELS)
def test_jacobian_and_drift_of_a_model(name):
    model = model_called(name)
    t, y, theta = points(model, 3)
    lowered = lower(model)
    expected = jax.vmap(jax.jacfwd(model.rates_vector, argnums=1))(t, y, theta)
    close(dense(lowered, y.shape[1], t, y, theta), np.asarray(expected))
    drift = jax.vmap(jax.jacfwd(model.rates_vector, argnums=0))(t, y, theta)
    if lowered.drift is None:
        assert not drift.any()
    else:
        close(run(lowered, lowered.drift, t, y, theta)["drift"].T, drift)


def zoo_points():
    rng = np.random.default_rng(2)
    return rng.uniform(0, 1, 20), rng.uniform(0.3, 2, (20, 3)), rng.uniform(0.5, 3, (20, 3))


@pytest.mark.parametrize("name", ZOO)
def test_all_derivatives_of_a_construct(name):
    f, (t, y, theta) = ZOO[name], zoo_points()
    g = Graph()
    time, states, parameters = g.inputs("t", 1), g.inputs("y", 3), g.inputs(THETA, 3)
    outputs = trace_scalars(g, f, time[0], states, parameters)
    inputs, seeds = [*time, *states, *parameters], g.inputs("seed", 3)
    J = jacobian(g, outputs, inputs)
    product = pullback(g, outputs, seeds, inputs)
    sizes = {"t": 1, "y": 3, THETA: 3, "seed": 3}
    program = Program.of(g, sizes, {"J": list(J.values()), "product": product})
    rng = np.random.default_rng(3)
    seed = rng.standard_normal((20, 3))
    found = program.evaluate_numpy(t=t[None], y=y.T, theta=theta.T, seed=seed.T)

    blocks = jax.vmap(jax.jacfwd(f, argnums=(0, 1, 2)))(t, y, theta)
    expected = np.concatenate([np.asarray(blocks[0])[..., None], blocks[1], blocks[2]], axis=-1)
    entries = np.zeros((20, 3, 7))
    if J:
        entries[:, *np.array(list(J)).T] = found["J"].T
    np.testing.assert_allclose(entries, expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found["product"].T, np.einsum("si,sij->sj", seed, expected), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("power", [0.5, 1.0, 1.7, 2.0, 3.3])
def test_power_of_zero(power):
    def f(t, y, p):
        return jnp.stack([y[0] ** p[0]])

    lowered = lower_functions(f, None, 1, 1)
    point = (np.zeros(1), np.zeros((1, 1)), np.full((1, 1), power))
    # an infinite slope is left out: see `qspx.integrate.derivatives._sqrt`
    assert dense(lowered, 1, *point)[0, 0, 0] == (1.0 if power == 1 else 0.0)


def test_an_exponent_below_one_starts_from_zero():
    """y' = x**0.6, x' = 1 - x from zero: infinite slope at the start. Reference: the integral by quadrature."""

    class Growth(AbstractModel):
        x = Species("1")
        y = Species("1")
        h = Parameter(0.6, "1")
        k = Parameter(1.0, "1/day")

        def rates(self, t, y, p):
            return {"x": p.k * (1 - y.x), "y": p.k * y.x**p.h}

    found = simulate(Growth(), Regimen.single(0, "1", "x"), [2.0], integrator=BatchIntegrator(rtol=1e-9))["y"][0]
    expected = quad(lambda t: (1 - np.exp(-t)) ** 0.6, 0, 2, epsabs=1e-13)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_branch_not_taken_does_no_harm():
    def f(t, y, p):
        return jnp.stack([jnp.where(y[0] > 0, jnp.sqrt(jnp.where(y[0] > 0, y[0], 0.0)), 2 * y[0])])

    lowered = lower_functions(f, None, 1, 0)
    assert dense(lowered, 1, np.zeros(1), np.zeros((1, 1)), np.zeros((1, 0)))[0, 0, 0] == 2.0


def test_a_tie_takes_the_argument_that_varies():
    def f(t, y, p):
        return jnp.stack([jnp.maximum(y[0], 0.0), jnp.minimum(p[0], y[1])])

    lowered = lower_functions(f, None, 2, 1)
    J = dense(lowered, 2, np.zeros(1), np.array([[0.0, 1.0]]), np.ones((1, 1)))
    np.testing.assert_array_equal(J[0], np.eye(2))
