"""Predictions of one individual near a point, as polynomials: what second and third derivatives are taken of.

The integrator gives predictions f and first derivatives f_u exactly (those of the steps it took). Objective functions
of population fits need second ones, f_uu with one direction among the random effects, and that of Laplace third ones.
They are differences of the exact first derivatives, with four points on each direction:

    f_uu d ≈ [8 (f_u(+h) - f_u(-h)) - (f_u(+2h) - f_u(-2h))] / 12h
    f_uuu dd ≈ [16 (f_u(+h) + f_u(-h)) - (f_u(+2h) + f_u(-2h)) - 30 f_u] / 12h²

(Abramowitz & Stegun 25.3.6, 25.3.24). Directions d are principal ones of the individual's own uncertainty, one standard
deviation long, so that one h fits all parameters; the error is of order h⁴, plus the solver's over h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from qspx._status import Status
from qspx.nlme.individuals import Jets

STEP = 0.05  # h, in standard deviations
POINTS = np.array([STEP, -STEP, 2 * STEP, -2 * STEP])


class Taylor(NamedTuple):
    """Predictions near u: f (m,), f_u (m, columns), f_uu (m, columns, columns), where only entries with a random effect
    among the two count and others are 0. With third derivatives: their contractions over the directions (columns of
    `directions`, (effects, effects)), f_uuu d d for each, (directions, m, columns)."""

    u: Any
    f: Any
    slope: Any
    curvature: Any
    directions: Any
    third: Any

    def __call__(self, u: Any) -> Any:
        """Predictions (m,) at u (columns,). Derivatives at the own point: first and second are right in the entries
        that count; third ones are right when contracted with d dᵀ summed over the directions."""
        move = u - self.u
        near = self.f + self.slope @ move + 0.5 * (self.curvature @ move) @ move
        if len(self.third) == 0:
            return near
        effects = len(self.directions)
        along = jnp.linalg.solve(self.directions, move[:effects])  # the move in units of the directions
        itself = jnp.einsum("kma,ak->km", self.third[..., :effects], self.directions)
        return near + 0.5 * along**2 @ (self.third @ move) - along**3 / 3 @ itself


def around(
    many_jets: Callable[[Any], Jets], u: np.ndarray, jets: Jets, directions: np.ndarray, third: np.ndarray | None
) -> tuple[Taylor, np.ndarray]:
    """Of all individuals: polynomials, with one axis more, the first, and status (individuals,).

    u (individuals, columns) with `jets` there; `directions` (individuals, effects, effects), one in each column;
    `third`: directions for third derivatives, none where it is None.
    """
    n, q = directions.shape[:2]
    spread, status = _points(many_jets, u, directions)
    by_direction = (8 * (spread[:, 0] - spread[:, 1]) - (spread[:, 2] - spread[:, 3])) / (12 * STEP)
    curvature = _symmetric(np.linalg.solve(np.swapaxes(directions, 1, 2), _flat(by_direction)), by_direction, q)
    thirds, basis = np.zeros((n, 0, *jets.slope.shape[1:])), np.zeros((n, 0, 0))
    if third is not None:
        spread, more = _points(many_jets, u, third)
        total = 16 * (spread[:, 0] + spread[:, 1]) - (spread[:, 2] + spread[:, 3]) - 30 * jets.slope
        thirds, basis = np.moveaxis(total / (12 * STEP**2), 0, 1), third
        status = np.maximum(status, more)
    status = np.maximum(status, np.asarray(jets.status))
    return Taylor(u, jets.f, jets.slope, curvature, basis, thirds), status


def _points(many_jets: Callable, u: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f_u at the four points of each direction, (directions, 4, individuals, m, columns), and the worst status."""
    q = directions.shape[1]
    moved = np.broadcast_to(u, (q, len(POINTS), *u.shape)).copy()
    moved[..., :q] += POINTS[None, :, None, None] * np.moveaxis(directions, 2, 0)[:, None]
    found = many_jets(moved.reshape(-1, *u.shape))
    slope = np.asarray(found.slope)
    status = np.asarray(found.status).max(axis=0, initial=int(Status.OK))
    return slope.reshape(q, len(POINTS), *slope.shape[1:]), status


def _flat(by_direction: np.ndarray) -> np.ndarray:
    """(individuals, directions, m · columns)"""
    moved = np.moveaxis(by_direction, 0, 1)
    return moved.reshape(*moved.shape[:2], -1)


def _symmetric(rows: np.ndarray, by_direction: np.ndarray, q: int) -> np.ndarray:
    """(individuals, m, columns, columns) from its first q rows, (individuals, q, m · columns)."""
    _, n, m, p = by_direction.shape
    rows = np.moveaxis(rows.reshape(n, q, m, p), 1, 2)
    full = np.zeros((n, m, p, p))
    full[:, :, :q] = rows
    full[:, :, q:, :q] = np.swapaxes(rows[..., q:], 2, 3)
    own = full[:, :, :q, :q]
    full[:, :, :q, :q] = 0.5 * (own + np.swapaxes(own, 2, 3))
    return full
