"""LLVM code, written as if it were Python: values with operators, memory as indexed arrays, loops as `with` blocks.

Three kinds of number: a vector with one entry per lane (a lane is a subject), of doubles or, where a `Function` says
so, of floats; a double; a 64-bit integer. Masks are vectors of truth values. Where a float meets a double the result is
a double, and an array converts what is written to it, as in C. Operations on vectors may contract a product and a sum
into one operation, the same in every lane; nothing else is relaxed, so NaN and infinity mean what they mean in
IEEE 754.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

DOUBLE, FLOAT, INTEGER, TRUTH, POINTER = "double", "float", "i64", "i1", "ptr"
FORMATS = {DOUBLE: np.finfo(np.float64), FLOAT: np.finfo(np.float32)}
_COMPARISON = {"<": ("olt", "slt"), "<=": ("ole", "sle"), "==": ("oeq", "eq")}


def element(kind: str) -> str:
    """What a vector of type `kind` is made of; `kind` itself for any other."""
    return kind.split(" x ")[1][:-1] if kind.startswith("<") else kind


def is_real(kind: str) -> bool:
    return element(kind) in FORMATS


def hexadecimal(x: float, kind: str = DOUBLE) -> str:
    """A number of type `kind` as LLVM reads it without rounding: written as a double in any case."""
    if kind == FLOAT:
        with np.errstate(over="ignore"):
            x = float(np.float32(x))
    return f"0x{struct.unpack('<Q', struct.pack('<d', x))[0]:016X}"


@dataclass(frozen=True, eq=False)
class Value:
    """A named result. Python numbers on the other side of an operator become constants of the same type."""

    code: Function
    name: str
    type: str

    def to(self, kind: str) -> Value:
        """The same real number as a DOUBLE or a FLOAT, in every lane."""
        if element(self.type) == kind:
            return self
        op = "fpext" if kind == DOUBLE else "fptrunc"
        found = self.type.replace(element(self.type), kind)
        return self.code.emit(f"{op} {self.type} {self.name} to {found}", found)

    def _beside(self, other: Any) -> tuple[Value, Value]:
        """Both with the same type."""
        other = self.code.constant(other, self.type)
        if {element(self.type), element(other.type)} == {FLOAT, DOUBLE}:
            return self.to(DOUBLE), other.to(DOUBLE)
        return self, other

    def _with(self, other: Any, float_op: str, integer_op: str, swapped: bool = False) -> Value:
        a, b = self._beside(other)
        if swapped:
            a, b = b, a
        op = f"{float_op} contract" if is_real(a.type) else integer_op
        return self.code.emit(f"{op} {a.type} {a.name}, {b.name}", a.type)

    def __add__(self, other):
        return self._with(other, "fadd", "add")

    def __radd__(self, other):
        return self._with(other, "fadd", "add", True)

    def __sub__(self, other):
        return self._with(other, "fsub", "sub")

    def __rsub__(self, other):
        return self._with(other, "fsub", "sub", True)

    def __mul__(self, other):
        return self._with(other, "fmul", "mul")

    def __rmul__(self, other):
        return self._with(other, "fmul", "mul", True)

    def __truediv__(self, other):
        return self._with(other, "fdiv", "sdiv")

    def __rtruediv__(self, other):
        return self._with(other, "fdiv", "sdiv", True)

    def __neg__(self):
        return self.code.emit(f"fneg {self.type} {self.name}", self.type)

    def __and__(self, other):
        return self._with(other, "", "and")

    def __or__(self, other):
        return self._with(other, "", "or")

    def __xor__(self, other):
        return self._with(other, "", "xor")

    def __invert__(self):
        return self ^ -1

    def _compared(self, other: Any, relation: str) -> Value:
        a, b = self._beside(other)
        floating, integer = _COMPARISON[relation]
        op = f"fcmp {floating}" if is_real(a.type) else f"icmp {integer}"
        truth = f"<{self.code.lanes} x i1>" if self.type.startswith("<") else TRUTH
        return self.code.emit(f"{op} {a.type} {a.name}, {b.name}", truth)

    def __lt__(self, other):
        return self._compared(other, "<")

    def __le__(self, other):
        return self._compared(other, "<=")

    def __gt__(self, other):
        return self.code.constant(other, self.type)._compared(self, "<")

    def __ge__(self, other):
        return self.code.constant(other, self.type)._compared(self, "<=")

    def equals(self, other: Any) -> Value:
        return self._compared(other, "==")

    def is_nan(self) -> Value:
        return ~self.equals(self)

    def is_finite(self) -> Value:
        return self.code.unary("fabs", self) < float("inf")

    def where(self, yes: Any, no: Any) -> Value:
        """`yes` where this mask holds, else `no`; one of the two must be a Value."""
        yes, no = yes._beside(no) if isinstance(yes, Value) else no._beside(yes)[::-1]
        kind = yes.type
        return self.code.emit(f"select {self.type} {self.name}, {kind} {yes.name}, {kind} {no.name}", kind)

    def any(self) -> Value:
        """Whether a mask holds in any lane."""
        width = f"i{self.code.lanes}"
        packed = self.code.emit(f"bitcast {self.type} {self.name} to {width}", width)
        return self.code.emit(f"icmp ne {width} {packed.name}, 0", TRUTH)

    def as_integers(self) -> Value:
        """-1 where a mask holds, else 0."""
        return self.code.emit(f"sext {self.type} {self.name} to {self.code.integers}", self.code.integers)


Index: TypeAlias = int | np.integer | Value


@dataclass(frozen=True, eq=False)
class Array:
    """Memory: `array[i]` reads, `array[i] = v` writes, `array.at(i)` is what starts at i."""

    code: Function
    pointer: str
    type: str

    def at(self, i: Index, kind: str | None = None) -> Array:
        """The array that starts at element `i`, read as elements of another type if `kind` says so."""
        index = i.name if isinstance(i, Value) else str(i)
        if index == "0":
            return Array(self.code, self.pointer, kind or self.type)
        moved = self.code.emit(f"getelementptr {self.type}, ptr {self.pointer}, i64 {index}", POINTER)
        return Array(self.code, moved.name, kind or self.type)

    def lane(self, i: Index, lane: Value) -> Array:
        """The number of one lane in vector `i`, as `[0]` of the result."""
        return self.at(i, element(self.type)).at(lane)

    @property
    def _align(self) -> int:
        if self.type.startswith("<"):
            return self.code.align
        return 4 if self.type == FLOAT else 8

    def __getitem__(self, i: Index) -> Value:
        place = self.at(i)
        return self.code.emit(f"load {self.type}, ptr {place.pointer}, align {self._align}", self.type)

    def __setitem__(self, i: Index, value: Any) -> None:
        value, place = self.code.constant(value, self.type), self.at(i)
        if is_real(self.type):
            value = value.to(element(self.type))
        self.code.lines.append(f"store {self.type} {value.name}, ptr {place.pointer}, align {self._align}")


class Function:
    """A function under construction; its arguments are pointers, but for those that `types` says.

    Attributes:
        real: DOUBLE or FLOAT, what a `vector` is made of; `info` is its format.
        words: integers of as many bits.
        times: a vector of doubles in any case.
        integers: a vector of 64-bit integers in any case.
        align: bytes to which vectors of any kind are aligned.
    """

    def __init__(
        self,
        name: str,
        arguments: int,
        lanes: int,
        real: str = DOUBLE,
        *,
        exported: bool = False,
        result: str = "void",
    ):
        self.name, self.lanes, self.exported, self.result = name, lanes, exported, result
        self.real, self.info = real, FORMATS[real]
        self.vector, self.words = f"<{lanes} x {real}>", f"<{lanes} x i{self.info.bits}>"
        self.times, self.integers = f"<{lanes} x double>", f"<{lanes} x i64>"
        self.align = min(64, self.info.bits // 8 * lanes)
        self.lines: list[str] = []
        self._slots: list[str] = []
        self._count = 0
        self.arguments = [f"%a{i}" for i in range(arguments)]

    def emit(self, text: str, kind: str) -> Value:
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"{name} = {text}")
        return Value(self, name, kind)

    def constant(self, x: Any, kind: str) -> Value:
        """`x` as a value of type `kind`; a scalar becomes the same in every lane."""
        if isinstance(x, Value):
            return self.splat(x) if kind.startswith("<") and not x.type.startswith("<") else x
        scalar = element(kind)
        text = hexadecimal(float(x), scalar) if scalar in FORMATS else str(int(x))
        if scalar == TRUTH:
            text = "true" if x else "false"
        return Value(self, f"splat ({scalar} {text})" if kind.startswith("<") else text, kind)

    def splat(self, x: Value) -> Value:
        """A scalar in every lane."""
        kind = f"<{self.lanes} x {x.type}>"
        first = self.emit(f"insertelement {kind} poison, {x.type} {x.name}, i32 0", kind)
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return self.emit(f"shufflevector {kind} {first.name}, {kind} poison, {zeros}", kind)

    def number(self, x: float) -> Value:
        return self.constant(x, self.vector)

    def integer(self, x: int) -> Value:
        return self.constant(x, INTEGER)

    def to_integer(self, x: Value) -> Value:
        """A double towards zero."""
        return self.emit(f"fptosi double {x.name} to i64", INTEGER)

    def to_double(self, x: Value) -> Value:
        """A 64-bit integer as a double."""
        return self.emit(f"sitofp i64 {x.name} to double", DOUBLE)

    def unary(self, intrinsic: str, x: Value) -> Value:
        """An LLVM intrinsic of one vector: fabs, sqrt, floor, ceil, rint."""
        suffix = (f"v{self.lanes}" if x.type.startswith("<") else "") + f"f{FORMATS[element(x.type)].bits}"
        return self.emit(f"call {x.type} @llvm.{intrinsic}.{suffix}({x.type} {x.name})", x.type)

    def larger(self, a: Value, b: Any) -> Value:
        """Maximum; NaN where either is."""
        b = self.constant(b, a.type)
        return ((a > b) | a.is_nan()).where(a, b)

    def smaller(self, a: Value, b: Any) -> Value:
        """Minimum; NaN where either is."""
        b = self.constant(b, a.type)
        return ((a < b) | a.is_nan()).where(a, b)

    def call(self, function: str, *arguments: Array) -> None:
        """A function of pointers."""
        self.lines.append(f"call void @{function}({', '.join(f'ptr {a.pointer}' for a in arguments)})")

    def apply(self, function: str, *arguments: Value) -> Value:
        """A function of values of one type, with a result of that type."""
        kind = arguments[0].type
        return self.emit(f"call {kind} @{function}({', '.join(f'{kind} {a.name}' for a in arguments)})", kind)

    def variable(self, kind: str, start: Any) -> Array:
        """A named number that can change, as `[0]` of the result."""
        name = f"%s{len(self._slots)}"
        self._slots.append(f"{name} = alloca {kind}, align 64")
        slot = Array(self, name, kind)
        slot[0] = start
        return slot

    # control flow -----------------------------------------------------------------------------------------------

    def _labels(self, *names: str) -> list[str]:
        self._count += 1
        return [f"{name}{self._count}" for name in names]

    @contextlib.contextmanager
    def loop(self, count: int | Value) -> Iterator[Value]:
        """i from 0 to count."""
        i = self.variable(INTEGER, 0)
        with self.repeat() as leave:
            now = i[0]
            leave(now >= count)
            yield now
            i[0] = now + 1

    @contextlib.contextmanager
    def repeat(self) -> Iterator[Any]:
        """Forever; `leave(condition)` goes on behind the loop."""
        again, behind = self._labels("again", "behind")
        self.lines += [f"br label %{again}", f"{again}:"]

        def leave(condition: Value) -> None:
            (stay,) = self._labels("stay")
            self.lines += [f"br i1 {condition.name}, label %{behind}, label %{stay}", f"{stay}:"]

        yield leave
        self.lines += [f"br label %{again}", f"{behind}:"]

    @contextlib.contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        then, behind = self._labels("then", "behind")
        self.lines += [f"br i1 {condition.name}, label %{then}, label %{behind}", f"{then}:"]
        yield
        self.lines += [f"br label %{behind}", f"{behind}:"]

    def text(self, parameters: Sequence[str] | None = None, result: str = "ret void") -> str:
        """The finished function."""
        given = ", ".join(
            f"{kind} {a}" for kind, a in zip(parameters or self._parameters(), self.arguments, strict=True)
        )
        linkage = "" if self.exported else "internal "
        head = f"define {linkage}{self.result} @{self.name}({given}) noinline nounwind {{"
        return "\n".join([head, "entry:", *self._slots, *self.lines, result, "}"])

    def _parameters(self) -> list[str]:
        return ["ptr noalias"] * len(self.arguments)
