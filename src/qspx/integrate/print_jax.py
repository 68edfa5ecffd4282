"""A scalar program as operations of jax, one per node.

XLA compiles and runs this well up to some hundred operations; with thousands the compilation takes minutes, and its
fusions compute shared nodes again for each reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax import lax

from qspx.integrate.operations import Functions, Op
from qspx.integrate.program import Program

JAX: Functions = {
    Op.ADD: lax.add,
    Op.SUB: lax.sub,
    Op.MUL: lax.mul,
    Op.DIV: lax.div,
    Op.NEG: lax.neg,
    Op.ABS: lax.abs,
    Op.MIN: lax.min,
    Op.MAX: lax.max,
    Op.SQRT: lax.sqrt,
    Op.EXP: lax.exp,
    Op.LOG: lax.log,
    Op.EXPM1: lax.expm1,
    Op.LOG1P: lax.log1p,
    Op.POW: lax.pow,
    Op.SIN: lax.sin,
    Op.COS: lax.cos,
    Op.TANH: lax.tanh,
    Op.ATAN: lax.atan,
    Op.ERF: lax.erf,
    Op.LOGISTIC: lax.logistic,
    Op.FLOOR: lax.floor,
    Op.CEIL: lax.ceil,
    Op.ROUND: lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
    Op.REM: lax.rem,
    Op.LT: lax.lt,
    Op.LE: lax.le,
    Op.EQ: lax.eq,
    Op.AND: lax.bitwise_and,
    Op.OR: lax.bitwise_or,
    Op.NOT: lax.bitwise_not,
    Op.SELECT: lax.select,
}


def run_jax(program: Program, inputs: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Output groups, shape (size,), from input groups of shape (size,), in the dtype of the inputs."""
    dtype = jnp.result_type(*inputs.values())
    scalars = {name: _elements(inputs[name]) for name in program.inputs}
    found = program.evaluate(scalars, {op: _of_dtype(function, dtype) for op, function in JAX.items()})
    return {
        name: jnp.stack([jnp.asarray(value, dtype) for value in values]) if values else jnp.zeros(0, dtype)
        for name, values in found.items()
    }


def _elements(vector: jax.Array) -> list[jax.Array]:
    """The scalars of a vector, by one split."""
    return [x[0] for x in lax.split(vector, (1,) * len(vector))]


def _of_dtype(function: Callable, dtype) -> Callable:
    """`function` with its constants, which come as Python floats, as arrays."""
    return lambda *args: function(*(jnp.asarray(a, dtype) if isinstance(a, float) else a for a in args))
