"""Derivatives of nodes, as nodes: sparse forward mode (Jacobians) and reverse mode (products with a cotangent).

Where a function has a kink the derivative is the one of a branch: of the branch taken for SELECT, of the argument that
varies for MAX and MIN of equal values (so d max(y, 0) / dy is 1 at y = 0). Branches are selected and never multiplied
by zero, and a cotangent of zero stays zero, so an infinite derivative in the branch not taken does no harm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from qspx.integrate.graph import Graph
from qspx.integrate.operations import BOOLEAN, Op

_FLAT = BOOLEAN | {Op.CONST, Op.INPUT, Op.FLOOR, Op.CEIL, Op.ROUND}

Entries = dict[tuple[int, int], int]  # (row, column): node; what is not there is zero


def jacobian(g: Graph, outputs: Sequence[int], inputs: Sequence[int], cut: Sequence[int] = ()) -> Entries:
    """d outputs / d inputs, without entries that are known to be zero. `inputs` are INPUT nodes.

    Nodes in `cut` count as variables of their own: they have columns after the inputs, and rows, with
    their own derivatives, after the outputs.
    """
    column = {node: j for j, node in enumerate([*inputs, *cut])}
    tangents: dict[int, dict[int, int]] = {}
    own: dict[int, dict[int, int]] = {}
    for k in g.reachable([*outputs, *cut]):
        own[k] = _tangent(g, k, tangents)
        tangents[k] = {column[k]: g.constant(1.0)} if k in column else own[k]
    rows = [*(tangents[k] for k in outputs), *(own[k] for k in cut)]
    return {(i, j): node for i, row in enumerate(rows) for j, node in row.items() if not g.is_constant(node, 0.0)}


def pullback(g: Graph, outputs: Sequence[int], cotangents: Sequence[int], inputs: Sequence[int]) -> list[int]:
    """sum_i cotangent_i d output_i / d input, one node per input (which must be INPUT nodes)."""
    kept = g.reachable(outputs)
    active: set[int] = set(inputs)
    for k in kept:
        if g.ops[k] not in _FLAT and any(j in active for j in g.operands[k]):
            active.add(k)
    bars: dict[int, int] = {}

    def accumulate(k: int, bar: int) -> None:
        bars[k] = g.node(Op.ADD, bars[k], bar) if k in bars else bar

    for k, bar in zip(outputs, cotangents, strict=True):
        accumulate(k, bar)
    for k in reversed(kept):
        if k in bars and k in active and g.ops[k] is not Op.INPUT:
            for j, bar in _cotangents(g, k, bars[k], active):
                accumulate(j, bar)
    return [bars.get(k, g.constant(0.0)) for k in inputs]


def _tangent(g: Graph, k: int, tangents: Mapping[int, dict[int, int]]) -> dict[int, int]:
    op = g.ops[k]
    if op in _FLAT:
        return {}
    if op in (Op.SELECT, Op.MIN, Op.MAX):
        condition, yes, no = _branches(g, k)
        a, b, zero = tangents[yes], tangents[no], g.constant(0.0)
        return {j: g.node(Op.SELECT, condition, a.get(j, zero), b.get(j, zero)) for j in (a | b)}
    found: dict[int, int] = {}
    for position, operand in enumerate(g.operands[k]):
        if tangents[operand]:
            partial = _partial(g, k, position)
            for j, tangent in tangents[operand].items():
                term = g.node(Op.MUL, partial, tangent)
                found[j] = g.node(Op.ADD, found[j], term) if j in found else term
    return found


def _cotangents(g: Graph, k: int, bar: int, active: set[int]) -> list[tuple[int, int]]:
    """(operand, its share of the cotangent)."""
    if g.ops[k] in (Op.SELECT, Op.MIN, Op.MAX):
        condition, yes, no = _branches(g, k)
        zero = g.constant(0.0)
        shares = [(yes, g.node(Op.SELECT, condition, bar, zero)), (no, g.node(Op.SELECT, condition, zero, bar))]
        return [(j, share) for j, share in shares if j in active]
    return [(j, _share(g, _partial(g, k, position), bar)) for position, j in enumerate(g.operands[k]) if j in active]


def _share(g: Graph, partial: int, bar: int) -> int:
    """partial * bar, and zero where the cotangent is zero although the derivative is infinite: then nothing depends on
    this operand, for instance because it is the branch not taken."""
    product = g.node(Op.MUL, partial, bar)
    if g.tame[partial] or g.ops[bar] is Op.CONST:
        return product
    zero = g.constant(0.0)
    return g.node(Op.SELECT, g.node(Op.EQ, bar, zero), zero, product)


def _branches(g: Graph, k: int) -> tuple[int, int, int]:
    """(condition, where true, where false) of SELECT, MIN and MAX."""
    if g.ops[k] is Op.SELECT:
        condition, yes, no = g.operands[k]
        return condition, yes, no
    a, b = g.operands[k]
    if g.fixed[a]:  # on a tie the argument that varies
        a, b = b, a
    low, high = (a, b) if g.ops[k] is Op.MIN else (b, a)
    return g.node(Op.LE, low, high), a, b


# ----------------------------------------------------------------------------------------------------------------
# d node / d operand


def _partial(g: Graph, k: int, position: int) -> int:
    return _PARTIALS[g.ops[k]](g, k, position, *g.operands[k])


def _over(g: Graph, a: int, b: int) -> int:
    return g.node(Op.DIV, a, b)


def _div(g: Graph, k: int, position: int, a: int, b: int) -> int:
    inverse = _over(g, g.constant(1.0), b)
    return inverse if position == 0 else g.node(Op.NEG, g.node(Op.MUL, k, inverse))


def _pow(g: Graph, k: int, position: int, a: int, b: int) -> int:
    """b a^b / a and a^b log a. At a = 0 the first is 1 for b = 1, else 0, and the second is 0: as in jax but for the
    infinite slope with b < 1, see `_sqrt`."""
    zero, one = g.constant(0.0), g.constant(1.0)
    at_zero = g.node(Op.EQ, a, zero)
    if position == 1:
        return g.node(Op.MUL, k, g.node(Op.LOG, g.node(Op.SELECT, at_zero, one, a)))
    edge = g.node(Op.SELECT, g.node(Op.EQ, b, one), one, zero)
    return g.node(Op.MUL, b, g.node(Op.SELECT, at_zero, edge, _over(g, k, a)))


def _rem(g: Graph, k: int, position: int, a: int, b: int) -> int:
    """a - b trunc(a / b); the quotient is a whole number but for rounding."""
    if position == 0:
        return g.constant(1.0)
    return g.node(Op.NEG, g.node(Op.ROUND, _over(g, g.node(Op.SUB, a, k), b)))


def _one_minus_square(g: Graph, k: int) -> int:
    return g.node(Op.SUB, g.constant(1.0), g.node(Op.MUL, k, k))


def _abs(g: Graph, a: int) -> int:
    sign = g.node(Op.SELECT, g.node(Op.LT, a, g.constant(0.0)), g.constant(-1.0), g.constant(1.0))
    return g.node(Op.SELECT, g.node(Op.EQ, a, g.constant(0.0)), g.constant(0.0), sign)


def _sqrt(g: Graph, k: int) -> int:
    """0.5 / sqrt(a), and 0 at a = 0, where the slope is infinite: a Rosenbrock step with a Jacobian that is wrong in
    one entry at one point is small but right, one with an infinite entry cannot be taken."""
    zero = g.constant(0.0)
    return g.node(Op.SELECT, g.node(Op.EQ, k, zero), zero, _over(g, g.constant(0.5), k))


def _erf(g: Graph, a: int) -> int:
    return g.node(Op.MUL, g.constant(2 / math.sqrt(math.pi)), g.node(Op.EXP, g.node(Op.NEG, g.node(Op.MUL, a, a))))


def _atan(g: Graph, a: int) -> int:
    return _over(g, g.constant(1.0), g.node(Op.ADD, g.constant(1.0), g.node(Op.MUL, a, a)))


_PARTIALS: dict[Op, Callable] = {
    Op.ADD: lambda g, k, position, a, b: g.constant(1.0),
    Op.SUB: lambda g, k, position, a, b: g.constant(-1.0 if position else 1.0),
    Op.MUL: lambda g, k, position, a, b: a if position else b,
    Op.DIV: _div,
    Op.POW: _pow,
    Op.REM: _rem,
    Op.NEG: lambda g, k, position, a: g.constant(-1.0),
    Op.ABS: lambda g, k, position, a: _abs(g, a),
    Op.SQRT: lambda g, k, position, a: _sqrt(g, k),
    Op.EXP: lambda g, k, position, a: k,
    Op.EXPM1: lambda g, k, position, a: g.node(Op.ADD, k, g.constant(1.0)),
    Op.LOG: lambda g, k, position, a: _over(g, g.constant(1.0), a),
    Op.LOG1P: lambda g, k, position, a: _over(g, g.constant(1.0), g.node(Op.ADD, g.constant(1.0), a)),
    Op.SIN: lambda g, k, position, a: g.node(Op.COS, a),
    Op.COS: lambda g, k, position, a: g.node(Op.NEG, g.node(Op.SIN, a)),
    Op.TANH: lambda g, k, position, a: _one_minus_square(g, k),
    Op.LOGISTIC: lambda g, k, position, a: g.node(Op.MUL, k, g.node(Op.SUB, g.constant(1.0), k)),
    Op.ERF: lambda g, k, position, a: _erf(g, a),
    Op.ATAN: lambda g, k, position, a: _atan(g, a),
}
