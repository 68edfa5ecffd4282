"""The identity of a model: a digest of what it declares and of what it computes."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from qspx.model import AbstractModel

# what a number can depend on; meanings, sources and tags may be edited without making it another model
NUMERIC = ("value", "unit", "bounds", "volume", "bioavailability", "lag", "duration", "rate", "signed")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def _constants(x: Any) -> Iterator[Any]:
    """Arrays that a traced program holds, those of the functions that it calls included."""
    if isinstance(x, tuple | list):
        for item in x:
            yield from _constants(item)
    elif hasattr(x, "consts"):
        yield from x.consts
        yield from _constants(x.jaxpr)
    elif hasattr(x, "eqns"):
        for eqn in x.eqns:
            yield from _constants(list(eqn.params.values()))


def program_bytes(closed: Any) -> bytes:
    """What a traced function computes, its constants included, to be hashed."""
    text = _ADDRESS.sub("", str(closed.jaxpr)).encode()
    return text + b"".join(np.asarray(c).tobytes() for c in _constants(closed))


def model_hash(m: AbstractModel) -> str:
    """sha256 of the declarations and of the traced program (with its constants): equal hash, equal numbers."""
    digest = hashlib.sha256(repr((type(m).__name__, m.time_unit, m.molar_mass, m.body_weight)).encode())
    for declared in (m.species, m.parameters, m.outputs):
        digest.update(repr([(k, [getattr(d, f, None) for f in NUMERIC]) for k, d in declared.items()]).encode())
    with jax.enable_x64(True):  # the same hash whether or not float64 has been switched on yet
        y, theta = jnp.ones(len(m.species)), jnp.asarray(m.theta)
        for f, args in (
            (m.initial_vector, (theta,)),
            (m.rates_vector, (1.0, y, theta)),
            *([(m.events_vector, (1.0, y, theta))] if m.has_events else []),
            (functools.partial(m.observables_vector, names=list(m.outputs)), (1.0, y, theta)),
        ):
            digest.update(program_bytes(jax.make_jaxpr(f)(*args)))
    return digest.hexdigest()
