"""Primitives that are not elementwise, for the interpreter in `_jaxpr`: moving, summing and adding elements up.

A handler takes the interpreter, the equation and its input arrays (at least one holds an abstract value), and returns
the output array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from typing import Any

import numpy as np

from ._errors import NotTraceable

_POSITIONAL = {"pad", "gather", "dynamic_slice", "dynamic_update_slice", "scatter", "select_and_gather_add", "tile"}
_REDUCTIONS = {
    "reduce_sum": "add",
    "reduce_prod": "mul",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_and": "and",
    "reduce_or": "or",
}
_CUMULATIVE = {"cumsum": "add", "cumprod": "mul", "cummax": "max", "cummin": "min"}


def is_number(value: Any) -> bool:
    """True for a known element."""
    return isinstance(value, bool | int | float | np.generic)


def aval(var: Any) -> Any:
    """Shape and dtype of a jaxpr variable; jax types them as something that has neither."""
    return var.aval


def binary(interpreter: Any, eqn: Any, name: str, left: Any, right: Any) -> Any:
    """`left name right` inside the equation, e.g. one addition of a sum."""
    dtype = aval(eqn.outvars[0]).dtype
    return interpreter.element(eqn, name, {}, [left, right], [dtype, dtype])


def _fold_axis(interpreter: Any, eqn: Any, name: str, elements: Sequence[Any]) -> Any:
    return reduce(lambda left, right: binary(interpreter, eqn, name, left, right), elements)


def objects(value: np.ndarray) -> np.ndarray:
    return value if value.dtype == object else value.astype(object)


def _reshape_to_output(_, eqn, values):
    return values[0].reshape(aval(eqn.outvars[0]).shape)


def _broadcast_in_dim(_, eqn, values):
    shape, dims = eqn.params["shape"], eqn.params["broadcast_dimensions"]
    middle = [1] * len(shape)
    for axis, dim in enumerate(dims):
        middle[dim] = values[0].shape[axis]
    return np.broadcast_to(values[0].reshape(middle), shape)


def _slice(_, eqn, values):
    start, limit = eqn.params["start_indices"], eqn.params["limit_indices"]
    strides = eqn.params["strides"] or (1,) * len(start)
    return values[0][tuple(slice(*triple) for triple in zip(start, limit, strides, strict=True))]


def _split(_, eqn, values):
    edges = np.cumsum([int(size) for size in eqn.params["sizes"]])[:-1]
    return np.split(values[0], edges, axis=eqn.params["axis"])


def _unstack(_, eqn, values):
    moved = np.moveaxis(objects(values[0]), eqn.params["axis"], 0)
    return [np.asarray(moved[i, ...]) for i in range(len(moved))]


def _positional(interpreter: Any, eqn, values):
    """Replay a primitive that moves elements, on positions in one pool of all elements."""
    name = eqn.primitive.name
    n_data = {"gather": 1, "dynamic_slice": 1, "dynamic_update_slice": 2}.get(name, len(values))
    movable = [0, 2] if name == "scatter" else list(range(n_data))
    data = [objects(values[i]) for i in movable]
    if any(value.dtype == object for i, value in enumerate(values) if i not in movable):
        if name not in ("gather", "dynamic_slice"):
            raise NotTraceable(f"`{name}` writes to a position that is only known at run time")
        with_picked = np.empty(aval(eqn.outvars[0]).shape, dtype=object)
        with_picked.fill(interpreter.domain.pick(list(data[0].flat)))
        return with_picked
    pool = np.concatenate([array.reshape(-1) for array in data])
    operands, offset = list(values), 0
    for i, array in zip(movable, data, strict=True):
        operands[i] = (offset + np.arange(array.size, dtype=np.int32)).reshape(array.shape)
        offset += array.size
    positions = np.asarray(eqn.primitive.bind(*operands, **eqn.params))
    out = np.empty(positions.shape, dtype=object)
    for at in np.ndindex(out.shape):
        inside = 0 <= positions[at] < pool.size
        out[at] = pool[positions[at]] if inside else math.nan  # jax fills out-of-bounds reads
    return out


def _scatter_combine(interpreter: Any, eqn, values):
    """`x.at[i].add(u)` and `.multiply(u)`: find where each update lands by scattering a mark, then combine there."""
    operand, indices, updates = values
    name = "add" if eqn.primitive.name in ("scatter-add", "scatter_add") else "mul"
    if indices.dtype == object:
        raise NotTraceable(f"`{eqn.primitive.name}` writes to a position that is only known at run time")
    neutral = 0.0 if name == "add" else 1.0
    out, flat = objects(operand).copy(), objects(updates).reshape(-1)
    for k, update in enumerate(flat):
        mark = np.full(flat.size, neutral)
        mark[k] = 2.0
        marked = eqn.primitive.bind(np.full(operand.shape, neutral), indices, mark.reshape(updates.shape), **eqn.params)
        for at in zip(*np.nonzero(np.asarray(marked) != neutral), strict=True):
            out[at] = binary(interpreter, eqn, name, out[at], update)
    return out


def _arg_extreme(interpreter: Any, eqn, values):
    """Position of the extreme; `jnp.select` finds the first true condition by it."""
    axis, name = eqn.params["axes"][0], eqn.primitive.name
    rows = np.moveaxis(objects(values[0]), axis, -1)
    out = np.empty(rows.shape[:-1], dtype=object)
    for at in np.ndindex(out.shape):
        row = list(rows[at])
        known = all(map(is_number, row))
        out[at] = int(getattr(np, name)(row)) if known else interpreter.element(eqn, name, {}, row)
    return out


def _reduction(interpreter: Any, eqn, values):
    name, axes = _REDUCTIONS[eqn.primitive.name], tuple(eqn.params["axes"])
    array = objects(values[0])
    kept = [axis for axis in range(array.ndim) if axis not in axes]
    shape = [array.shape[axis] for axis in kept]
    rows = np.transpose(array, [*kept, *axes]).reshape([*shape, math.prod(array.shape[axis] for axis in axes)])
    empty = {"add": 0.0, "mul": 1.0, "max": -math.inf, "min": math.inf, "and": True, "or": False}[name]
    out = np.empty(shape, dtype=object)
    for at in np.ndindex(out.shape):
        out[at] = _fold_axis(interpreter, eqn, name, list(rows[at])) if rows.shape[-1] else empty
    return out


def _cumulative(interpreter: Any, eqn, values):
    name, axis = _CUMULATIVE[eqn.primitive.name], eqn.params["axis"]
    array = np.moveaxis(objects(values[0]), axis, 0)
    array = array[::-1] if eqn.params["reverse"] else array
    out = array.copy()
    for i, at in product(range(1, len(array)), np.ndindex(array.shape[1:])):
        out[(i, *at)] = binary(interpreter, eqn, name, out[(i - 1, *at)], array[(i, *at)])
    return np.moveaxis(out[::-1] if eqn.params["reverse"] else out, 0, axis)


def _dot_general(interpreter: Any, eqn, values):
    (left_sum, right_sum), (left_batch, right_batch) = eqn.params["dimension_numbers"]

    def arrange(value, summed, batch):
        free = [axis for axis in range(value.ndim) if axis not in (*summed, *batch)]
        order, shape = [*batch, *free, *summed], value.shape
        sizes = [math.prod(shape[axis] for axis in group) for group in (batch, free, summed)]
        return np.transpose(objects(value), order).reshape(sizes)

    left, right = arrange(values[0], left_sum, left_batch), arrange(values[1], right_sum, right_batch)
    out = np.empty((left.shape[0], left.shape[1], right.shape[1]), dtype=object)
    for b, i, j in np.ndindex(out.shape):
        # zeros are most of a stoichiometric matrix, and take no part in a sum
        pairs = [(x, y) for x, y in zip(left[b, i], right[b, j], strict=True) if not (_is_zero(x) or _is_zero(y))]
        terms = [binary(interpreter, eqn, "mul", x, y) for x, y in pairs]
        out[b, i, j] = _fold_axis(interpreter, eqn, "add", terms) if terms else 0.0
    return out.reshape(aval(eqn.outvars[0]).shape)


def _is_zero(value: Any) -> bool:
    return is_number(value) and value == 0


def _concatenate(_, eqn, values):
    return np.concatenate([objects(value) for value in values], axis=eqn.params["dimension"])


def _stack(_, eqn, values):
    return np.stack([objects(value) for value in values], axis=eqn.params["axis"])


HANDLERS: dict[str, Callable] = {
    "reshape": _reshape_to_output,
    "squeeze": _reshape_to_output,
    "expand_dims": _reshape_to_output,
    "broadcast_in_dim": _broadcast_in_dim,
    "slice": _slice,
    "split": _split,
    "transpose": lambda _, eqn, values: np.transpose(values[0], eqn.params["permutation"]),
    "rev": lambda _, eqn, values: np.flip(values[0], eqn.params["dimensions"]),
    "concatenate": _concatenate,
    "stack": _stack,
    "dot_general": _dot_general,
    "unstack": _unstack,
    "argmax": _arg_extreme,
    "argmin": _arg_extreme,
}
HANDLERS |= dict.fromkeys(("scatter-add", "scatter_add", "scatter-mul", "scatter_mul"), _scatter_combine)
HANDLERS |= dict.fromkeys(_POSITIONAL, _positional)
HANDLERS |= dict.fromkeys(_REDUCTIONS, _reduction)
HANDLERS |= dict.fromkeys(_CUMULATIVE, _cumulative)
