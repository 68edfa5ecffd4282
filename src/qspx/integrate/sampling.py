"""Samples of the accepted steps of one subject."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def one_by_one(saved, number, times, due: Callable, value: Callable, start):
    """Store samples from `number` on, as long as they are due: a step rarely holds more than one.

    `due(time, i)` says so, `value(time, i)` is the state (species,) there; `start` is where the step starts. Returns
    (saved, number)."""
    del start
    last = len(times)

    def pending(carry):
        i = jnp.minimum(carry[1], last - 1)
        return (carry[1] < last) & due(times[i], i)

    def store(carry):
        saved, i = carry
        here = jnp.arange(last) == i
        return jnp.where(here[:, None], value(times[i], i), saved), i + 1

    return lax.while_loop(pending, store, (saved, number)) if last else (saved, number)


def all_at_once(saved, number, times, due: Callable, value: Callable, start):
    """The same without a loop, so that reverse-mode differentiation can pass: every sample is looked at."""
    if not len(times):
        return saved, number
    i = jnp.arange(len(times))
    now = (i >= number) & jax.vmap(due)(times, i)
    # a sample that is not due is evaluated where it does no harm, and left out
    found = jax.vmap(value)(jnp.where(now, times, start), i)
    return jnp.where(now[:, None], found, saved), number + now.sum(dtype=number.dtype)
