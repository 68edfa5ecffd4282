"""Scalar programs as LLVM functions: one per program, one vector operation per node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qspx.integrate import native_erf, native_math, native_trigonometry
from qspx.integrate.native_code import DOUBLE, FORMATS, Array, Function, Value
from qspx.integrate.operations import Op
from qspx.integrate.program import Program

# functions of one or two doubles from the C library, called lane by lane but for those of `TOGETHER`
LIBRARY = {
    "exp": 1,
    "log": 1,
    "expm1": 1,
    "log1p": 1,
    "pow": 2,
    "sin": 1,
    "cos": 1,
    "tanh": 1,
    "atan": 1,
    "erf": 1,
    "fmod": 2,
}
# of all lanes at once
TOGETHER = {
    "exp": native_math.exp,
    "log": native_math.log,
    "expm1": native_math.expm1,
    "log1p": native_math.log1p,
    "pow": native_math.power,
    "sin": native_trigonometry.sin,
    "cos": native_trigonometry.cos,
    "tanh": native_math.tanh,
    "atan": native_trigonometry.atan,
    "erf": native_erf.erf,
}
INTRINSICS = ("fabs", "sqrt", "floor", "ceil", "rint")


def declarations(lanes: int, real: str = DOUBLE) -> str:
    """What the functions of a module may call: intrinsics, and the C library on every lane of a vector of `real`."""
    lines = [
        f"declare {kind} @llvm.{name}.{shape}f{info.bits}({kind})"
        for number, info in FORMATS.items()
        for shape, kind in (("", number), (f"v{lanes}", f"<{lanes} x {number}>"))
        for name in INTRINSICS
    ]
    for name, arity in LIBRARY.items():
        lines.append(f"declare double @qspx_{name}({', '.join(['double'] * arity)})")
    parts = [_by_lane(name, lanes, real) for name in LIBRARY]
    return "\n".join([*lines, *parts, *(_together(name, lanes, real) for name in TOGETHER)])


def _by_lane(name: str, lanes: int, real: str) -> str:
    arity, vector = LIBRARY[name], f"<{lanes} x {real}>"
    f = Function(f"{'each' if name in TOGETHER else 'lanes'}_{name}", arity, lanes, real, result=vector)
    result = Value(f, "poison", vector)
    for lane in range(lanes):
        parts = [f.emit(f"extractelement {vector} {a}, i32 {lane}", real).to(DOUBLE) for a in f.arguments]
        one = f.apply(f"qspx_{name}", *parts).to(real)
        result = f.emit(f"insertelement {vector} {result.name}, {real} {one.name}, i32 {lane}", vector)
    return f.text([vector] * arity, f"ret {vector} {result.name}")


def _together(name: str, lanes: int, real: str) -> str:
    vector = f"<{lanes} x {real}>"
    f = Function(f"lanes_{name}", LIBRARY[name], lanes, real, result=vector)
    result = TOGETHER[name](f, *(Value(f, a, vector) for a in f.arguments))
    return f.text([vector] * LIBRARY[name], f"ret {vector} {result.name}")


def printed(
    name: str,
    program: Program,
    groups: Sequence[str],
    lanes: int,
    real: str = DOUBLE,
    places: Mapping[str, Sequence[int]] | None = None,
) -> str:
    """A function of pointers to the input `groups`, then to the outputs, in the order of `program.outputs`: vectors of
    `real`, but for the time `t`, which is read as a double and then rounded. An output that is also an input is changed
    in place, at its `places`."""
    outputs = [group for group in program.outputs if group not in groups]
    f = Function(name, len(groups) + len(outputs), lanes, real)
    arrays = {k: Array(f, a, f.vector) for k, a in zip([*groups, *outputs], f.arguments, strict=True)}
    inputs: dict[str, Any] = dict(arrays)
    if "t" in program.inputs:
        inputs["t"] = [Array(f, arrays["t"].pointer, f.times)[0].to(real)]
    found = program.evaluate(inputs, _functions(f))
    for group, values in found.items():
        for i, value in zip((places or {}).get(group, range(len(values))), values, strict=True):
            arrays[group][i] = _number(f, value)
    return f.text()


def _number(f: Function, value: Any) -> Value:
    value = f.constant(value, f.vector)
    return value if value.type == f.vector else value.where(f.number(1.0), f.number(0.0))


def _functions(f: Function) -> Mapping[Op, Any]:
    def lifted(function):
        return lambda *args: function(*(f.constant(a, f.vector) if isinstance(a, float) else a for a in args))

    def library(name: str):
        return lambda *args: f.apply(f"lanes_{name}", *args)

    table = {
        Op.ADD: lambda a, b: a + b,
        Op.SUB: lambda a, b: a - b,
        Op.MUL: lambda a, b: a * b,
        Op.DIV: lambda a, b: a / b,
        Op.NEG: lambda a: -a,
        Op.ABS: lambda a: f.unary("fabs", a),
        Op.MIN: f.smaller,
        Op.MAX: f.larger,
        Op.SQRT: lambda a: f.unary("sqrt", a),
        Op.LOGISTIC: lambda a: 1.0 / (1.0 + library("exp")(-a)),
        Op.FLOOR: lambda a: f.unary("floor", a),
        Op.CEIL: lambda a: f.unary("ceil", a),
        Op.ROUND: lambda a: f.unary("rint", a),
        Op.REM: library("fmod"),
        Op.LT: lambda a, b: a < b,
        Op.LE: lambda a, b: a <= b,
        Op.EQ: lambda a, b: a.equals(b),
        Op.AND: lambda a, b: a & b,
        Op.OR: lambda a, b: a | b,
        Op.NOT: lambda a: ~a,
        Op.SELECT: lambda condition, yes, no: condition.where(yes, no),
    }
    named = (Op.EXP, Op.LOG, Op.EXPM1, Op.LOG1P, Op.POW, Op.SIN, Op.COS, Op.TANH, Op.ATAN, Op.ERF)
    table |= {op: library(op.name.lower()) for op in named}
    return {op: lifted(function) for op, function in table.items()}
