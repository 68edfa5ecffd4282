"""Formulas as readable Python on `jax.numpy`.

SBML lets truth values stand for numbers and numbers for truth values; the text says each conversion. An operator that
has no Python sign is a function of `jax.numpy`; reciprocal functions are written out, inverse ones by the inverse of
the argument (`arccot x = arctan 1/x`), as libSBML and libRoadRunner define them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from qspx.interchange.expression import COMPARISONS, LOGIC, Expr

REFERENCES = frozenset({"name", "rateOf", "given", "holder"})  # leaves whose text comes from outside
_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = 1, 2, 3, 4, 5

_SIGNS = {"eq": "==", "neq": "!=", "gt": ">", "lt": "<", "geq": ">=", "leq": "<="}
_FUNCTIONS = {
    "abs": "abs", "exp": "exp", "ln": "log", "floor": "floor", "ceiling": "ceil", "sin": "sin", "cos": "cos",
    "tan": "tan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "arcsin": "arcsin", "arccos": "arccos",
    "arctan": "arctan", "arcsinh": "arcsinh", "arccosh": "arccosh", "arctanh": "arctanh",
}  # fmt: skip
_RECIPROCAL = {"sec": "cos", "csc": "sin", "cot": "tan", "sech": "cosh", "csch": "sinh", "coth": "tanh"}
_INVERSE = {
    "arcsec": "arccos", "arccsc": "arcsin", "arccot": "arctan", "arcsech": "arccosh", "arccsch": "arcsinh",
    "arccoth": "arctanh",
}  # fmt: skip


class Printer:
    """Python text of formulas; `reference` gives the text for the leaves in `REFERENCES`."""

    def __init__(self, reference: Callable[[Expr], str]):
        self.reference = reference

    def number(self, e: Expr) -> str:
        """Text whose value is a number."""
        return self._text(e, numeric=True)[0]

    def truth(self, e: Expr) -> str:
        """Text whose value is a truth value."""
        if e.is_boolean:
            return self._text(e, numeric=False)[0]
        if e.known is not None:
            return str(bool(e.known))
        return f"{self._inside(e, _SUM)} != 0"

    # pieces -----------------------------------------------------------------------------------------------------

    def _inside(self, e: Expr, at_least: int) -> str:
        text, level = self._text(e, numeric=True)
        return text if level >= at_least else f"({text})"

    def _text(self, e: Expr, numeric: bool) -> tuple[str, int]:
        if not e.is_boolean:
            return self._number(e)
        if not numeric:
            return self._truth(e)
        if e.op == "boolean":
            return ("1.0" if e.value else "0.0"), _ATOM
        return f"jnp.where({self._truth(e)[0]}, 1.0, 0.0)", _ATOM

    def _number(self, e: Expr) -> tuple[str, int]:
        op, args = e.op, e.args
        if op == "number":
            return literal(float(e.value))
        if op == "time":
            return "t", _ATOM
        if not args and op in REFERENCES:
            text = self.reference(e)
            return text, (_SIGN if text.startswith("-") else _ATOM)
        if op == "piecewise":
            return self._piecewise(e, self.number, "jnp.nan"), _ATOM
        if op == "plus":
            return self._plus(args)
        if op == "minus":
            if len(args) == 1:
                return f"-{self._inside(args[0], _PRODUCT)}", _PRODUCT
            if args[1].op == "minus" and len(args[1].args) == 1:
                return f"{self._inside(args[0], _SUM)} + {self._inside(args[1].args[0], _PRODUCT)}", _SUM
            return f"{self._inside(args[0], _SUM)} - {self._inside(args[1], _PRODUCT)}", _SUM
        if op == "times":
            return " * ".join(self._factor(a, i) for i, a in enumerate(args)) or "1.0", _PRODUCT if args else _ATOM
        if op == "divide":
            if args[0].known is not None and args[1].known is not None:  # Python may refuse to divide its own numbers
                return f"jnp.divide({self.number(args[0])}, {self.number(args[1])})", _ATOM
            return f"{self._factor(args[0], 0)} / {self._inside(args[1], _SIGN)}", _PRODUCT
        if op == "power":
            return self._power(*args)
        return self._function(op, args)

    def _plus(self, args: tuple[Expr, ...]) -> tuple[str, int]:
        text = ""
        for arg in args:
            if text and arg.op == "minus" and len(arg.args) == 1:
                text += f" - {self._inside(arg.args[0], _PRODUCT)}"
            else:
                text += (" + " if text else "") + (self._inside(arg, _SUM) if not text else self._inside(arg, _PRODUCT))
        return text or "0.0", (_SUM if len(args) > 1 else _SUM if args else _ATOM)

    def _factor(self, e: Expr, position: int) -> str:
        return self._inside(e, _PRODUCT if position == 0 else _SIGN)

    def _power(self, base: Expr, exponent: Expr) -> tuple[str, int]:
        k = exponent.known
        if base.known is not None:  # through jax: Python's own numbers raise instead of giving nan or inf
            return f"jnp.power({self.number(base)}, {self.number(exponent)})", _ATOM
        whole = k is not None and abs(k) <= 64 and k == int(k)
        power = str(int(k)) if k is not None and whole else self._inside(exponent, _ATOM)
        return f"{self._inside(base, _ATOM)}**{power}", _POWER

    def _function(self, op: str, args: tuple[Expr, ...]) -> tuple[str, int]:
        texts = [self.number(arg) for arg in args]
        if op in _FUNCTIONS:
            return f"jnp.{_FUNCTIONS[op]}({texts[0]})", _ATOM
        if op in _RECIPROCAL:
            return f"1.0 / jnp.{_RECIPROCAL[op]}({texts[0]})", _PRODUCT
        if op in _INVERSE:
            return f"jnp.{_INVERSE[op]}(jnp.divide(1.0, {texts[0]}))", _ATOM
        if op == "root":  # (degree, argument)
            degree = args[0].known
            if degree in (2.0, 3.0):
                return f"jnp.{'sqrt' if degree == 2 else 'cbrt'}({texts[1]})", _ATOM
            return f"jnp.power({texts[1]}, 1.0 / {self._inside(args[0], _SIGN)})", _ATOM
        if op == "log":  # (base, argument)
            if args[0].known == 10.0:
                return f"jnp.log10({texts[1]})", _ATOM
            return f"jnp.log({texts[1]}) / jnp.log({texts[0]})", _PRODUCT
        if op == "factorial":
            if (k := args[0].known) is not None and k >= 0 and k == int(k) and k <= 170:
                return literal(float(math.factorial(int(k))))
            return f"jnp.exp(gammaln({self._inside(args[0], _SUM)} + 1.0))", _ATOM
        if op in ("max", "min"):
            text = texts[0]
            for other in texts[1:]:
                text = f"jnp.{op}imum({text}, {other})"
            return text, _ATOM
        if op == "quotient":
            return f"jnp.trunc(jnp.divide({texts[0]}, {texts[1]}))", _ATOM
        if op == "rem":
            return f"jnp.fmod({texts[0]}, {texts[1]})", _ATOM
        raise KeyError(op)

    def _piecewise(self, e: Expr, branch: Callable[[Expr], str], missing: str) -> str:
        """Arguments are value, condition, value, condition, ..., and perhaps a last value; the first condition that
        holds counts."""
        values, conditions = e.args[::2], e.args[1::2]
        last = branch(values[-1]) if len(values) > len(conditions) else missing
        for value, condition in reversed(list(zip(values, conditions, strict=False))):
            last = f"jnp.where({self.truth(condition)}, {branch(value)}, {last})"
        return last

    # truth values -----------------------------------------------------------------------------------------------

    def _truth(self, e: Expr) -> tuple[str, int]:
        op, args = e.op, e.args
        if op == "boolean":
            return str(bool(e.value)), _ATOM
        if op == "piecewise":
            return self._piecewise(e, self.truth, "False"), _ATOM
        if op in COMPARISONS:
            return self._comparison(op, args), _SUM
        if op not in LOGIC:
            raise KeyError(op)
        texts = [self.truth(arg) for arg in args]
        if op == "not":
            return f"jnp.logical_not({texts[0]})", _ATOM
        if op == "implies":
            return f"jnp.logical_or(jnp.logical_not({texts[0]}), {texts[1]})", _ATOM
        if not texts:
            return str(op == "and"), _ATOM
        text = texts[0]
        for other in texts[1:]:
            text = f"jnp.logical_{op}({text}, {other})"
        return text, _ATOM

    def _comparison(self, op: str, args: tuple[Expr, ...]) -> str:
        if len(args) < 2:
            return "True"
        texts = [self._inside(arg, _SUM) for arg in args]
        pairs = [f"{a} {_SIGNS[op]} {b}" for a, b in zip(texts, texts[1:], strict=False)]
        text = pairs[0]
        for other in pairs[1:]:
            text = f"jnp.logical_and({text}, {other})"
        return text


def literal(value: float) -> tuple[str, int]:
    """A number as Python text, and how tightly it holds together."""
    if math.isnan(value):
        return "jnp.nan", _ATOM
    if math.isinf(value):
        return ("jnp.inf", _ATOM) if value > 0 else ("-jnp.inf", _SIGN)
    return repr(value), (_ATOM if math.copysign(1.0, value) > 0 else _SIGN)
