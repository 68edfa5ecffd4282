"""Steps that reverse-mode differentiation can pass through when they are rejected.

A rejected step may hold NaN. Selecting the accepted branch gives its outputs a cotangent of zero, but zero times NaN is
NaN, so the parameters' cotangents would be lost. Here a step whose outputs have no cotangent gets exactly zero, and
what is computed from a rejected step is computed from finite numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp


def plain_step(term: Any, solver: Any, t0, t1, y0, args):
    """One step of a diffrax solver: (y1, error, dense output, result)."""
    state = solver.init(term, t0, t1, y0, args)
    y1, y_error, dense, _, result = solver.step(term, t0, t1, y0, args, state, False)
    return y1, y_error, dense, result


def zero_safe(f: Callable, *inputs: Any) -> Any:
    """`f(*inputs)`, with cotangents of the inputs that are exactly zero where all cotangents of the outputs are.

    Inputs and outputs are pytrees of floating-point arrays. Reverse mode only (a `custom_vjp`); the forward pass is
    done again in the reverse one.
    """

    def forward(*x):
        return f(*x), x

    def backward(x, cotangents):
        back = jax.vjp(f, *x)[1](cotangents)
        live = jnp.stack([jnp.any(c != 0) for c in jax.tree.leaves(cotangents)]).any()
        return jax.tree.map(lambda b: jnp.where(live, b, 0.0), back)

    wrapped = jax.custom_vjp(f)
    wrapped.defvjp(forward, backward)
    return wrapped(*inputs)


def zero_safe_step(term: Any, solver: Any, t0, t1, y0, args):
    """As `plain_step`, with the error and the result out of reach of derivatives."""
    _, y_error, _, result = plain_step(term, solver, *jax.lax.stop_gradient((t0, t1, y0, args)))

    def step(*inputs):
        y1, _, dense, _ = plain_step(term, solver, *inputs)
        return y1, dense

    y1, dense = zero_safe(step, t0, t1, y0, args)
    return y1, y_error, dense, result


def kept_or_constant(accept, y0, y1, dense: Mapping[str, Any]):
    """(y1, dense output) of an accepted step, or of one that stays at `y0`."""
    ends = {"y0": y0, "y1": y0}
    constant = {k: jax.tree.map(lambda v, k=k: jnp.where(accept, v, ends.get(k, 0.0)), v) for k, v in dense.items()}
    return jnp.where(accept, y1, y0), constant
