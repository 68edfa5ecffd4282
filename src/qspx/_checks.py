"""Arguments of the wrong type: one wording for all, raised before compute starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jax.core import Tracer

from qspx._errors import QspxError, SolveError


def shown(value: Any) -> str:
    """A value as messages show it: in full where it is short, else its type."""
    text = "an array under transformation by jax" if isinstance(value, Tracer) else repr(value)
    return text if len(text) <= 80 else f"a {type(value).__name__}"


def require_kind(value: Any, kind: type, argument: str, fix: str = "", error: type[QspxError] = SolveError) -> None:
    """Raise `error` unless `value` is of this class. `fix` is a sentence that says what to write instead."""
    if not isinstance(value, kind):
        if isinstance(value, type) and issubclass(value, kind):
            fix = f"Make one: {value.__name__}(...)."
        name = {Iterable: "sequence", str: "text"}.get(kind, kind.__name__.removeprefix("Abstract"))
        article = "an" if name[0] in "AEIOU" else "a"
        raise error(f"Argument `{argument}` must be {article} {name}, but {shown(value)} was given.{fix and ' ' + fix}")


def number(value: Any, argument: str, error: type[QspxError], traced: str = "") -> float:
    """The number as a float. Raises `error` for anything else; `traced` says what to do instead of giving an array
    under transformation by jax."""
    if isinstance(value, Tracer):
        raise error(f"Argument `{argument}` must be a number, but {shown(value)} was given.{traced and ' ' + traced}")
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise error(f"Argument `{argument}` must be a number, but {shown(value)} was given.") from None


def numbers(values: Any, argument: str, error: type[QspxError], traced: str = "") -> tuple[float, ...]:
    """A sequence of numbers as a flat tuple. Raises as `number`."""
    if isinstance(values, Tracer):
        number(values, argument, error, traced)
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise error(f"Argument `{argument}` must be a sequence of numbers, but {shown(values)} was given.")
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        return tuple(values.ravel().tolist())
    return tuple(number(x, argument, error, traced) for x in values)


def names(values: Any, argument: str, error: type[QspxError]) -> tuple[str, ...]:
    """A sequence of names as a tuple. Raises `error` for anything else, one name alone included."""
    if isinstance(values, str):
        raise error(f'Argument `{argument}` must be a sequence of names, but "{values}" was given; write ["{values}"].')
    found = tuple(values) if isinstance(values, Iterable) else ()
    if not isinstance(values, Iterable) or not all(isinstance(x, str) for x in found):
        raise error(f"Argument `{argument}` must be a sequence of names, but {shown(values)} was given.")
    return found


def mapping(values: Any, argument: str, error: type[QspxError], example: str = '{"CL": 0.2}') -> Mapping[str, Any]:
    """A mapping from names. Raises `error` for anything else."""
    if not isinstance(values, Mapping) or not all(isinstance(x, str) for x in values):
        raise error(f"Argument `{argument}` must map names to values, as in {example}, but {shown(values)} was given.")
    return values
