"""Named scalars: what a model's functions receive as `y` and `p`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from qspx._errors import ModelError, closest


class Values:
    """Read-only named scalars over one vector: `y.C`, `y["C"]`, `dict(y)`.

    Elements are cut out of the vector only when they are asked for, so that a right-hand side that works on the
    vector itself (`Network`) adds no slicing to the traced program. A pytree whose leaves are the scalars in order.
    """

    __slots__ = ("_names", "_vector", "_cache", "_kind", "accessed")

    def __init__(self, names: Sequence[str] | dict[str, int], vector: Any, kind: str = "value"):
        self._names = {name: i for i, name in enumerate(names)} if not isinstance(names, dict) else names
        self._vector = vector
        self._cache: dict[str, Any] = {}
        self._kind = kind
        self.accessed: set[str] = set()

    def __getitem__(self, name: str):
        if name not in self._cache:
            if name not in self._names:
                raise ModelError(f"the model has no {self._kind} `{name}`.{closest(name, self._names)}")
            self._cache[name] = self._elements()[self._names[name]]
        self.accessed.add(name)
        return self._cache[name]

    def _elements(self):
        """The scalars, by one split of the whole vector: its derivative is one concatenation instead of many
        scatters."""
        if isinstance(self._vector, jax.Array) and self._vector.ndim == 1 and len(self._vector):
            self._vector = [x[0] for x in lax.split(self._vector, (1,) * len(self._vector))]
        return self._vector

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def keys(self):
        return self._names.keys()


def _flatten(v: Values):
    return tuple(v._vector[i] for i in range(len(v._names))), (tuple(v._names), v._kind)


def _unflatten(aux, leaves) -> Values:
    return Values(aux[0], list(leaves), aux[1])


jax.tree_util.register_pytree_node(Values, _flatten, _unflatten)


def stack(scalars: Sequence[Any], like: Any) -> jax.Array:
    """Scalars (numbers or tracers) as one vector with the dtype of `like`."""
    dtype = jnp.asarray(like).dtype
    return jnp.stack([jnp.asarray(s, dtype) for s in scalars]) if scalars else jnp.zeros(0, dtype)
