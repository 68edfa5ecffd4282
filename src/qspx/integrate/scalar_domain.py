"""Traces a function of scalars and vectors into a `Graph`: what each elementwise primitive of jax is in our operations.

The interpreter (`qspx._jaxpr`) takes care of shapes, functions inside, loops and conditions; here a value is one node.
Whole numbers that are only known at run time (a position found by `argmax`, a rounded time) are floats that are whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from qspx._jaxpr import Domain, Interpreter, NotTraceable, trace
from qspx.integrate.graph import Graph
from qspx.integrate.operations import Op
from qspx.integrate.simplify import integer_power


class Leaf:
    """A node as a value of the domain (a class of its own: jax would look into a tuple)."""

    __slots__ = ("node",)

    def __init__(self, node: int):
        self.node = node


_DIRECT = {
    "add": Op.ADD,
    "add_any": Op.ADD,
    "sub": Op.SUB,
    "mul": Op.MUL,
    "div": Op.DIV,
    "neg": Op.NEG,
    "abs": Op.ABS,
    "max": Op.MAX,
    "min": Op.MIN,
    "pow": Op.POW,
    "sqrt": Op.SQRT,
    "exp": Op.EXP,
    "log": Op.LOG,
    "expm1": Op.EXPM1,
    "log1p": Op.LOG1P,
    "sin": Op.SIN,
    "cos": Op.COS,
    "tanh": Op.TANH,
    "atan": Op.ATAN,
    "erf": Op.ERF,
    "logistic": Op.LOGISTIC,
    "floor": Op.FLOOR,
    "ceil": Op.CEIL,
    "rem": Op.REM,
}
_LOGIC = {"and": Op.AND, "or": Op.OR, "mul": Op.AND, "min": Op.AND, "add": Op.OR, "max": Op.OR}
_BOOLEAN_RESULT = {
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "eq_to",
    "lt_to",
    "le_to",
    "and",
    "or",
    "not",
    "xor",
    "is_finite",
}
_NEEDS_REAL = {"div", "rem", "pow"}  # whole numbers divide differently


class ScalarDomain(Domain):
    """Meaning of the primitives as nodes of `graph`."""

    def __init__(self, graph: Graph):
        self.graph = graph

    def apply(self, name: str, params: dict, args: Sequence[Any], dtypes: Sequence[np.dtype]) -> Any:
        boolean = [self._is_boolean(arg) for arg in args]
        nodes = [arg.node if isinstance(arg, Leaf) else self.graph.constant(arg) for arg in args]
        node = self._node(name, params, nodes, boolean, dtypes)
        value = self.graph.constant_of(node)
        if value is None:
            return Leaf(node)
        cases = boolean[1:] if name == "select_n" else []
        return bool(value) if name in _BOOLEAN_RESULT or (cases and all(cases)) else value

    def _is_boolean(self, arg: Any) -> bool:
        return self.graph.is_boolean(arg.node) if isinstance(arg, Leaf) else isinstance(arg, bool | np.bool_)

    def _node(self, name: str, params: dict, args: list[int], boolean: list[bool], dtypes: Sequence[np.dtype]) -> int:
        g = self.graph
        if name == "select_n":
            return _choose(g, args[0], boolean[0], args[1:], all(boolean[1:]))
        if name == "convert_element_type":
            return _convert(g, args[0], boolean[0], np.dtype(params["new_dtype"]), dtypes[0])
        if name == "not":
            return g.node(Op.NOT, args[0])
        if name in ("argmax", "argmin"):
            return _position(g, args if name == "argmax" else _flipped(g, args, boolean), all(boolean))
        if any(boolean):
            return _logic(g, name, args)
        if name in _NEEDS_REAL and np.issubdtype(dtypes[0], np.integer):
            raise NotTraceable(f"`{name}` of whole numbers that are only known at run time has no scalar program")
        if name in _DIRECT:
            return g.node(_DIRECT[name], *args)
        if name == "integer_pow":
            return integer_power(g, args[0], int(params["y"]))
        if name == "round":
            return _round(g, args[0], int(params["rounding_method"]))
        if name not in _WRITTEN:
            raise NotTraceable(f"the primitive `{name}` has no scalar program")
        return _WRITTEN[name](g, *args)


# ----------------------------------------------------------------------------------------------------------------
# Primitives that are written in other operations


def _logic(g: Graph, name: str, args: list[int]) -> int:
    if name in _LOGIC:
        return g.node(_LOGIC[name], *args)
    if name in ("xor", "ne", "eq", "eq_to"):
        either, both = g.node(Op.OR, *args), g.node(Op.AND, *args)
        differ = g.node(Op.AND, either, g.node(Op.NOT, both))
        return differ if name in ("xor", "ne") else g.node(Op.NOT, differ)
    raise NotTraceable(f"`{name}` of truth values has no scalar program")


def _choose(g: Graph, which: int, boolean: bool, cases: list[int], logical: bool) -> int:
    """`select_n`: case number `which`, the last for any number too large."""
    conditions = (
        [g.node(Op.NOT, which)] if boolean else [g.node(Op.EQ, which, g.constant(k)) for k in range(len(cases) - 1)]
    )
    found = cases[-1]
    for condition, case in zip(reversed(conditions), reversed(cases[:-1]), strict=True):
        if logical:
            without = g.node(Op.AND, g.node(Op.NOT, condition), found)
            found = g.node(Op.OR, g.node(Op.AND, condition, case), without)
        else:
            found = g.node(Op.SELECT, condition, case, found)
    return found


def _convert(g: Graph, a: int, boolean: bool, to: np.dtype, old: np.dtype) -> int:
    if to.kind == "b":
        return a if boolean else g.node(Op.NOT, g.node(Op.EQ, a, g.constant(0.0)))
    if boolean:
        return g.node(Op.SELECT, a, g.constant(1.0), g.constant(0.0))
    if to.kind in "iu" and old.kind == "f":
        return g.node(Op.SELECT, g.node(Op.LT, a, g.constant(0.0)), g.node(Op.CEIL, a), g.node(Op.FLOOR, a))
    if to.kind in "fiu":
        return a
    raise NotTraceable(f"values of type {to} have no scalar program")


def _flipped(g: Graph, args: list[int], boolean: list[bool]) -> list[int]:
    return [g.node(Op.NOT if b else Op.NEG, a) for a, b in zip(args, boolean, strict=True)]


def _position(g: Graph, args: list[int], boolean: bool) -> int:
    """Position of the first largest value, or of the first that is true."""
    if boolean:
        found = g.constant(0.0)
        for k in reversed(range(len(args))):
            found = g.node(Op.SELECT, args[k], g.constant(k), found)
        return found
    found, best = g.constant(0.0), args[0]
    for k, a in enumerate(args[1:], start=1):
        found = g.node(Op.SELECT, g.node(Op.LT, best, a), g.constant(k), found)
        best = g.node(Op.MAX, best, a)
    return found


def _round(g: Graph, a: int, method: int) -> int:
    if method == 1:
        return g.node(Op.ROUND, a)
    away = g.node(Op.FLOOR, g.node(Op.ADD, g.node(Op.ABS, a), g.constant(0.5)))  # halves away from zero
    return g.node(Op.SELECT, g.node(Op.LT, a, g.constant(0.0)), g.node(Op.NEG, away), away)


def _sign(g: Graph, a: int) -> int:
    zero, one = g.constant(0.0), g.constant(1.0)
    positive = g.node(Op.SELECT, g.node(Op.LT, zero, a), one, a)  # zero and NaN stay what they are
    return g.node(Op.SELECT, g.node(Op.LT, a, zero), g.constant(-1.0), positive)


def _scaled(g: Graph, factor: float, a: int) -> int:
    return g.node(Op.MUL, g.constant(factor), a)


def _sinh(g: Graph, a: int) -> int:
    return _scaled(g, 0.5, g.node(Op.SUB, g.node(Op.EXPM1, a), g.node(Op.EXPM1, g.node(Op.NEG, a))))


def _cosh(g: Graph, a: int) -> int:
    return _scaled(g, 0.5, g.node(Op.ADD, g.node(Op.EXP, a), g.node(Op.EXP, g.node(Op.NEG, a))))


def _atanh(g: Graph, a: int) -> int:
    return _scaled(g, 0.5, g.node(Op.SUB, g.node(Op.LOG1P, a), g.node(Op.LOG1P, g.node(Op.NEG, a))))


def _asin(g: Graph, a: int) -> int:
    one = g.constant(1.0)
    square = g.node(Op.MUL, g.node(Op.SUB, one, a), g.node(Op.ADD, one, a))
    return g.node(Op.ATAN, g.node(Op.DIV, a, g.node(Op.SQRT, square)))


def _acos(g: Graph, a: int) -> int:
    one = g.constant(1.0)
    ratio = g.node(Op.DIV, g.node(Op.SUB, one, a), g.node(Op.ADD, one, a))
    return _scaled(g, 2.0, g.node(Op.ATAN, g.node(Op.SQRT, ratio)))


def _cbrt(g: Graph, a: int) -> int:
    return g.node(Op.MUL, _sign(g, a), g.node(Op.POW, g.node(Op.ABS, a), g.constant(1 / 3)))


_WRITTEN: dict[str, Callable] = {
    "eq": lambda g, a, b: g.node(Op.EQ, a, b),
    "eq_to": lambda g, a, b: g.node(Op.EQ, a, b),
    "ne": lambda g, a, b: g.node(Op.NOT, g.node(Op.EQ, a, b)),
    "lt": lambda g, a, b: g.node(Op.LT, a, b),
    "lt_to": lambda g, a, b: g.node(Op.LT, a, b),
    "le": lambda g, a, b: g.node(Op.LE, a, b),
    "le_to": lambda g, a, b: g.node(Op.LE, a, b),
    "gt": lambda g, a, b: g.node(Op.LT, b, a),
    "ge": lambda g, a, b: g.node(Op.LE, b, a),
    "is_finite": lambda g, a: g.node(Op.LT, g.node(Op.ABS, a), g.constant(math.inf)),
    "clamp": lambda g, low, a, high: g.node(Op.MIN, g.node(Op.MAX, a, low), high),
    "square": lambda g, a: g.node(Op.MUL, a, a),
    "rsqrt": lambda g, a: g.node(Op.DIV, g.constant(1.0), g.node(Op.SQRT, a)),
    "cbrt": _cbrt,
    "exp2": lambda g, a: g.node(Op.EXP, _scaled(g, math.log(2.0), a)),
    "tan": lambda g, a: g.node(Op.DIV, g.node(Op.SIN, a), g.node(Op.COS, a)),
    "sinh": _sinh,
    "cosh": _cosh,
    "atanh": _atanh,
    "asin": _asin,
    "acos": _acos,
    "sign": _sign,
    "erfc": lambda g, a: g.node(Op.SUB, g.constant(1.0), g.node(Op.ERF, a)),
}


def trace_scalars(graph: Graph, function: Callable, *args: int | Sequence[int]) -> list[int]:
    """Nodes of the vector (or scalar) that `function` returns, given a node per scalar argument and nodes per vector.

    Raises `NotTraceable`, naming the primitive and the user's source line, for a construct without a scalar program.
    """
    leaves = [Leaf(arg) if isinstance(arg, int) else _vector(arg) for arg in args]
    with jax.ensure_compile_time_eval():  # also from inside a function that is being traced itself
        closed, inputs, _ = trace(function, leaves)
        ((value, _),) = Interpreter(ScalarDomain(graph)).run(closed, inputs)
    return [element.node if isinstance(element, Leaf) else graph.constant(element) for element in value.reshape(-1)]


def _vector(nodes: Sequence[int]) -> np.ndarray:
    array = np.empty(len(nodes), dtype=object)
    array[:] = [Leaf(k) for k in nodes]
    return array
