"""Amounts that a model keeps: moieties, as sums of states that the rates leave alone.

    c' f(y, theta) = 0 for every y,  so  c' y(t) = c' y(0)

The states are split into some that are free and one dependent state per conserved sum, such that
f_dependent = N f_free. N depends on the parameters only (on ratios of volumes, say), which is what makes it cheap to
differentiate: it is computed at fixed states.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import qr

from qspx.model import AbstractModel

POINTS = 4  # states at which the rates are looked at
ZERO = 1e-12  # of a singular value, relative; rounding of exact derivatives is below it, a slow loss above


@dataclasses.dataclass(frozen=True, eq=False)
class Conservation:
    """The linear conservation laws of a model.

    Args:
        model: its rates must not depend on time.
        at: states at which the rates are looked at, shape (points, species).
        dependent: places of the states that follow from the others, one per law; empty where nothing is conserved.
    """

    model: AbstractModel
    at: np.ndarray
    dependent: tuple[int, ...]

    @classmethod
    def of(cls, model: AbstractModel, theta: np.ndarray, states: np.ndarray) -> Conservation:
        """The laws at parameters `theta` (parameters,), from states around `states` (species,), where the rates must
        be finite at some."""
        rng = np.random.default_rng(0)
        scale = np.abs(states) + 1e-2 * np.abs(states).max() + 1e-300
        at = scale * rng.uniform(0.5, 1.5, (POINTS, len(states)))
        slopes = np.asarray(jax.vmap(lambda y: _seen(model, y, theta))(jnp.asarray(at)))
        at = at[np.isfinite(slopes).all(axis=(1, 2))]
        if not len(at):
            return cls(model, at, ())
        matrix = np.concatenate([*slopes[np.isfinite(slopes).all(axis=(1, 2))]], axis=1)
        rows = np.abs(matrix).max(axis=1, keepdims=True)
        matrix = matrix / np.where(rows > 0, rows, 1.0)
        columns = np.abs(matrix).max(axis=0, keepdims=True)
        matrix = matrix / np.where(columns > 0, columns, 1.0)
        values = np.linalg.svd(matrix, compute_uv=False)
        rank = int((values > ZERO * max(values[0], 1e-300)).sum())
        order: Any = qr(matrix.T, mode="economic", pivoting=True)[-1]
        return cls(model, at, tuple(sorted(int(i) for i in order[rank:])))

    def __len__(self) -> int:
        return len(self.dependent)

    @property
    def free(self) -> tuple[int, ...]:
        """Places of the other states."""
        return tuple(i for i in range(len(self.model.species)) if i not in self.dependent)

    def ratios(self, theta: Any) -> Any:
        """N, shape (dependent, free), at parameters `theta` (parameters,). A function of jax."""
        seen = jax.vmap(lambda y: _seen(self.model, y, theta))(jnp.asarray(self.at))
        matrix = jnp.concatenate([*seen], axis=1)
        scale = jax.lax.stop_gradient(jnp.maximum(jnp.abs(matrix).max(axis=1), 1e-300))
        matrix = matrix / scale[:, None]
        free, dependent = matrix[np.array(self.free, int)], matrix[np.array(self.dependent, int)]
        if not len(free):
            return jnp.zeros((len(dependent), 0))
        # N M_free = M_dependent, in the sense of least squares, though it holds exactly
        q, r = jnp.linalg.qr(free.T)
        ratios = jax.scipy.linalg.solve_triangular(r, q.T @ dependent.T).T
        return ratios * scale[np.array(self.dependent, int)][:, None] / scale[np.array(self.free, int)][None, :]

    def residual(self, moved: Any, ratios: Any) -> Any:
        """By how much the conserved sums change when the states change by `moved` (species,), shape (dependent,)."""
        return moved[np.array(self.dependent, int)] - ratios @ moved[np.array(self.free, int)]

    def laws(self, theta: np.ndarray) -> list[str]:
        """The conserved sums in words, at parameters `theta` (parameters,): `A + 2 B`."""
        if not len(self):
            return []
        names, found = [*self.model.species], []
        for place, row in zip(self.dependent, np.asarray(self.ratios(jnp.asarray(theta))), strict=True):
            terms = [(1.0, names[place])]
            terms += [(-x, names[i]) for i, x in zip(self.free, row, strict=True) if abs(x) > 1e-9 * np.abs(row).max()]
            words = "".join(f" {'+' if c > 0 else '-'} {'' if abs(abs(c) - 1) < 1e-9 else f'{abs(c):.6g} '}{n}"
                            for c, n in terms)  # fmt: skip
            found.append(words.removeprefix(" + "))
        return found


def _seen(model: AbstractModel, y: Any, theta: Any) -> Any:
    """Slopes of the rates and the rates themselves, shape (species, species + 1): a sum that is conserved is zero in
    all columns; the rate of an integral (of an AUC, say) is not, though nothing depends on it."""
    slope = jax.jacfwd(lambda y: model.rates_vector(0.0, y, theta))(y)
    # in units of the state, so that columns compare
    return jnp.concatenate([slope * y[None, :], model.rates_vector(0.0, y, theta)[:, None]], axis=1)
