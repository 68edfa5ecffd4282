"""Units propagated through what jax and model functions are made of: arrays, loops, branches, nested programs."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from unit_checks import fault, infer, line_of

from qspx._errors import NotTraceable
from qspx._unit_check import infer_units
from qspx.units import unit


def test_vectors_of_mixed_units():
    def moved(C, t, k):
        v = jnp.stack([C, t, k])
        w = jnp.concatenate([v[1:], v[:1]])  # t, k, C
        return w[::-1][0] * jnp.reshape(w, (3, 1))[1, 0] * w.at[0].set(0.5)[0]

    assert infer(moved, C="nM", t="day", k="1/day") == unit("nM/day")
    assert infer(lambda C, t: jnp.array([C, t])[jnp.array([1, 0])][0], C="nM", t="day") == unit("day")
    assert "`nM` and `day` are added" in fault(lambda C, t: jnp.sum(jnp.stack([C, t])), C="nM", t="day")


def test_dot_of_mixed_units():
    assert infer(lambda C, k, V, r: jnp.dot(jnp.stack([C, V]), jnp.stack([k, r])),
                 C="nM", k="1/day", V="L", r="nM/day/L") == unit("nM/day")  # fmt: skip
    assert "added" in fault(lambda C, t: jnp.dot(jnp.stack([C, t]), jnp.stack([C, t])), C="nM", t="day")


def test_stoichiometric_matrix_keeps_zeros_out():
    S = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])

    def rates(a, b):
        return dict(zip("xyz", S @ jnp.stack([a, b]), strict=True))

    found = infer_units(lambda v: rates(**v), ({"a": "nM/day", "b": "cell/L/day"},))
    assert found == {"x": unit("nM/day"), "y": unit("nM/day"), "z": unit("cell/L/day")}


def test_sums_products_and_cumulative_sums():
    def function(C, K):
        v = jnp.stack([C, K])
        return jnp.sum(v) + jnp.mean(v) + jnp.max(v) + jnp.cumsum(v)[-1] + jnp.sqrt(jnp.prod(v)) + jnp.linalg.norm(v)

    assert infer(function, C="nM", K="nM") == unit("nM")
    added = infer_units(
        lambda v: {"a": jnp.zeros(3).at[jnp.array([0, 0, 2])].add(jnp.stack([v["C"], v["K"], v["t"]]))[0]},
        ({"C": "nM", "K": "nM", "t": "day"},),
    )
    assert added["a"] == unit("nM")


def test_select_hypot_and_pieces():
    assert infer(lambda C, K: jnp.select([C > K, C < K], [C, K], 0.0), C="nM", K="nM") == unit("nM")
    assert "branches" in fault(lambda C, t: jnp.select([C > 0, C < 0], [C, t], 0.0), C="nM", t="day")
    assert infer(lambda C, K: jnp.hypot(C, K), C="nM", K="nM") == unit("nM")
    assert infer(lambda C, t: jnp.split(jnp.stack([C, t]), 2)[1][0], C="nM", t="day") == unit("day")
    assert infer(lambda C, t: jnp.stack([C, t]).at[1].multiply(C)[1], C="nM", t="day") == unit("nM*day")


def test_object_arrays_of_units_as_arguments():
    y = np.array(["nM", "nM"], dtype=object)
    p = np.array(["1/day", "1/nM/day"], dtype=object)
    found = infer_units(lambda y, p: {"r": p[1] * y[0] * y[1] - p[0] * y[0]}, (y, p))
    assert found["r"] == unit("nM/day")


@jax.jit
def saturation(C, K):
    wrong = C + K
    return C / wrong


def test_nested_jit_is_entered_and_cites_the_inner_line():
    assert infer(lambda C, K: saturation(C, K), C="nM", K="nM").is_one
    assert line_of(inspect.unwrap(saturation), "wrong = C + K") in fault(lambda C, K: saturation(C, K), C="nM", K="day")


def test_custom_derivatives_and_remat_are_entered():
    @jax.custom_vjp
    def twice(x):
        return 2 * x

    twice.defvjp(lambda x: (twice(x), None), lambda _, g: (2 * g,))
    assert infer(lambda C: twice(C), C="nM") == unit("nM")
    assert infer(lambda C: jax.checkpoint(lambda x: x * x)(C), C="nM") == unit("nM^2")
    assert infer(lambda x: jax.nn.softplus(x), x="").is_one


def test_vmap_inside():
    assert infer(lambda C, K: jax.vmap(lambda x: x * K)(jnp.stack([C, K]))[1], C="nM", K="nM") == unit("nM^2")


def test_cond_joins_its_branches():
    known = {"t": "day", "d": "day", "C": "nM"}
    assert infer(lambda t, d, C: lax.cond(t > d, lambda x: x, lambda x: 2 * x, C), **known) == unit("nM")
    message = fault(lambda t, d, C: lax.cond(t > d, lambda x: x * x, lambda x: 2 * x, C), **known)
    assert "two branches" in message


def test_table_lookup():
    xs, ys = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])
    assert infer(lambda t, tau: jnp.interp(t / tau, xs, ys), t="day", tau="day").is_one
    assert "compared" in fault(lambda t: jnp.interp(t, xs, ys), t="day")


def test_short_loops_are_written_out():
    assert infer(lambda C: lax.fori_loop(0, 3, lambda i, x: x * 2, C), C="nM") == unit("nM")
    assert infer(lambda C: lax.scan(lambda c, x: (c + x, c), 0 * C, jnp.stack([C, C]))[1][1], C="nM") == unit("nM")


def test_loop_of_unknown_length_is_not_traceable():
    def halve(C, K):
        return lax.while_loop(lambda x: x > K, lambda x: x / 2, C)

    with pytest.raises(NotTraceable) as error:
        infer(halve, C="nM", K="nM")
    assert "`while`" in str(error.value)
    assert line_of(halve, "while_loop") in str(error.value)


def test_unknown_primitive_is_named_with_its_line():
    def ordered(C, K):
        return jnp.sort(jnp.stack([C, K]))[0]

    with pytest.raises(NotTraceable) as error:
        infer(ordered, C="nM", K="nM")
    assert "`sort`" in str(error.value)
    assert line_of(ordered, "jnp.sort") in str(error.value)
