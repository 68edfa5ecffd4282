"""The printed equations are the integrated ones: sympy expressions evaluated numerically against the jax functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from jax import lax

from qspx._errors import ModelError, NotTraceable
from qspx._latex import latex_name, to_latex, to_sympy


def tmdd(t, y, p):
    bind = p["kon"] * y["C"] * y["R"] - p["koff"] * y["RC"]
    return {"C": -p["CL"] / p["V"] * y["C"] - bind, "RC": bind - 0.05 * y["RC"], "R": 0.0}


TMDD_ARGS = ("t", {n: n for n in ("C", "R", "RC")}, {n: n for n in ("CL", "V", "kon", "koff")})


@jax.jit
def hill(x, n):
    return x**n / (1 + x**n)


ROUND_TRIP = {
    "tmdd": lambda a, b, c: sum(
        tmdd(0.0, {"C": a, "R": b, "RC": c}, {"CL": 1.0, "V": 3.0, "kon": b, "koff": c}).values()
    ),
    "hill": lambda a, b, c: hill(jnp.abs(a / b), 1 + c**2),
    "where": lambda a, b, c: jnp.where((a > b) & ~(b < c), a * b, a - c),
    "nested where": lambda a, b, c: jnp.where(a > 0, jnp.where(b > 0, 1.0, b), jnp.where(c > 0, c, 3.0)),
    "limits": lambda a, b, c: jnp.clip(a, 0.0, 1.0) + jnp.maximum(b, c) - jnp.minimum(b, 0.5),
    "clamp": lambda a, b, c: lax.clamp(-0.5, a, 0.5),
    "powers": lambda a, b, c: jnp.abs(a) ** 0.75 + b**3 + jnp.square(c) + c**-2 + jnp.sqrt(a * a) + jnp.cbrt(b),
    "exponentials": lambda a, b, c: jnp.exp(-a) + jnp.expm1(b) + jnp.log1p(c**2) + jnp.log(b**2 + 1) + jnp.exp2(a),
    "smooth": lambda a, b, c: jax.nn.softplus(a) + jax.nn.sigmoid(b) + jnp.tanh(c) + jax.scipy.special.erf(a),
    "waves": lambda a, b, c: jnp.sin(a) * jnp.cos(b) + jnp.arctan2(a, c),
    "signs": lambda a, b, c: jnp.sign(a) * jnp.abs(b) + jnp.floor(c) + jnp.ceil(a),
    "remainder": lambda a, b, c: jnp.mod(10 * a, 0.7) + lax.rem(10 * b, jnp.asarray(0.7)),
    "booleans": lambda a, b, c: (a > b).astype(float) * c + (a == b),
    "dot": lambda a, b, c: jnp.dot(jnp.stack([a, b, c]), jnp.array([1.0, 0.0, 2.5])),
    "sums": lambda a, b, c: jnp.cumsum(jnp.stack([a, b, c]))[1] + jnp.stack([a, c]).max() + jnp.stack([b, c]).prod(),
    "matrix": lambda a, b, c: (np.array([[1.0, -1.0], [0.0, 2.0]]) @ jnp.stack([a, b])).prod(),
    "cond": lambda a, b, c: lax.cond(a > b, lambda x: x + 1, lambda x: x * x, c),
    "switch": lambda a, b, c: lax.switch(jnp.int32(jnp.clip(3 * a, 0, 2)), [jnp.sin, jnp.cos, jnp.tanh], b),
    "loop": lambda a, b, c: lax.fori_loop(0, 3, lambda i, x: x * a + b, c),
    "select": lambda a, b, c: jnp.select([a > b, a > c], [a * b, c], b),
    "pieces": lambda a, b, c: jnp.split(jnp.stack([a, b, c]), [1])[1][1] * jnp.unstack(jnp.stack([a, b]))[1],
    "writes": lambda a, b, c: jnp.stack([a, b]).at[jnp.array([1, 1])].multiply(c).at[0].add(b).at[0].add(c).sum(),
    "lengths": lambda a, b, c: jnp.hypot(a, b) + jnp.log10(c**2 + 1) + jnp.floor_divide(a, 0.3),
    "finite": lambda a, b, c: jnp.where(jnp.isfinite(a), b, c) + jnp.where(jnp.isnan(a), b, c),
    "mean": lambda a, b, c: jnp.mean(jnp.stack([a, b, c])[::-1][:2]),
    "numbers": lambda a, b, c: 1.5e-7 * a + 6.022e14 * b - c / 3,
}


@pytest.mark.parametrize("name", ROUND_TRIP)
def test_round_trip(name):
    function = ROUND_TRIP[name]
    expression = to_sympy(lambda a, b, c: {"f": function(a, b, c)}, ("a", "b", "c"))["f"]
    symbols = sympy.symbols("a b c")
    assert expression.free_symbols <= set(symbols)
    compiled = sympy.lambdify(symbols, expression, modules=["scipy", "numpy"])
    jitted = jax.jit(function)
    for point in np.random.default_rng(1).uniform(-1.5, 1.5, (25, 3)):
        # rounding only: the order of terms differs
        assert float(compiled(*point)) == pytest.approx(float(jitted(*point)), rel=1e-12, abs=1e-12)
    assert sympy.latex(expression)


def test_expressions_are_the_ones_of_a_textbook():
    C, R, RC, CL, V, kon, koff = sympy.symbols("C R RC CL V kon koff")
    found = to_sympy(tmdd, TMDD_ARGS)
    assert sympy.simplify(found["C"] - (-CL / V * C - kon * C * R + koff * RC)) == 0
    assert sympy.simplify(found["RC"] - (kon * C * R - koff * RC - sympy.Float(0.05) * RC)) == 0
    assert found["R"] == 0


def test_latex_of_tmdd():
    found = to_latex(lambda y, p: {"C": -p["k_el"] * y["C_bm"]}, ({"C_bm": "C_bm"}, {"k_el": "k_el"}))
    assert found == {"C": r"- C_{\mathrm{bm}}\, k_{\mathrm{el}}"}
    assert set(to_latex(tmdd, TMDD_ARGS, names=["RC"])) == {"RC"}
    assert to_latex(tmdd, TMDD_ARGS)["R"] == "0"


def test_latex_of_choices_and_numbers():
    def function(t, k):
        return {"x": jnp.where(t > 7, k, 0.0), "y": 6.02e14 * k, "z": jnp.sqrt(k), "w": jnp.mod(t, 7)}

    found = to_latex(function, ("t", "k"))
    assert found["x"] == r"\begin{cases} k & \text{for}\: t > 7 \\0 & \text{otherwise} \end{cases}"
    assert found["y"] == r"6.02 \cdot 10^{14}\, k"
    assert found["z"] == r"\sqrt{k}"
    assert found["w"] == r"t \bmod 7"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("C", "C"),
        ("k_on", r"k_{\mathrm{on}}"),
        ("C_bm", r"C_{\mathrm{bm}}"),
        ("C_bm_2", r"C_{\mathrm{bm},2}"),
        ("CL", r"\mathrm{CL}"),
        ("alpha", r"\alpha"),
        ("k_alpha", r"k_{\alpha}"),
        ("V1", "V_{1}"),
        ("V1_ss", r"V_{1,\mathrm{ss}}"),
        ("EC50", r"\mathrm{EC50}"),
    ],
)
def test_latex_name(name, expected):
    assert latex_name(name) == expected


def test_names_that_sympy_would_misread():
    found = to_sympy(lambda v: {"x": v["E"] * v["I"] + v["S"] * v["N"]}, ({n: n for n in "EISN"},))
    assert {s.name for s in found["x"].free_symbols} == set("EISN")


def test_without_a_formula():
    with pytest.raises(NotTraceable, match="`sort`.*test_latex.py"):
        to_sympy(lambda a, b: {"x": jnp.sort(jnp.stack([a, b]))[0]}, ("a", "b"))
    with pytest.raises(NotTraceable, match="computed value"):
        to_sympy(lambda a: {"x": jnp.arange(3.0)[jnp.int32(a)]}, ("a",))
    with pytest.raises(ModelError, match="scalars"):
        to_sympy(lambda a: {"x": jnp.stack([a, a])}, ("a",))
    with pytest.raises(ModelError, match="Did you mean `RC`"):
        to_latex(tmdd, TMDD_ARGS, names=["rc"])
