"""Programs in jax, and steps with unrolled sparse factors against steps with dense ones."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import ZOO
from test_program import model_called, points

import qspx
from qspx.integrate.lowered_term import LoweredTerm, model_term, worth_unrolling
from qspx.integrate.lowering import lower_functions
from qspx.integrate.print_jax import run_jax
from qspx.integrate.rosenbrock import Rodas5P


@pytest.mark.parametrize("name", ZOO)
def test_jax_and_numpy_agree(name):
    rng = np.random.default_rng(4)
    program = lower_functions(ZOO[name], None, 3, 3)
    values = {"t": rng.uniform(0, 1, (1, 7)), "y": rng.uniform(0.3, 2, (3, 7)), "theta": rng.uniform(0.5, 3, (3, 7))}
    values["fixed"] = program.prologue.evaluate_numpy(theta=values["theta"])["fixed"]
    used = {k: v for k, v in values.items() if k in program.rates.inputs}
    found = jax.vmap(lambda v: run_jax(program.rates, v)["rates"], in_axes=1, out_axes=1)(used)
    np.testing.assert_allclose(found, program.rates.evaluate_numpy(**values)["rates"], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", ["schropp2019", "betts2018"])
def test_a_step_and_its_derivatives_do_not_depend_on_how_it_is_solved(name):
    model = model_called(name)
    t, y, theta = (jnp.asarray(x[0]) for x in points(model, 1))
    dense = diffrax.ODETerm(lambda t, y, args: model.rates_vector(t, y, args[0]) + args[1])
    assert isinstance(model_term(model, theta), LoweredTerm)

    def step(theta, y, unrolled):
        term = model_term(model, theta) if unrolled else dense
        args = (theta, jnp.zeros_like(y))
        return Rodas5P().step(term, t, t + 1e-3, y, args, None, False)[0] / (1 + jnp.abs(y))

    for differentiate in (jax.jacfwd, jax.jacrev):
        found, expected = (differentiate(step, argnums=(0, 1))(theta, y, unrolled) for unrolled in (True, False))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9 * np.abs(b).max())
    np.testing.assert_allclose(step(theta, y, True), step(theta, y, False), rtol=1e-10, atol=1e-13)


def test_a_factor_that_lost_its_digits_makes_the_step_fail():
    def rates(t, y, p):  # W = [[s, -1], [-1, s]] is singular at s = 1
        return y[::-1]

    lowered = lower_functions(rates, None, 2, 1)
    term = LoweredTerm(lambda t, y, args: rates(t, y, args[0]), lowered, jnp.zeros(0))
    for shift, finite in ((1.0, False), (3.0, True)):
        solve, transposed = term.linear_solves(0.0, jnp.ones(2), (jnp.ones(1),), jnp.asarray(shift))
        assert (
            bool(jnp.isfinite(solve(jnp.ones(2))).all()) == bool(jnp.isfinite(transposed(jnp.ones(2))).all()) == finite
        )


class NoProgram(qspx.AbstractModel):
    x = qspx.Species("nmol")
    k = qspx.Parameter(1.0, "1/day")

    def initial(self, p):
        return {}

    def rates(self, t, y, p):
        scale = jnp.exp(jax.scipy.special.gammaln(2.0 + y.x / (1.0 + y.x)))  # lgamma has no scalar program
        return {"x": -p.k * y.x * scale}

    def observables(self, t, y, p):
        return {}

    def check_units(self):
        pass


def test_a_model_without_a_program_or_with_too_long_a_one_keeps_dense_factors():
    assert worth_unrolling(NoProgram()) is None
    assert worth_unrolling(model_called("isb2001")) is None
    with pytest.warns(qspx.integrate.EngineWarning, match="NoProgram cannot be compiled.*lgamma.*hundred times longer"):
        found = qspx.simulate(NoProgram(), qspx.Regimen.single(1.0, "nmol", "x"), [1.0])
    same = qspx.simulate(NoProgram(), qspx.Regimen.single(1.0, "nmol", "x"), [1.0], integrator=qspx.DiffraxIntegrator())
    assert 0 < found["x"][0] < 1
    assert found["x"][0] == same["x"][0]
