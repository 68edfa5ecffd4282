"""Model files: plain Python that defines one model."""

from __future__ import annotations

import hashlib
import inspect
import linecache
import sys
import types
from pathlib import Path
from typing import Any

from qspx._errors import ModelError, QspxError
from qspx.model import AbstractModel


def load_model(path: str | Path, **switches: Any) -> AbstractModel:
    """The model in a file: `build(**switches)` if the file defines it, else `model`, else its one model class.

    Raises `ModelError` if the file is missing, cannot be run, or does not define exactly one model.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"Argument `path` must name a model file, but {str(path)!r} does not exist.")
    module = _import(path)
    if callable(build := getattr(module, "build", None)):
        return _call(build, switches, path)
    if isinstance(model := getattr(module, "model", None), AbstractModel):
        if switches:
            raise ModelError(
                f"{path.name} defines a finished `model`, which takes no switches, but {switches} were given."
            )
        return model
    classes = [
        c
        for c in vars(module).values()
        if inspect.isclass(c)
        and issubclass(c, AbstractModel)
        and c.__module__ == module.__name__
        and not inspect.isabstract(c)
    ]
    if len(classes) != 1:
        raise ModelError(
            f"{path.name} must define one model class, a `model`, or a function `build`, but it defines "
            f"{len(classes)} model classes."
        )
    return _call(classes[0], switches, path)


def _import(path: Path):
    name = f"qspx_model_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    linecache.checkcache(str(path))
    try:
        # not through the import system: its bytecode cache tells files apart by size and whole seconds, so that
        # a constant changed twice within one second would load the old model
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, QspxError):
            raise
        raise ModelError(f"{path.name} cannot be run as a model file: {type(error).__name__}: {error}") from error
    return module


def _switches_text(build) -> str:
    """The switches of a function or class with their defaults: `q1 = False, targets = True`."""
    named = [p for p in inspect.signature(build).parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    shown = [f"{p.name} (no default)" if p.default is p.empty else f"{p.name} = {p.default!r}" for p in named]
    return ", ".join(shown) or "no switches"


def _call(build, switches: dict[str, Any], path: Path) -> AbstractModel:
    try:
        inspect.signature(build).bind(**switches)
    except TypeError as error:
        raise ModelError(
            f"{path.name}: switches {switches} do not fit `{build.__name__}`: {error}; it has {_switches_text(build)}."
        ) from error
    model = build(**switches)
    if not isinstance(model, AbstractModel):
        raise ModelError(f"{path.name}: `{build.__name__}` must return a model, but returned {type(model).__name__}.")
    return model
