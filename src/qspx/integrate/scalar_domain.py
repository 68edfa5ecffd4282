"""Traces a function of scalars and vectors into a `Graph`: what each elementwise primitive of jax is in our operations.

The interpreter (`qspx._jaxpr`) takes care of shapes, functions inside, loops and conditions; here a value is one node.
Whole numbers that are only known at run time (a position found by `argmax`, a rounded time) are floats that are whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from qspx._jaxpr import Domain, Interpreter, NotTraceable, trace
from qspx.integrate.graph import Graph
from qspx.integrate.operations import Op
from qspx.integrate.simplify import integer_power
from qspx.integrate.written_primitives import WRITTEN, choose, convert, flipped, logic, position, round_


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
            return choose(g, args[0], boolean[0], args[1:], all(boolean[1:]))
        if name == "convert_element_type":
            return convert(g, args[0], boolean[0], np.dtype(params["new_dtype"]), dtypes[0])
        if name == "not":
            return g.node(Op.NOT, args[0])
        if name in ("argmax", "argmin"):
            return position(g, args if name == "argmax" else flipped(g, args, boolean), all(boolean))
        if any(boolean):
            return logic(g, name, args)
        if name in _NEEDS_REAL and np.issubdtype(dtypes[0], np.integer):
            raise NotTraceable(f"`{name}` of whole numbers that are only known at run time has no scalar program")
        if name in _DIRECT:
            return g.node(_DIRECT[name], *args)
        if name == "integer_pow":
            return integer_power(g, args[0], int(params["y"]))
        if name == "round":
            return round_(g, args[0], int(params["rounding_method"]))
        if name not in WRITTEN:
            raise NotTraceable(f"the primitive `{name}` has no scalar program")
        return WRITTEN[name](g, *args)


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
