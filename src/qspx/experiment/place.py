"""Errors of the library, told with the place in the experiment file that they come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qspx._errors import ConfigError, QspxError


@contextmanager
def at(place: str) -> Iterator[None]:
    """Turn an error of qspx into a `ConfigError` that begins with the place."""
    try:
        yield
    except QspxError as error:
        raise ConfigError(f"{place}: {error}") from error
