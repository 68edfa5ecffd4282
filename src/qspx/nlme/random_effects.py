"""Differences between individuals: random effects, and their covariance matrix as a function of free coordinates.

A random effect is normal on the scale of its parameter: on "log" the parameter is log-normal, on "lin" normal, on
"logit" logit-normal between the parameter's bounds. The covariance matrix Omega = L Lᵀ is built from a lower triangle
L whose rows are sd-like numbers s_i times (r_i1, ..., r_i,i-1, 1, 0, ...): the coordinates log s_i and r_ij are free,
of order one, and every choice of them gives a positive definite matrix (Pinheiro & Bates, Stat Comput 1996;6:289-296,
doi:10.1007/BF00140873, on such parameterisations).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspx._checks import number
from qspx._errors import CalibrationError, closest
from qspx.nlme.checks import of_kind

_SD_BOX = (math.log(1e-3), math.log(10.0))
_ROW_BOX = (-20.0, 20.0)


@dataclasses.dataclass(frozen=True)
class RandomEffect:
    """What differs between individuals in a parameter.

    Args:
        parameter: of the model.
        sd: standard deviation on the scale of the parameter, where the search starts; on "log" about the coefficient of
            variation (the square root of NONMEM's OMEGA diagonal).
        fixed: whether `sd` is kept.
    """

    parameter: str
    sd: float = 0.3
    fixed: bool = False

    def __post_init__(self):
        of_kind(self.parameter, str, "parameter` of `RandomEffect")
        number(self.sd, "sd` of `RandomEffect", CalibrationError)
        if not (math.isfinite(self.sd) and math.exp(_SD_BOX[0]) <= self.sd <= math.exp(_SD_BOX[1])):
            raise CalibrationError(
                f"Argument `sd` of RandomEffect({self.parameter!r}) must lie between {math.exp(_SD_BOX[0]):g} and "
                f"{math.exp(_SD_BOX[1]):g}, but {self.sd} was given. A variance? Take its square root."
            )


@dataclasses.dataclass(frozen=True, eq=False)
class Omega:
    """The covariance matrix of random effects.

    Args:
        effects: the random effects, in the order of rows.
        correlated: groups of parameters whose effects are correlated; others are independent.
    """

    effects: tuple[RandomEffect, ...]
    correlated: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self):
        names = self.names
        if len(set(names)) < len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise CalibrationError(f"Argument `random_effects` has two effects on `{twice}`; give one.")
        grouped = [n for group in self.correlated for n in group]
        for n in grouped:
            if n not in names:
                raise CalibrationError(
                    f"Argument `correlated` names `{n}`, which has no random effect.{closest(n, names)}"
                )
            if grouped.count(n) > 1:
                raise CalibrationError(f"Argument `correlated` has `{n}` twice; every parameter is in one group.")
            if self.effects[names.index(n)].fixed:
                raise CalibrationError(
                    f"Argument `correlated` names `{n}`, whose sd is fixed; only estimated effects can be correlated."
                )

    def __len__(self) -> int:
        return len(self.effects)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(e.parameter for e in self.effects)

    @property
    def free(self) -> tuple[tuple[int, int], ...]:
        """Places (row, column) of the lower triangle that are estimated, diagonal first."""
        diagonal = [(i, i) for i, e in enumerate(self.effects) if not e.fixed]
        group = {n: g for g, names in enumerate(self.correlated) for n in names}
        below = [
            (i, j)
            for i in range(len(self))
            for j in range(i)
            if self.names[i] in group and group[self.names[i]] == group.get(self.names[j])
        ]
        return (*diagonal, *below)

    @property
    def coordinate_names(self) -> tuple[str, ...]:
        n = self.names
        return tuple(f"omega({n[i]})" if i == j else f"omega({n[i]}, {n[j]})" for i, j in self.free)

    @property
    def start(self) -> np.ndarray:
        """Coordinates of the `sd`s, uncorrelated, shape (free,)."""
        return np.array([math.log(self.effects[i].sd) if i == j else 0.0 for i, j in self.free])

    @property
    def box(self) -> np.ndarray:
        """Bounds of the coordinates, shape (free, 2)."""
        return np.array([_SD_BOX if i == j else _ROW_BOX for i, j in self.free], dtype=float).reshape(-1, 2)

    def factor(self, coordinates: Any) -> Any:
        """The lower triangle L with Omega = L Lᵀ, shape (effects, effects), for coordinates (free,). Traceable."""
        log_sd = jnp.asarray([math.log(e.sd) for e in self.effects], dtype=float)
        rows = jnp.eye(len(self))
        for k, (i, j) in enumerate(self.free):
            if i == j:
                log_sd = log_sd.at[i].set(coordinates[k])
            else:
                rows = rows.at[i, j].set(coordinates[k])
        return jnp.exp(log_sd)[:, None] * rows

    def coordinates(self, omega: np.ndarray) -> np.ndarray:
        """Inverse of `factor`: coordinates (free,) of a covariance matrix (effects, effects)."""
        factor = np.linalg.cholesky(np.asarray(omega, dtype=float))
        return np.array([math.log(factor[i, i]) if i == j else factor[i, j] / factor[i, i] for i, j in self.free])


def check_correlated(correlated: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Groups of names; a single group may not be given as plain names."""
    if any(isinstance(group, str) for group in correlated):
        raise CalibrationError(
            f"Argument `correlated` must hold groups of parameters such as [('CL', 'V')], but {correlated!r} was given."
        )
    return tuple(tuple(group) for group in correlated)
