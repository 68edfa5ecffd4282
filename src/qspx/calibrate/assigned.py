"""Named numbers that are constants in some rows and estimated in others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspx._errors import CalibrationError, closest


@dataclasses.dataclass(frozen=True, eq=False)
class Assigned:
    """A matrix of numbers, some of which are elements of a vector of estimated values.

    Args:
        constant: the numbers, shape (rows, columns).
        index: which estimated value stands there instead, -1 for none, shape (rows, columns).
    """

    constant: np.ndarray
    index: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "constant", np.asarray(self.constant, dtype=float))
        object.__setattr__(self, "index", np.asarray(self.index, dtype=np.int64))
        if self.constant.shape != self.index.shape or self.constant.ndim != 2:
            raise CalibrationError(
                f"`constant` and `index` must have one shape (rows, columns), but have {self.constant.shape} and "
                f"{self.index.shape}."
            )

    @classmethod
    def of(cls, rows: Sequence[Sequence[float | str]], estimated: Sequence[str], columns: int = 0) -> Assigned:
        """From numbers and names of estimated values. `columns` is the width where there is no row.

        Raises `CalibrationError` for a name that is not among `estimated`."""
        shape = (len(rows), len(rows[0]) if rows else columns)
        constant, index = np.zeros(shape), np.full(shape, -1)
        place = {name: k for k, name in enumerate(estimated)}
        for i, row in enumerate(rows):
            for j, given in enumerate(row):
                if not isinstance(given, str):
                    constant[i, j] = given
                elif given in place:
                    index[i, j] = place[given]
                else:
                    raise CalibrationError(
                        f"`{given}` is no number and not among the estimated parameters.{closest(given, estimated)}"
                    )
        return cls(constant, index)

    @classmethod
    def tiled(cls, theta: np.ndarray, rows: int, names: Sequence[str], given: Mapping[str, int]) -> Assigned:
        """The vector `theta` in every row, with the estimated values `given` (index by name) in the places of their
        `names`."""
        index = np.array([given.get(name, -1) for name in names], dtype=np.int64)
        return cls(np.tile(theta, (rows, 1)), np.tile(index, (rows, 1)))

    def __len__(self) -> int:
        return len(self.constant)

    def __call__(self, values: Any) -> Any:
        """The numbers, shape (rows, columns), for estimated `values` (estimated,)."""
        if not (self.index >= 0).any():
            return jnp.asarray(self.constant)
        return jnp.where(self.index >= 0, jnp.asarray(values)[np.maximum(self.index, 0)], self.constant)

    @property
    def used(self) -> np.ndarray:
        """Which estimated values stand somewhere, sorted."""
        return np.unique(self.index[self.index >= 0])
