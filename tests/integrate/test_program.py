"""Scalar programs give the numbers of the functions that they were traced from."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import ZOO

import qspx
from qspx._errors import NotTraceable
from qspx.integrate.graph import Graph
from qspx.integrate.lowering import lower, lower_functions
from qspx.integrate.operations import Op
from qspx.integrate.program import Program

MODELS = sorted(path.stem for path in (Path(__file__).parents[2] / "models").glob("*.py"))


@functools.cache
def model_called(name):
    return qspx.load_model(Path(__file__).parents[2] / "models" / f"{name}.py")


def points(model, rows, seed=0):
    """Random times, states and parameters around a model's typical values."""
    rng = np.random.default_rng(seed)
    theta = model.theta * np.exp(0.2 * rng.standard_normal((rows, len(model.theta))))
    start = np.stack([np.asarray(model.initial_vector(x)) for x in theta])
    size = np.where(start == 0, 0.1, np.abs(start))
    return rng.uniform(0, 30, rows), size * np.exp(rng.standard_normal(start.shape)), theta


def run(lowered, program, t, y, theta, **more):
    """Output groups of a program at rows of points, shape (group, rows)."""
    fixed = lowered.prologue.evaluate_numpy(theta=theta.T)["fixed"]
    return program.evaluate_numpy(t=t[None], y=y.T, theta=theta.T, fixed=fixed, **more)


def close(found, expected):
    """Equal to some roundings, relative to the largest entry (sums are taken in another order, and cancel)."""
    scale = np.abs(expected).max(axis=-1, keepdims=True)
    np.testing.assert_allclose(
        found / np.where(scale == 0, 1, scale), expected / np.where(scale == 0, 1, scale), 1e-9, 1e-12
    )


@pytest.mark.parametrize("name", MODELS)
def test_a_models_program_is_the_model(name):
    model = model_called(name)
    names = tuple(model.outputs)
    t, y, theta = points(model, 5)
    lowered = lower(model, names)
    close(run(lowered, lowered.rates, t, y, theta)["rates"].T, jax.vmap(model.rates_vector)(t, y, theta))
    expected = jax.vmap(lambda *a: model.observables_vector(*a, names))(t, y, theta)
    close(run(lowered, lowered.observables, t, y, theta)["observables"].T, expected)


@pytest.mark.parametrize("name", ZOO)
def test_a_constructs_program_is_the_function(name):
    f = ZOO[name]
    lowered = lower_functions(f, None, 3, 3)
    rng = np.random.default_rng(1)
    t, y, theta = rng.uniform(0, 1, 50), rng.uniform(0.3, 2, (50, 3)), rng.uniform(0.5, 3, (50, 3))
    found = run(lowered, lowered.rates, t, y, theta)["rates"].T
    np.testing.assert_allclose(found, jax.vmap(f)(t, y, theta), rtol=1e-12, atol=1e-14)


def test_equal_expressions_are_one_node():
    def f(t, y, p):
        return jnp.stack([p[0] * y[0] * y[1], -(y[1] * (p[0] * y[0])), p[0] * y[0] + 1])

    assert lower_functions(f, None, 3, 1).rates.counts() == {"CONST": 1, "INPUT": 3, "ADD": 1, "MUL": 2, "NEG": 1}


def test_what_depends_on_parameters_alone_is_computed_once_per_subject():
    def f(t, y, p):
        return jnp.stack([jnp.exp(p[0]) * y[0] / (p[1] + p[2])])

    lowered = lower_functions(f, None, 1, 3)
    assert lowered.prologue.counts()["EXP"] == 1
    assert lowered.rates.counts() == {"INPUT": 2, "MUL": 1}


def test_constants_are_folded_and_neutral_operations_left_out():
    lowered = lower_functions(ZOO["folded"], None, 3, 3)
    assert lowered.rates.counts() == {"INPUT": 3, "ADD": 1, "NEG": 1}


def test_zero_times_what_may_be_infinite_stays():
    g = Graph()
    y = g.input("y", 0)
    inverse = g.node(Op.DIV, g.constant(1.0), y)
    assert g.is_constant(g.node(Op.MUL, g.constant(0.0), y), 0.0)
    assert g.ops[g.node(Op.MUL, g.constant(0.0), inverse)] is Op.MUL
    assert g.ops[g.node(Op.SUB, inverse, inverse)] is Op.SUB


def test_equal_programs_are_equal_and_read_well():
    programs = [lower_functions(ZOO["vectors"], None, 3, 3).rates for _ in range(2)]
    other = lower_functions(ZOO["powers"], None, 3, 3).rates
    assert programs[0] == programs[1] and hash(programs[0]) == hash(programs[1]) and programs[0] != other
    g = Graph()
    a, b = g.inputs("y", 2)
    shown = str(Program.of(g, {"y": 2}, {"x": [g.node(Op.SUB, a, b)]}))
    assert shown == "%0 = y[0]\n%1 = y[1]\n%2 = sub %0 %1\nx: %2"


def test_an_input_that_is_not_declared_is_refused():
    g = Graph()
    with pytest.raises(ValueError, match=r"`y\[3\]` is not there"):
        Program.of(g, {"y": 2}, {"x": [g.input("y", 3)]})


@pytest.mark.parametrize(
    ("function", "primitive"),
    [
        (lambda t, y, p: jnp.stack([jax.scipy.special.gammaln(y[0])]), "lgamma"),
        (lambda t, y, p: jnp.stack([jnp.arctan2(y[0], p[0])]), "atan2"),
        (lambda t, y, p: jnp.stack([(y[0] * 8).astype(int) // 3 * 1.0]), "div"),
        (lambda t, y, p: jnp.sort(y), "sort"),
        (lambda t, y, p: y[jnp.argmax(y)][None], "indexed"),
        (lambda t, y, p: jnp.linalg.solve(jnp.outer(y, y) + jnp.eye(3), y), "lu"),
    ],
)
def test_what_has_no_program_is_named_with_its_line(function, primitive):
    with pytest.raises(NotTraceable, match=rf"{primitive}(?s:.*)test_program\.py:\d+"):
        lower_functions(function, None, 3, 1)
