"""Trace a user's function, and say where in the user's own file something went wrong."""

from __future__ import annotations

import linecache
import os
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.extend import core

from ._errors import ModelError, QspxError

_LIBRARY = tuple(
    os.path.normcase(os.path.abspath(path)) + os.sep
    for path in {os.path.dirname(__file__), os.path.dirname(jax.__file__), sysconfig.get_paths()["stdlib"]}
)

_TO_NUMBER = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


def trace(function: Callable, args: Sequence[Any]) -> tuple[core.ClosedJaxpr, list[np.ndarray], Any]:
    """Jaxpr of `function(*args)` in float64, the leaves of `args` as object arrays, and the structure of its result.

    The leaves of `args` are abstract values (one scalar each) or object arrays of them. An exception in the user's
    code is raised as `ModelError` with its source line; a `QspxError` passes.
    """
    leaves, structure = jax.tree_util.tree_flatten(tuple(args))
    arrays = [leaf if isinstance(leaf, np.ndarray) else scalar(leaf) for leaf in leaves]
    with jax.enable_x64(True):
        shapes = [jax.ShapeDtypeStruct(array.shape, np.float64) for array in arrays]
        example = jax.tree_util.tree_unflatten(structure, shapes)
        with _user_errors():
            closed, shape = jax.make_jaxpr(function, return_shape=True)(*example)
    return closed, arrays, jax.tree_util.tree_structure(shape)


@contextmanager
def _user_errors() -> Iterator[None]:
    """Raises an exception of the user's code as `ModelError` with the innermost line of that code."""
    try:
        yield
    except QspxError:
        raise
    except Exception as error:
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_library(frame.filename)]
        if not own:
            raise
        place = _place_text(own[-1].filename, own[-1].lineno or 0)
        if isinstance(error, jax.errors.TracerBoolConversionError):
            advice = "Python `if` and `while` cannot depend on states or parameters; use jnp.where"
            raise ModelError(f"{advice} ({place})") from None  # the traceback through jax says no more
        if isinstance(error, _TO_NUMBER):
            advice = "states and parameters cannot become Python numbers; use jax.numpy, not `math`, `numpy` or `float`"
            raise ModelError(f"{advice} ({place})") from None
        first_line = str(error).partition("\n")[0]
        raise ModelError(f"{type(error).__name__}: {first_line} ({place})") from error


def scalar(value: Any) -> np.ndarray:
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def _is_library(file: str) -> bool:
    if file.startswith("<") and not file.startswith("<ipython"):
        return True
    path = os.path.normcase(os.path.abspath(file))
    return "site-packages" in path or "dist-packages" in path or path.startswith(_LIBRARY)


def user_line(eqn: core.JaxprEqn) -> str:
    """The user's source line behind an equation, ``models/x.py:42: `...` ``, or `""` when there is none.

    The innermost frame outside the standard library, installed packages and qspx itself.
    """
    found = eqn.source_info.traceback
    for frame in found.frames if found is not None else ():
        if not _is_library(frame.file_name):
            return _place_text(frame.file_name, frame.line_num)
    return ""


def _place_text(file: str, line: int) -> str:
    text = linecache.getline(file, line).strip()
    if not file.startswith("<"):
        relative = os.path.relpath(file)
        file = file if relative.startswith("..") else relative
    return f"{file}:{line}" + (f": `{text}`" if text else "")


def from_library(jaxpr: core.Jaxpr) -> bool:
    """True when the function traced into `jaxpr` is jax's own (`jnp.where`): it is traced once and cached, so its
    equations remember the line of its first caller and not of this one."""
    source = getattr(getattr(jaxpr, "debug_info", None), "func_src_info", None) or ""
    _, _, place = source.partition(" at ")
    return not place or _is_library(place.rpartition(":")[0])


# --------------------------------------------------------------------------------------------------------------
# The interpreter
