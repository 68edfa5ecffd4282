"""Random keys: always explicit, an int or a jax key."""

from __future__ import annotations

import operator
from typing import SupportsIndex

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from qspx._errors import QspxError

KeyLike = SupportsIndex | Array
"""An int seed (numpy's too), a typed jax key, or a raw `uint32[2]` key."""


def described(key: KeyLike) -> str:
    """A key in a manifest: the int, or the words of the key."""
    if not isinstance(key, jax.Array):
        return str(operator.index(key))
    return str(jax.random.key_data(as_key(key)).tolist())


def as_key(key: object) -> Key[Array, ""]:
    """A typed jax key from a `KeyLike`. Raises `QspxError` for anything else."""
    if isinstance(key, jax.Array):
        if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ():
            return key
        if key.dtype == jnp.uint32 and key.shape == (2,):
            return jax.random.wrap_key_data(key)
    elif not isinstance(key, bool):
        try:
            seed = operator.index(key)  # pyright: ignore[reportArgumentType]
        except TypeError:
            pass
        else:
            return jax.random.key(seed)
    raise QspxError(f"Argument `key` must be an int or a single jax key, but is {key!r}. Write `key=0`, for example.")
