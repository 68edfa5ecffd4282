"""Scalar programs as CUDA C: one `__device__` function per program, one line per node."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qspx._errors import SolveError
from qspx.integrate.operations import BOOLEAN, Op
from qspx.integrate.program import Program

SCALARS = ("t", "shift")  # input groups of one number, passed by value

_INFIX = {
    Op.ADD: "+",
    Op.SUB: "-",
    Op.MUL: "*",
    Op.DIV: "/",
    Op.LT: "<",
    Op.LE: "<=",
    Op.EQ: "==",
    Op.AND: "&&",
    Op.OR: "||",
}
# of the C library and of CUDA; F() makes them functions of `real`
_CALLED = {
    Op.ABS: "fabs",
    Op.SQRT: "sqrt",
    Op.EXP: "exp",
    Op.LOG: "log",
    Op.EXPM1: "expm1",
    Op.LOG1P: "log1p",
    Op.POW: "pow",
    Op.SIN: "sin",
    Op.COS: "cos",
    Op.TANH: "tanh",
    Op.ATAN: "atan",
    Op.ERF: "erf",
    Op.FLOOR: "floor",
    Op.CEIL: "ceil",
    Op.ROUND: "rint",
    Op.REM: "fmod",
}
_OWN = {Op.MIN: "smaller", Op.MAX: "larger"}


@dataclass(frozen=True)
class Precision:
    """The type that a model's numbers have: `real` in C, and what literals and functions of it end with."""

    name: str
    real: str
    suffix: str

    def literal(self, x: float) -> str:
        """A constant as C text that reads back as the same number. Raises `SolveError` where `real` has no such
        number: what is finite and not zero must stay so."""
        x = float(x)
        if math.isnan(x):
            return "((real)QSPX_NOT_A_NUMBER)"
        if math.isinf(x):
            return "((real)QSPX_INFINITE)" if x > 0 else "(-(real)QSPX_INFINITE)"
        with np.errstate(over="ignore", under="ignore"):
            held = np.dtype(self.name).type(x)
        if not np.isfinite(held) or (held == 0) != (x == 0):
            raise SolveError(
                f"the model holds the constant {x:g}, which {self.name} has no number for. Use precision='float64', or "
                "other units."
            )
        text = str(held) + self.suffix
        return f"({text})" if text.startswith("-") else text

    def function(self, name: str) -> str:
        return name + self.suffix


PRECISIONS = {p.name: p for p in (Precision("float64", "double", ""), Precision("float32", "float", "f"))}


def signature(name: str, program: Program, groups: Sequence[str]) -> str:
    """`groups` are the inputs, in order, read or not; outputs come after them."""
    inputs = [f"real {g}" if g in SCALARS else f"const real* __restrict__ {g}" for g in groups]
    outputs = [f"real* __restrict__ {_out(g)}" for g in program.outputs]
    return f"QSPX_PROGRAM void {name}({', '.join([*inputs, *outputs])})"


def printed(name: str, program: Program, groups: Sequence[str], precision: Precision) -> str:
    """The function of a program: its inputs are the `groups`, its outputs those of `program.outputs`."""
    writer = _Writer(precision)
    inputs = {g: [g] if g in SCALARS else _Elements(g) for g in groups}
    found = program.evaluate(inputs, {op: writer.operation(op) for op in Op if op not in (Op.CONST, Op.INPUT)})
    for group, values in found.items():
        writer.lines += [f"{_out(group)}[{i}] = {writer.shown(value)};" for i, value in enumerate(values)]
    return "\n".join([signature(name, program, groups), "{", *(f"    {line}" for line in writer.lines), "}"])


def _out(group: str) -> str:
    return f"out_{group}"


@dataclass(frozen=True)
class _Elements:
    """An array argument: `group[i]`, as text."""

    group: str

    def __getitem__(self, i: int | np.integer) -> str:
        return f"{self.group}[{i}]"


class _Writer:
    """The lines of a function under construction."""

    def __init__(self, precision: Precision):
        self.precision = precision
        self.lines: list[str] = []

    def shown(self, value: Any) -> str:
        return value if isinstance(value, str) else self.precision.literal(value)

    def operation(self, op: Op) -> Any:
        """A function of operands, names or numbers, that writes a line and returns the name of its result."""
        kind = "bool" if op in BOOLEAN else "real"

        def write(*operands: Any) -> str:
            name = f"v{len(self.lines)}"
            text = self._expression(op, [self.shown(x) for x in operands])
            self.lines.append(f"const {kind} {name} = {text};")
            return name

        return write

    def _expression(self, op: Op, x: Sequence[str]) -> str:
        called: Mapping[Op, str] = _CALLED
        if op in _INFIX:
            return f"{x[0]} {_INFIX[op]} {x[1]}"
        if op in called:
            return f"{self.precision.function(called[op])}({', '.join(x)})"
        if op in _OWN:
            return f"{_OWN[op]}<real>({', '.join(x)})"
        one = self.precision.literal(1.0)
        return {
            Op.NEG: "-{0}",
            Op.NOT: "!{0}",
            Op.SELECT: "{0} ? {1} : {2}",
            Op.LOGISTIC: f"{one} / ({one} + {self.precision.function('exp')}(-{{0}}))",
        }[op].format(*x)
