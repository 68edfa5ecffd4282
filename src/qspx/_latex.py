"""A model's equations as sympy expressions and LaTeX, read from the functions that are integrated.

The function is traced and run on sympy expressions (`_jaxpr`), so that the printed equations cannot drift from the
code. Intermediate variables are substituted. Choices become `Piecewise`; `Max` and `Min` stay unevaluated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ._errors import ModelError, NotTraceable, closest
from ._jaxpr import Domain, Interpreter, is_number, trace

_GREEK = set(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split()
)


class SympyDomain(Domain):
    """Meaning of the primitives on sympy expressions; the first one without a meaning raises `NotTraceable`."""

    whole = frozenset({"remainder", "floor_divide", "hypot", "log10", "log2"})

    def __init__(self):
        import sympy

        self.sympy = sympy
        self._table = _table(sympy)

    def apply(self, name: str, params: dict, args: Sequence[Any], dtypes: Sequence[np.dtype]) -> Any:
        if name == "convert_element_type":
            return self._convert(self.expression(args[0]), np.dtype(params["new_dtype"]), np.dtype(dtypes[0]))
        if name == "select_n":
            return self._select(*args)
        if name == "argmax":
            return self._first_true(args)
        if name in ("and", "or", "not", "xor"):
            return self._logic(name, [self.condition(arg) for arg in args])
        values = [self.number(arg) for arg in args]
        if name == "integer_pow":
            return values[0] ** int(params["y"])
        if name == "pow":
            return values[0] ** self._exponent(args[1], values[1])
        if name == "rem":
            return self._remainder(*values)
        if name not in self._table:
            raise NotTraceable(f"the primitive `{name}` has no formula")
        return self._table[name](*values)

    def pick(self, elements: Sequence[Any]) -> Any:
        raise NotTraceable("an array is indexed by a computed value, which has no formula")

    def expression(self, value: Any) -> Any:
        """A number as sympy prints it best: whole numbers below 1e5 as integers."""
        sympy = self.sympy
        if not is_number(value):
            return value
        if isinstance(value, bool | np.bool_):
            return sympy.true if value else sympy.false
        value = float(value)
        if math.isnan(value):
            return sympy.nan
        if math.isinf(value):
            return sympy.oo if value > 0 else -sympy.oo
        return sympy.Integer(int(value)) if value == int(value) and abs(value) < 1e5 else sympy.Float(value)

    def number(self, value: Any) -> Any:
        """An expression; a condition counts as 1 or 0."""
        found = self.expression(value)
        return self._piecewise(1, 0, found) if self._is_condition(found) else found

    def condition(self, value: Any) -> Any:
        """A condition; an expression counts as true where it is not 0."""
        found = self.expression(value)
        return found if self._is_condition(found) else self.sympy.Ne(found, 0)

    def _is_condition(self, value: Any) -> bool:
        return isinstance(value, self.sympy.logic.boolalg.Boolean) and not isinstance(value, self.sympy.Symbol)

    def _piecewise(self, yes: Any, no: Any, condition: Any) -> Any:
        sympy = self.sympy
        if condition == sympy.true:
            return yes
        if condition == sympy.false:
            return no
        return sympy.Piecewise((yes, condition), (no, sympy.true), evaluate=False)

    def _select(self, which: Any, *cases: Any) -> Any:
        values = [self.expression(case) for case in cases]
        if all(map(self._is_condition, values)) and len(values) == 2:
            test, no, yes = self.condition(which), *values
            return self.sympy.Or(self.sympy.And(test, yes), self.sympy.And(self.sympy.Not(test), no))
        values = [self.number(value) for value in values]
        if len(values) == 2:
            return values[0] if values[0] == values[1] else self._piecewise(values[1], values[0], self.condition(which))
        sympy, index = self.sympy, self.number(which)
        if isinstance(index, sympy.Piecewise) and all(i.is_Integer for i, _ in index.args):  # from `_first_true`
            return sympy.Piecewise(*((values[int(i)], test) for i, test in index.args), evaluate=False)
        pairs = [(value, sympy.Eq(index, i)) for i, value in enumerate(values[:-1])]
        return sympy.Piecewise(*pairs, (values[-1], sympy.true), evaluate=False)

    def _first_true(self, conditions: Sequence[Any]) -> Any:
        """Position of the first true condition, 0 when there is none."""
        tests = [self.expression(condition) for condition in conditions]
        if not all(map(self._is_condition, tests)):
            raise NotTraceable("the primitive `argmax` has no formula")
        pairs = [(i, test) for i, test in enumerate(tests) if test != self.sympy.false]
        return self.sympy.Piecewise(*pairs, (0, self.sympy.true), evaluate=False)

    def _logic(self, name: str, values: list[Any]) -> Any:
        sympy = self.sympy
        return {"and": sympy.And, "or": sympy.Or, "not": sympy.Not, "xor": sympy.Xor}[name](*values)

    def _convert(self, value: Any, new: np.dtype, old: np.dtype) -> Any:
        if new.kind == "b":
            return self.condition(value)
        if new.kind in "iu" and old.kind == "f":
            return self.sympy.sign(value) * self.sympy.floor(self.sympy.Abs(value))  # jax truncates
        return value

    def _exponent(self, original: Any, value: Any) -> Any:
        if is_number(original) and float(original) != int(original) and float(4 * original) == int(4 * original):
            return self.sympy.Rational(int(4 * original), 4)  # x**0.5 prints as a root
        return value

    def _remainder(self, left: Any, right: Any) -> Any:
        sympy = self.sympy
        ratio = left / right
        whole = self._piecewise(sympy.floor(ratio), sympy.ceiling(ratio), sympy.Ge(ratio, 0))
        return left - right * whole


def _table(sympy: Any) -> dict[str, Callable]:
    def compare(relation: type, if_same: bool) -> Callable:
        def build(left, right):
            if left == right:
                return sympy.true if if_same else sympy.false
            return relation(left, right, evaluate=False)

        return build

    def extreme(kind: type, neutral: Any) -> Callable:
        def build(left, right):
            if right in (left, neutral):
                return left
            return right if left == neutral else kind(left, right, evaluate=False)

        return build

    high, low = extreme(sympy.Max, -sympy.oo), extreme(sympy.Min, sympy.oo)
    table = {
        "add": lambda x, y: x + y,
        "add_any": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul": lambda x, y: x * y,
        "div": lambda x, y: x / y,
        "neg": lambda x: -x,
        "square": lambda x: x**2,
        "sqrt": sympy.sqrt,
        "rsqrt": lambda x: 1 / sympy.sqrt(x),
        "cbrt": lambda x: sympy.sign(x) * sympy.Abs(x) ** sympy.Rational(1, 3),
        "exp": sympy.exp,
        "exp2": lambda x: 2**x,
        "expm1": lambda x: sympy.exp(x) - 1,
        "log": sympy.log,
        "log1p": lambda x: sympy.log(1 + x),
        "logistic": lambda x: 1 / (1 + sympy.exp(-x)),
        "abs": sympy.Abs,
        "ceil": sympy.ceiling,
        "max": high,
        "min": low,
        "clamp": lambda least, x, most: low(most, high(least, x)),
        "erf_inv": sympy.erfinv,
        "lgamma": sympy.loggamma,
        "remainder": lambda x, y: sympy.Mod(x, y, evaluate=False),
        "floor_divide": lambda x, y: sympy.floor(x / y),
        "hypot": lambda x, y: sympy.sqrt(x**2 + y**2),
        "log10": lambda x: sympy.log(x, 10),
        "log2": lambda x: sympy.log(x, 2),
        "is_finite": lambda x: sympy.true,
        "real": lambda x: x,
        "eq": compare(sympy.Eq, True),
        "ne": compare(sympy.Ne, False),
        "lt": compare(sympy.Lt, False),
        "le": compare(sympy.Le, True),
        "gt": compare(sympy.Gt, False),
        "ge": compare(sympy.Ge, True),
    }
    names = "tanh sin cos tan asin acos atan atan2 sinh cosh asinh acosh atanh sign floor erf erfc digamma".split()
    return table | {name: getattr(sympy, name) for name in names}


def to_sympy(function: Callable, symbols: Sequence[Any]) -> dict[str, Any]:
    """Sympy expression of every output of `function(*args)`, which returns a dict of name to scalar.

    `symbols` has the structure of `args`, with a name (or a sympy symbol) in place of every number, or an object array
    of them in place of an array. Names become plain `sympy.Symbol(name)`. Raises `NotTraceable` for loops of unknown
    length, computed indices and primitives without a formula, and `ModelError` for results that are not scalars.
    """
    domain = SympyDomain()
    closed, arrays, structure = trace(function, symbols)
    symbol = np.vectorize(lambda s: domain.sympy.Symbol(s) if isinstance(s, str) else s, otypes=[object])
    named = [np.asarray(symbol(array), dtype=object) for array in arrays]
    flat = []
    for value, _ in Interpreter(domain).run(closed, named):
        if value.size != 1:
            raise ModelError(f"The function must return scalars, but one result has shape {value.shape}.")
        flat.append(domain.number(value.reshape(-1).tolist()[0]))
    outputs = jax.tree_util.tree_unflatten(structure, flat)
    if not isinstance(outputs, Mapping):
        raise ModelError(f"The function must return a dict of name to value, but returns {type(outputs).__name__}.")
    return dict(outputs)


def to_latex(function: Callable, symbols: Sequence[Any], names: Iterable[str] | None = None) -> dict[str, str]:
    """LaTeX of the outputs of `function`, all of them or those in `names`; arguments as in `to_sympy`."""
    import sympy

    expressions = to_sympy(function, symbols)
    chosen = list(expressions) if names is None else list(names)
    for name in chosen:
        if name not in expressions:
            raise ModelError(f"Argument `names` has `{name}`, which is no output.{closest(name, expressions)}")
    free = set().union(*(expressions[name].free_symbols for name in chosen)) if chosen else set()
    printed = {symbol: latex_name(symbol.name) for symbol in free}
    style = {"symbol_names": printed, "mul_symbol": r"\, ", "min": -4, "max": 5}  # 6.02e14, not 602000000000000.0
    return {name: sympy.latex(expressions[name], **style) for name in chosen}


def latex_name(name: str) -> str:
    r"""LaTeX of a parameter or species name: `k_on` is ``k_{\mathrm{on}}``, `C_bm` is ``C_{\mathrm{bm}}``."""
    head, *tail = [part for part in name.split("_") if part] or [name]
    text = _word(head)
    match = re.fullmatch(r"([A-Za-z])(\d+)", head)
    if match:
        text, tail = _word(match[1]), [match[2], *tail]
    return text + (f"_{{{','.join(map(_word, tail))}}}" if tail else "")


def _word(word: str) -> str:
    if word in _GREEK:
        return "\\" + word
    if len(word) == 1 or word.isdigit():
        return word
    return rf"\mathrm{{{word}}}"
