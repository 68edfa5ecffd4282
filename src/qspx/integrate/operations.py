"""The operations of a scalar program: what a node can be, and what it means in numpy.

A printer (LLVM, CUDA, JAX) has one entry per operation here and nothing else. The set is small on purpose: primitives
of jax that can be said in these words (`tan`, `sign`, `clamp`, `>`) are, in `qspx.integrate.scalar_domain`.

Comparisons and logic give booleans; every other operation takes and gives floats, but for the condition of SELECT.
NaN: MIN and MAX give NaN when either argument is, comparisons with NaN are false.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

import numpy as np
from scipy import special


class Op(enum.IntEnum):
    """Operation of a node. The numbers are stable: a printed program may be cached by them."""

    CONST = 0
    INPUT = 1
    ADD = 2
    SUB = 3
    MUL = 4
    DIV = 5
    NEG = 6
    ABS = 7
    MIN = 8
    MAX = 9
    SQRT = 10
    EXP = 11
    LOG = 12
    EXPM1 = 13
    LOG1P = 14
    POW = 15
    SIN = 16
    COS = 17
    TANH = 18
    ATAN = 19
    ERF = 20
    LOGISTIC = 21
    FLOOR = 22
    CEIL = 23
    ROUND = 24  # to the nearest, halves to even
    REM = 25  # sign of the dividend, as C's fmod
    LT = 26
    LE = 27
    EQ = 28
    AND = 29
    OR = 30
    NOT = 31
    SELECT = 32  # SELECT(condition, where true, where false)


ARITY: Mapping[Op, int] = {
    **dict.fromkeys((Op.CONST, Op.INPUT), 0),
    **dict.fromkeys((Op.NEG, Op.ABS, Op.SQRT, Op.EXP, Op.LOG, Op.EXPM1, Op.LOG1P, Op.SIN, Op.COS, Op.TANH), 1),
    **dict.fromkeys((Op.ATAN, Op.ERF, Op.LOGISTIC, Op.FLOOR, Op.CEIL, Op.ROUND, Op.NOT), 1),
    **dict.fromkeys((Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MIN, Op.MAX, Op.POW, Op.REM, Op.LT, Op.LE, Op.EQ), 2),
    **dict.fromkeys((Op.AND, Op.OR), 2),
    Op.SELECT: 3,
}

BOOLEAN = frozenset({Op.LT, Op.LE, Op.EQ, Op.AND, Op.OR, Op.NOT})
COMMUTATIVE = frozenset({Op.ADD, Op.MUL, Op.MIN, Op.MAX, Op.EQ, Op.AND, Op.OR})
# finite wherever the arguments are, overflow aside
TAME = frozenset(
    {Op.ADD, Op.SUB, Op.MUL, Op.NEG, Op.ABS, Op.MIN, Op.MAX, Op.SIN, Op.COS, Op.TANH, Op.ATAN, Op.ERF, Op.LOGISTIC}
    | {Op.FLOOR, Op.CEIL, Op.ROUND, Op.SELECT}
    | BOOLEAN
)

Functions = Mapping[Op, Callable]

NUMPY: Functions = {
    Op.ADD: np.add,
    Op.SUB: np.subtract,
    Op.MUL: np.multiply,
    Op.DIV: np.divide,
    Op.NEG: np.negative,
    Op.ABS: np.abs,
    Op.MIN: np.minimum,
    Op.MAX: np.maximum,
    Op.SQRT: np.sqrt,
    Op.EXP: np.exp,
    Op.LOG: np.log,
    Op.EXPM1: np.expm1,
    Op.LOG1P: np.log1p,
    Op.POW: np.power,
    Op.SIN: np.sin,
    Op.COS: np.cos,
    Op.TANH: np.tanh,
    Op.ATAN: np.arctan,
    Op.ERF: special.erf,
    Op.LOGISTIC: special.expit,
    Op.FLOOR: np.floor,
    Op.CEIL: np.ceil,
    Op.ROUND: np.rint,
    Op.REM: np.fmod,
    Op.LT: np.less,
    Op.LE: np.less_equal,
    Op.EQ: np.equal,
    Op.AND: np.logical_and,
    Op.OR: np.logical_or,
    Op.NOT: np.logical_not,
    Op.SELECT: np.where,
}
