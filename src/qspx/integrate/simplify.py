"""Rules that make a node unnecessary, or cheaper. Each takes the graph and the operands and returns a node, or None.

Most are exact (up to the sign of a zero). The rules marked "one rounding" change the last bit: they turn what depends
on the parameters alone into something computed once per subject, e.g. x / V into x * (1 / V).

`x * 0` and `x - x` are 0 only where x is `tame`: built from inputs, which are finite, by operations that keep finite
numbers finite. Elsewhere NaN and infinity must stay visible, or a step that failed would be accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qspx.integrate.operations import Op

if TYPE_CHECKING:
    from qspx.integrate.graph import Graph

LARGEST_POWER = 16  # x**n is written as products up to here


def _add(g: Graph, a: int, b: int) -> int | None:
    if g.is_constant(a, 0.0):
        return b
    if g.is_constant(b, 0.0):
        return a
    if g.ops[b] is Op.NEG:
        return g.node(Op.SUB, a, g.operands[b][0])
    if g.ops[a] is Op.NEG:
        return g.node(Op.SUB, b, g.operands[a][0])
    return None


def _sub(g: Graph, a: int, b: int) -> int | None:
    if g.is_constant(b, 0.0):
        return a
    if g.is_constant(a, 0.0):
        return g.node(Op.NEG, b)
    if a == b and g.tame[a]:
        return g.constant(0.0)
    if g.ops[b] is Op.NEG:
        return g.node(Op.ADD, a, g.operands[b][0])
    return None


def _mul(g: Graph, a: int, b: int) -> int | None:
    for one, other in ((a, b), (b, a)):
        if g.is_constant(one, 0.0) and g.tame[other]:
            return g.constant(0.0)
        if g.is_constant(one, 1.0):
            return other
        if g.is_constant(one, -1.0):
            return g.node(Op.NEG, other)
        if g.ops[one] is Op.NEG:
            return g.node(Op.NEG, g.node(Op.MUL, g.operands[one][0], other))
    for one, other in ((a, b), (b, a)):  # one rounding: c1 * (c2 * x) = (c1 * c2) * x
        if g.fixed[one] and not g.fixed[other] and g.ops[other] is Op.MUL:
            for inner, x in (g.operands[other], g.operands[other][::-1]):
                if g.fixed[inner]:
                    return g.node(Op.MUL, g.node(Op.MUL, one, inner), x)
    return None


def _div(g: Graph, a: int, b: int) -> int | None:
    if g.is_constant(b, 1.0):
        return a
    if g.is_constant(b, -1.0):
        return g.node(Op.NEG, a)
    if g.ops[a] is Op.NEG:
        return g.node(Op.NEG, g.node(Op.DIV, g.operands[a][0], b))
    if g.fixed[b] and not g.fixed[a]:  # one rounding
        return g.node(Op.MUL, a, g.node(Op.DIV, g.constant(1.0), b))
    return None


def _neg(g: Graph, a: int) -> int | None:
    if g.ops[a] is Op.NEG:
        return g.operands[a][0]
    if g.ops[a] is Op.SUB:
        return g.node(Op.SUB, *g.operands[a][::-1])
    return None


def _abs(g: Graph, a: int) -> int | None:
    if g.ops[a] is Op.ABS:
        return a
    return g.node(Op.ABS, g.operands[a][0]) if g.ops[a] is Op.NEG else None


def _same(g: Graph, a: int, b: int) -> int | None:
    return a if a == b else None


def _pow(g: Graph, a: int, b: int) -> int | None:
    exponent = g.constant_of(b)
    if exponent == 0.5:
        return g.node(Op.SQRT, a)
    if exponent is not None and exponent == int(exponent) and abs(exponent) <= LARGEST_POWER:
        return integer_power(g, a, int(exponent))
    return None


def integer_power(g: Graph, a: int, n: int) -> int:
    """a**n by repeated squaring."""
    if n < 0:
        return g.node(Op.DIV, g.constant(1.0), integer_power(g, a, -n))
    result, square = g.constant(1.0), a
    while n:
        if n % 2:
            result = g.node(Op.MUL, result, square)
        n //= 2
        if n:
            square = g.node(Op.MUL, square, square)
    return result


def _eq(g: Graph, a: int, b: int) -> int | None:
    """A choice between known numbers compared with a number is its condition again (`jnp.select`, `lax.cond`)."""
    for choice, number in ((a, b), (b, a)):
        if g.ops[choice] is Op.SELECT and g.ops[number] is Op.CONST:
            condition, yes, no = g.operands[choice]
            if Op.CONST in (g.ops[yes], g.ops[no]):
                if_yes = g.node(Op.AND, condition, g.node(Op.EQ, yes, number))
                if_no = g.node(Op.AND, g.node(Op.NOT, condition), g.node(Op.EQ, no, number))
                return g.node(Op.OR, if_yes, if_no)
    return None


def _and(g: Graph, a: int, b: int) -> int | None:
    for one, other in ((a, b), (b, a)):
        if g.ops[one] is Op.CONST:
            return other if g.constants[one] else one
    return _same(g, a, b)


def _or(g: Graph, a: int, b: int) -> int | None:
    for one, other in ((a, b), (b, a)):
        if g.ops[one] is Op.CONST:
            return one if g.constants[one] else other
    return _same(g, a, b)


def _not(g: Graph, a: int) -> int | None:
    return g.operands[a][0] if g.ops[a] is Op.NOT else None


def _select(g: Graph, condition: int, yes: int, no: int) -> int | None:
    if g.ops[condition] is Op.CONST:
        return yes if g.constants[condition] else no
    if yes == no:
        return yes
    return g.node(Op.SELECT, g.operands[condition][0], no, yes) if g.ops[condition] is Op.NOT else None


RULES: dict[Op, Callable] = {
    Op.ADD: _add,
    Op.SUB: _sub,
    Op.MUL: _mul,
    Op.DIV: _div,
    Op.NEG: _neg,
    Op.ABS: _abs,
    Op.MIN: _same,
    Op.MAX: _same,
    Op.POW: _pow,
    Op.EQ: _eq,
    Op.AND: _and,
    Op.OR: _or,
    Op.NOT: _not,
    Op.SELECT: _select,
}
