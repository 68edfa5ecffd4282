"""Numerical arguments that all integrators share: numbers > 0, and absolute tolerances by species."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qspx._errors import SolveError, closest
from qspx.model import AbstractModel

AtolOf = tuple[tuple[str, float], ...]  # species and their tolerances, sorted: hashable


def require_positive(integrator: object, *names: str) -> None:
    """Raise `SolveError` unless these attributes are numbers > 0."""
    for name in names:
        if not _is_positive(value := getattr(integrator, name)):
            raise SolveError(f"Argument `{name}` must be a number > 0, but {value!r} was given.")


def checked_atol_of(given: Any) -> AtolOf:
    """Sorted pairs of `atol_of`. Raises `SolveError` unless it maps names to numbers > 0."""
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise SolveError(
            'Argument `atol_of` must map names of species to numbers, as in {"C": 1e-9}, but ' + f"{given!r} was given."
        )
    for name, value in given.items():
        if not _is_positive(value):
            raise SolveError(f"Argument `atol_of` must hold numbers > 0, but {value!r} was given for `{name}`.")
    return tuple(sorted((name, float(value)) for name, value in given.items()))


def absolute_tolerances(model: AbstractModel, atol: float, atol_of: AtolOf) -> np.ndarray:
    """Of every species of the model, shape (species,): its own, else `atol`. Raises `SolveError` for a species that the
    model does not have."""
    own = dict(atol_of)
    if unknown := [name for name in own if name not in model.species]:
        raise SolveError(
            f"Argument `atol_of` names `{unknown[0]}`, but {model.name} has no species of that name; it has "
            f"{list(model.species)}.{closest(unknown[0], model.species)}"
        )
    return np.array([own.get(name, atol) for name in model.species], dtype=float)


def said_atol_of(given: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """What settings say: nothing where no species has a tolerance of its own."""
    return {"atol_of": dict(checked_atol_of(given))} if given else {}


def _is_positive(value: Any) -> bool:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return bool(is_number and value > 0)
