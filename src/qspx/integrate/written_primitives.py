"""Primitives of jax that are written in several operations of a scalar program."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from qspx._errors import NotTraceable
from qspx.integrate.graph import Graph
from qspx.integrate.operations import Op

_LOGIC = {"and": Op.AND, "or": Op.OR, "mul": Op.AND, "min": Op.AND, "add": Op.OR, "max": Op.OR}


def logic(g: Graph, name: str, args: list[int]) -> int:
    if name in _LOGIC:
        return g.node(_LOGIC[name], *args)
    if name in ("xor", "ne", "eq", "eq_to"):
        either, both = g.node(Op.OR, *args), g.node(Op.AND, *args)
        differ = g.node(Op.AND, either, g.node(Op.NOT, both))
        return differ if name in ("xor", "ne") else g.node(Op.NOT, differ)
    raise NotTraceable(f"`{name}` of truth values has no scalar program")


def choose(g: Graph, which: int, boolean: bool, cases: list[int], logical: bool) -> int:
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


def convert(g: Graph, a: int, boolean: bool, to: np.dtype, old: np.dtype) -> int:
    if to.kind == "b":
        return a if boolean else g.node(Op.NOT, g.node(Op.EQ, a, g.constant(0.0)))
    if boolean:
        return g.node(Op.SELECT, a, g.constant(1.0), g.constant(0.0))
    if to.kind in "iu" and old.kind == "f":
        return g.node(Op.SELECT, g.node(Op.LT, a, g.constant(0.0)), g.node(Op.CEIL, a), g.node(Op.FLOOR, a))
    if to.kind in "fiu":
        return a
    raise NotTraceable(f"values of type {to} have no scalar program")


def flipped(g: Graph, args: list[int], boolean: list[bool]) -> list[int]:
    return [g.node(Op.NOT if b else Op.NEG, a) for a, b in zip(args, boolean, strict=True)]


def position(g: Graph, args: list[int], boolean: bool) -> int:
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


def round_(g: Graph, a: int, method: int) -> int:
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


WRITTEN: dict[str, Callable] = {
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
