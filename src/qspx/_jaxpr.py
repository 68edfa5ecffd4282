"""Run a traced function on abstract values, element by element.

`_unit_check` runs model functions on units and `_latex` on sympy expressions. Both meet the same jaxpr, so the part
that knows jax is here and the part that knows what `add` means is a `Domain`.

- Every jaxpr variable is a numpy array. A variable known in full is a plain numeric array and is folded; any other is
  an object array whose elements are Python numbers (known) or values of the domain.
- Primitives that only move elements are replayed on integer positions.
- Functions inside (jit, custom derivatives, remat) are entered, `cond` is entered when its index is known and joined
  otherwise, loops are unrolled when their length is known and short.
- Everything else raises `NotTraceable`, naming the primitive and the user's source line.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend import core

from ._errors import NotTraceable, QspxError
from ._jaxpr_primitives import HANDLERS, aval, is_number, objects
from ._tracing import from_library, scalar, trace, user_line

__all__ = ["Domain", "Fault", "Interpreter", "NotTraceable", "is_number", "trace", "user_line"]

MAX_UNROLLED = 1000  # iterations of a loop that are written out

_CALLS = {
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "core_closed_call",
    "xla_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vjp_call_jaxpr",
    "checkpoint",
    "remat",
    "remat2",
}
_SAME = {"copy", "copy_p", "optimization_barrier", "stop_gradient", "reduce_precision"}
_ELEMENTWISE = {
    "add",
    "add_any",
    "sub",
    "mul",
    "div",
    "rem",
    "neg",
    "pow",
    "integer_pow",
    "square",
    "sqrt",
    "cbrt",
    "rsqrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "tanh",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "atan2",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
    "logistic",
    "abs",
    "sign",
    "max",
    "min",
    "clamp",
    "select_n",
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
    "floor",
    "ceil",
    "round",
    "erf",
    "erfc",
    "erf_inv",
    "lgamma",
    "digamma",
    "is_finite",
    "convert_element_type",
    "nextafter",
    "real",
}
_FOLDS: dict[str, Callable] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "neg": operator.neg,
    "max": max,
    "min": min,
}


class Domain:
    """What the primitives mean on one kind of abstract value.

    `poison` stands in for the result of a faulty operation, so that one run finds every fault; when it is `None` the
    first fault ends the run. `whole` names functions of jax (of scalars, e.g. `remainder`) that are given to `apply`
    as if they were primitives, where what they are made of would say less.
    """

    poison: Any = None
    whole: frozenset[str] = frozenset()

    def apply(self, name: str, params: dict, args: Sequence[Any], dtypes: Sequence[np.dtype]) -> Any:
        """Result of elementwise primitive `name`; at least one argument is abstract, numbers are Python numbers."""
        raise NotImplementedError

    def pick(self, elements: Sequence[Any]) -> Any:
        """The value of one of `elements`, it is not known which (an index that is computed)."""
        raise NotTraceable("an array is indexed by a value that is only known at run time")


@dataclass(frozen=True)
class Fault:
    """A faulty operation: what is wrong and where, e.g. ``models/x.py:42: `return k * C` ``, and the positions of the
    outputs that are computed from it."""

    message: str
    place: str
    outputs: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.message} ({self.place})" if self.place else self.message


# --------------------------------------------------------------------------------------------------------------
# Tracing and source lines


def _outputs_of(jaxpr: core.Jaxpr) -> list[set[int]]:
    """Per equation, the positions of the outputs that are computed from it."""
    into: dict[Any, set[int]] = {}
    for i, var in enumerate(jaxpr.outvars):
        if not isinstance(var, core.Literal):
            into.setdefault(var, set()).add(i)
    found = []
    for eqn in reversed(jaxpr.eqns):
        reached = set().union(*(into.get(var, ()) for var in eqn.outvars))
        for var in eqn.invars:
            if not isinstance(var, core.Literal):
                into.setdefault(var, set()).update(reached)
        found.append(reached)
    return found[::-1]


class Interpreter:
    """Runs jaxprs on one `Domain`. `faults` collects what the domain objected to, without repeats."""

    def __init__(self, domain: Domain):
        self.domain = domain
        self._faults: dict[tuple[str, str], set[int]] = {}  # outputs by (message, place)
        self._outputs: set[int] = set()  # outputs computed from the outermost equation that is being run
        self._call_line: str | None = None  # line of the call into a library function that is being run

    @property
    def faults(self) -> list[Fault]:
        return [Fault(*what, tuple(sorted(outputs))) for what, outputs in self._faults.items()]

    def run(self, closed: core.ClosedJaxpr, inputs: Sequence[np.ndarray]) -> list[tuple[np.ndarray, str]]:
        """(value, source line) per output. Constants of the jaxpr are known values."""
        with jax.enable_x64(True):
            return self._run(closed.jaxpr, closed.consts, inputs, _outputs_of(closed.jaxpr))

    def _run(
        self,
        jaxpr: core.Jaxpr,
        consts: Sequence[Any],
        inputs: Sequence[np.ndarray],
        outputs: Sequence[set[int]] | None = None,
    ):
        env: dict[Any, tuple[np.ndarray, str]] = {}

        def read(var) -> tuple[np.ndarray, str]:
            return (np.asarray(var.val), "") if isinstance(var, core.Literal) else env[var]

        for var, value in zip(jaxpr.constvars, consts, strict=True):
            env[var] = (self._constant(value), "")
        for var, value in zip(jaxpr.invars, inputs, strict=True):
            env[var] = (value, "")
        for i, eqn in enumerate(jaxpr.eqns):
            if outputs is not None:
                self._outputs = outputs[i]
            values = [read(var)[0] for var in eqn.invars]
            place = self._place(eqn)
            for var, (value, inner) in zip(eqn.outvars, self._equation(eqn, values), strict=True):
                env[var] = (_settle(value, var.aval), inner or place)
        return [read(var) for var in jaxpr.outvars]

    def _place(self, eqn: core.JaxprEqn) -> str:
        return user_line(eqn) if self._call_line is None else self._call_line

    def _constant(self, value: Any) -> np.ndarray:
        try:
            return np.asarray(value)
        except Exception as error:
            raise NotTraceable(f"a constant of type {type(value).__name__} is not an array of numbers") from error

    def _equation(self, eqn: core.JaxprEqn, values: list[np.ndarray]) -> list[tuple[np.ndarray, str]]:
        name = eqn.primitive.name
        if name in _CALLS:
            return self._call(eqn, values)
        known = all(value.dtype != object for value in values)
        if name == "cond":
            return self._cond(eqn, values)
        if name in ("scan", "while"):
            return self._loop(eqn, values)
        with self._located(eqn):
            if known:
                return [(value, "") for value in self._bind(eqn, values)]
            handler = HANDLERS.get(name)
            if handler is not None:
                found = handler(self, eqn, values)
                return [(value, "") for value in found] if eqn.primitive.multiple_results else [(found, "")]
            if name in _SAME:
                return [(value, "") for value in values]
            if name in _ELEMENTWISE:
                return [(self._elementwise(eqn, values), "")]
            raise NotTraceable(f"the primitive `{name}` is not followed")

    @contextmanager
    def _located(self, eqn: core.JaxprEqn) -> Iterator[None]:
        """Adds the user's line to `NotTraceable`."""
        try:
            yield
        except NotTraceable as error:
            if getattr(error, "located", False):
                raise
            place = self._place(eqn)
            raised = NotTraceable(f"{error}" + (f" ({place})" if place else ""))
            raised.located = True  # type: ignore[attr-defined]
            raise raised from error

    def _bind(self, eqn: core.JaxprEqn, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        found = eqn.primitive.bind(*values, **eqn.params)
        return [self._constant(value) for value in (found if eqn.primitive.multiple_results else [found])]

    # -- functions inside ---------------------------------------------------------------------------------------

    def _call(self, eqn: core.JaxprEqn, values: list[np.ndarray]):
        inner = next(eqn.params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in eqn.params)
        jaxpr, consts = (inner, ()) if isinstance(inner, core.Jaxpr) else (inner.jaxpr, inner.consts)
        library = from_library(jaxpr)
        name = eqn.params.get("name", "")
        if library and name in self.domain.whole and all(value.shape == () for value in values):
            args = [objects(value)[()] for value in values]
            if not all(map(is_number, args)):
                return [(scalar(self.element(eqn, name, {}, args)), self._place(eqn))]
        if self._call_line is not None or not library:
            return self._run(jaxpr, consts, values)
        self._call_line = user_line(eqn)
        try:
            return self._run(jaxpr, consts, values)
        finally:
            self._call_line = None

    def _cond(self, eqn: core.JaxprEqn, values: list[np.ndarray]):
        index, branches, inputs = values[0], eqn.params["branches"], values[1:]
        if index.dtype != object:
            branch = branches[min(max(int(index), 0), len(branches) - 1)]
            return self._run(branch.jaxpr, branch.consts, inputs)
        results = [self._run(branch.jaxpr, branch.consts, inputs) for branch in branches]
        joined = []
        with self._located(eqn):
            for outs in zip(*results, strict=True):
                arrays = [objects(value) for value, _ in outs]
                one = np.empty(arrays[0].shape, dtype=object)
                for at in np.ndindex(one.shape):
                    one[at] = self.element(eqn, "select_n", {}, [index[()], *(array[at] for array in arrays)])
                joined.append((one, self._place(eqn)))
        return joined

    def _loop(self, eqn: core.JaxprEqn, values: list[np.ndarray]):
        with self._located(eqn):
            return self._scan(eqn, values) if eqn.primitive.name == "scan" else self._while(eqn, values)

    def _scan(self, eqn: core.JaxprEqn, values: list[np.ndarray]):
        params, n = eqn.params, eqn.params["length"]
        if n > MAX_UNROLLED:
            raise NotTraceable(f"`scan` over {n} steps is too long to write out (at most {MAX_UNROLLED})")
        first, last = params["num_consts"], params["num_consts"] + params["num_carry"]
        fixed, carry, rows = values[:first], values[first:last], values[last:]
        body, collected = params["jaxpr"], [None] * n
        for i in reversed(range(n)) if params["reverse"] else range(n):
            inputs = [*fixed, *carry, *(np.asarray(row[i, ...]) for row in rows)]
            outs = [value for value, _ in self._run(body.jaxpr, body.consts, inputs)]
            carry, collected[i] = outs[: len(carry)], outs[len(carry) :]
        shapes = [aval(var).shape for var in eqn.outvars[len(carry) :]]
        stacked = [
            np.stack([objects(row[j]) for row in collected]) if n else np.zeros(shape)  # type: ignore[index]
            for j, shape in enumerate(shapes)
        ]
        return [(value, self._place(eqn)) for value in (*carry, *stacked)]

    def _while(self, eqn: core.JaxprEqn, values: list[np.ndarray]):
        params = eqn.params
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        test, body, carry = params["cond_jaxpr"], params["body_jaxpr"], values[second:]
        for _ in range(MAX_UNROLLED + 1):
            go = self._run(test.jaxpr, test.consts, [*values[:first], *carry])[0][0]
            if go.dtype == object:
                raise NotTraceable("a `while` loop ends depending on a value that is only known at run time")
            if not go:
                return [(value, self._place(eqn)) for value in carry]
            carry = [value for value, _ in self._run(body.jaxpr, body.consts, [*values[first:second], *carry])]
        raise NotTraceable(f"a `while` loop takes more than {MAX_UNROLLED} iterations")

    # -- elements -----------------------------------------------------------------------------------------------

    def element(self, eqn: core.JaxprEqn, name: str, params: dict, args: list[Any], dtypes=None) -> Any:
        try:
            if all(map(is_number, args)):
                return self._fold(eqn, name, args, dtypes)
            return self.domain.apply(name, params, args, dtypes or [aval(var).dtype for var in eqn.invars])
        except NotTraceable:
            raise
        except QspxError as error:
            if self.domain.poison is None:
                raise
            self._faults.setdefault((str(error), self._place(eqn)), set()).update(self._outputs)
            return self.domain.poison

    def _fold(self, eqn: core.JaxprEqn, name: str, args: list[Any], dtypes=None) -> Any:
        if name in _FOLDS and all(isinstance(arg, float) and not math.isnan(arg) for arg in args):
            return _FOLDS[name](*args)
        if name == eqn.primitive.name:
            dtypes = dtypes or [aval(var).dtype for var in eqn.invars]
            typed = [np.asarray(arg, dtype) for arg, dtype in zip(args, dtypes, strict=True)]
            params = dict(eqn.params) | ({"sharding": None} if "sharding" in eqn.params else {})
            return np.asarray(eqn.primitive.bind(*typed, **params))[()].item()
        ufunc = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum, "and": np.logical_and}
        if name == "select_n":
            return args[1 + int(args[0])]
        return ufunc.get(name, np.logical_or)(*args).item()

    def _elementwise(self, eqn: core.JaxprEqn, values: Sequence[np.ndarray]) -> np.ndarray:
        arrays = np.broadcast_arrays(*map(objects, values))
        out = np.empty(arrays[0].shape, dtype=object)
        for at in np.ndindex(out.shape):
            args = [array[at] for array in arrays]
            name = eqn.primitive.name
            if name == "select_n" and is_number(args[0]):
                out[at] = args[1 + int(args[0])]
            else:
                out[at] = self.element(eqn, name, eqn.params, args)
        return out


def _settle(value: np.ndarray, aval: Any) -> np.ndarray:
    """A numeric array again when every element has become known."""
    value = np.asarray(value)
    if value.dtype == object and all(map(is_number, value.flat)):
        return value.astype(aval.dtype)
    return value
