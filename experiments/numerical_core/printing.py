"""A model's scalar programs as source text of other languages, so that every peer gets a compiled right-hand side.

The text is straight-line code with common subexpressions shared: what a careful user would write by hand, or better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from qspx.integrate.operations import ARITY, BOOLEAN, Op
from qspx.integrate.program import Program


@dataclass(frozen=True)
class Dialect:
    """How a language writes an operation (`{0}`, `{1}`, `{2}` are operands) and a statement (`{name}`, `{value}`).
    `nested`: what is read once is written where it is read, and truth values always are (they are no variables)."""

    operations: Mapping[Op, str]
    number: str
    truth: str
    constants: Callable[[float], str]
    nested: bool = False


_INFIX = {Op.ADD: "{0} + {1}", Op.SUB: "{0} - {1}", Op.MUL: "{0} * {1}", Op.DIV: "{0} / {1}", Op.NEG: "-{0}"}
_INFIX |= {Op.LT: "{0} < {1}", Op.LE: "{0} <= {1}", Op.EQ: "{0} == {1}"}
_NAMED = (Op.SQRT, Op.EXP, Op.LOG, Op.EXPM1, Op.LOG1P, Op.SIN, Op.COS, Op.TANH, Op.ATAN, Op.ERF, Op.FLOOR, Op.CEIL)


def _c_number(x: float) -> str:
    return repr(x) if math.isfinite(x) else {math.inf: "INFINITY", -math.inf: "-INFINITY"}.get(x, "NAN")


def _python_number(x: float) -> str:
    return repr(x) if math.isfinite(x) else f"math.{'inf' if x > 0 else '-inf' if x < 0 else 'nan'}"


C = Dialect(
    _INFIX
    | {op: f"{op.name.lower()}({{0}})" for op in _NAMED}
    | {
        Op.ABS: "fabs({0})",
        Op.MIN: "fmin({0}, {1})",
        Op.MAX: "fmax({0}, {1})",
        Op.POW: "pow({0}, {1})",
        Op.REM: "fmod({0}, {1})",
        Op.ROUND: "rint({0})",
        Op.LOGISTIC: "1.0 / (1.0 + exp(-({0})))",
        Op.AND: "{0} && {1}",
        Op.OR: "{0} || {1}",
        Op.NOT: "!{0}",
        Op.SELECT: "{0} ? {1} : {2}",
    },
    "const double {name} = {value};",
    "const int {name} = {value};",
    _c_number,
)

PYTHON = Dialect(
    _INFIX
    | {op: f"math.{op.name.lower()}({{0}})" for op in _NAMED}
    | {
        Op.ABS: "abs({0})",
        Op.MIN: "min({0}, {1})",
        Op.MAX: "max({0}, {1})",
        Op.POW: "{0} ** {1}",
        Op.REM: "math.fmod({0}, {1})",
        Op.ROUND: "round({0})",
        Op.LOGISTIC: "1.0 / (1.0 + math.exp(-({0})))",
        Op.AND: "{0} and {1}",
        Op.OR: "{0} or {1}",
        Op.NOT: "not {0}",
        Op.SELECT: "{1} if {0} else {2}",
    },
    "{name} = {value}",
    "{name} = {value}",
    _python_number,
)

ANTIMONY = Dialect(
    _INFIX
    | {op: f"{op.name.lower()}({{0}})" for op in (Op.SQRT, Op.EXP, Op.SIN, Op.COS, Op.TANH, Op.FLOOR)}
    | {
        Op.LOG: "ln({0})",
        Op.ABS: "abs({0})",
        Op.CEIL: "ceil({0})",
        Op.ATAN: "arctan({0})",
        Op.EXPM1: "exp({0}) - 1",
        Op.LOG1P: "ln(1 + {0})",
        Op.MIN: "piecewise({0}, {0} < {1}, {1})",
        Op.MAX: "piecewise({0}, {0} > {1}, {1})",
        Op.POW: "{0}^{1}",
        Op.LOGISTIC: "1 / (1 + exp(-({0})))",
        Op.AND: "({0}) && ({1})",
        Op.OR: "({0}) || ({1})",
        Op.NOT: "!({0})",
        Op.SELECT: "piecewise({1}, {0}, {2})",
    },
    "{name} := {value};",
    "",
    repr,
    nested=True,
)


def statements(
    program: Program, dialect: Dialect, read: Callable[[str, int], str], prefix: str = "v"
) -> tuple[list[str], dict[str, list[str]]]:
    """(statements, text of each output by group). `read(group, position)` is the text of an input."""
    groups = list(program.inputs)
    read_once = _read_once(program) if dialect.nested else set()
    text: list[str] = []
    lines: list[str] = []
    for k, code in enumerate(program.ops):
        op, operands = Op(code), program.operands[k]
        if op is Op.CONST:
            value = dialect.constants(float(program.constants[k]))
            text.append(f"({value})" if program.constants[k] < 0 else value)
        elif op is Op.INPUT:
            text.append(read(groups[operands[0]], int(operands[1])))
        else:
            if op not in dialect.operations:
                raise NotImplementedError(f"`{op.name.lower()}` cannot be written in this language")
            value = dialect.operations[op].format(*(text[j] for j in operands[: ARITY[op]]))
            statement = dialect.truth if op in BOOLEAN else dialect.number
            if statement and k not in read_once:
                name = f"{prefix}{k}"
                lines.append(statement.format(name=name, value=value))
                text.append(name)
            else:
                text.append(f"({value})")
    return lines, {group: [text[k] for k in nodes] for group, nodes in program.outputs.items()}


def _read_once(program: Program) -> set[int]:
    operands = [j for k, code in enumerate(program.ops) for j in program.operands[k, : ARITY[Op(code)]]]
    outputs = [k for nodes in program.outputs.values() for k in nodes]
    nodes, counts = np.unique(np.array([*operands, *outputs]), return_counts=True)
    return {int(k) for k, count in zip(nodes, counts, strict=True) if count == 1}


def assignments(target: str, values: list[str], end: str = "") -> Iterator[str]:
    """`target[0] = …` for each output."""
    return (f"{target}[{i}] = {value}{end}" for i, value in enumerate(values))


def array_reader(groups: Mapping[str, str]) -> Callable[[str, int], str]:
    """Inputs as elements of arrays: {group: pattern with `{}` for the position}."""
    return lambda group, position: groups[group].format(position)


def compressed_columns(pattern: tuple[tuple[int, int], ...], n: int) -> tuple[list[int], np.ndarray, np.ndarray]:
    """(order of the entries, column pointers, row numbers) of the compressed sparse column form."""
    order = sorted(range(len(pattern)), key=lambda k: (pattern[k][1], pattern[k][0]))
    rows = np.array([pattern[k][0] for k in order])
    columns = np.array([pattern[k][1] for k in order])
    return order, np.searchsorted(columns, np.arange(n + 1)), rows
