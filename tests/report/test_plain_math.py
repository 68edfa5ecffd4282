"""Plain equations mean what their LaTeX means: both are evaluated at random values and compared."""

import math

import numpy as np
import pytest

from qspx.report.plain_math import NotPlain, plain


def value(words: str, **names: float) -> float:
    code = words.replace("·", "*").replace("−", "-").replace("^", "**")
    return eval(code, {"__builtins__": {}, "exp": math.exp, "sqrt": math.sqrt, **names})  # our own text


@pytest.mark.parametrize(
    ("latex", "shown"),
    [
        (r"- F\, \mathrm{depot}\, \mathrm{ka}", "−F·depot·ka"),
        (r"\frac{a - b}{c}", "(a − b)/c"),
        (r"\frac{a\, b}{c\, d}", "a·b/(c·d)"),
        (r"\frac{\mathrm{CD38}_{\mathrm{per},\mathrm{NK}}\, n_{\mathrm{NK},p}}{N_{A}\, V_{p}}",
         "CD38_per_NK·n_NK_p/(N_A·V_p)"),
        (r"k\, \left(- p_{\mathrm{4O}} + p_{8}\right)", "k·(−p_4O + p_8)"),
        (r"x^{2} + e^{- k\, t}", "x^2 + e^(−k·t)"),
        (r"\left(1 - \sigma_{1}\right)\, L", "(1 − sigma_1)·L"),
        (r"\frac{d\,C}{dt} = -k\,C", "d·C/dt = −k·C"),
    ],
)  # fmt: skip
def test_plain_form(latex, shown):
    assert plain(latex) == shown


def test_value_is_kept():
    names = dict(zip("abcdk", np.random.default_rng(0).uniform(0.5, 2, 5), strict=True))
    a, b, c, d, k = names.values()
    latex = r"- \frac{a\, \left(\frac{b + c}{d\, k} - \frac{a}{\frac{b}{c}}\right)^{2}}{k}"
    latex += r" - c\, \frac{a}{b}\, d - \sqrt{a + b}"
    expected = -(a * ((b + c) / (d * k) - a / (b / c)) ** 2) / k - c * (a / b) * d - math.sqrt(a + b)
    assert value(plain(latex), **names) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("latex", [r"\begin{cases} 1 \end{cases}", r"\frac{a}{b", r"a & b", r"\partial x"])
def test_unknown_latex_is_refused(latex):
    with pytest.raises(NotPlain):
        plain(latex)
