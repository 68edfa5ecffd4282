"""The step of a trust region inside bounds, of many searches at once, by dense eigendecompositions.

Minimise m(s) = g·s + ½ s·Bs over |s| <= radius and lower <= s <= upper. Coordinates at a bound that the gradient pushes
against stay there. The rest take the exact step of the ball (Moré & Sorensen 1983, doi:10.1137/0904038); where that
leaves the box, the first coordinate to meet its bound is put on it, and the others step again. Of all the steps met on
the way, clipped and cut short, the one with the least m is taken.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class BoundedStep(NamedTuple):
    """Steps (n, d), their m (n,), which is not positive, and whether the radius limited them."""

    step: np.ndarray
    change: np.ndarray
    limited: np.ndarray


def quadratic(s: np.ndarray, g: np.ndarray, B: np.ndarray) -> np.ndarray:
    """m(s) of each row."""
    return np.einsum("ni,ni->n", s, g + 0.5 * np.einsum("nij,nj->ni", B, s))


def bounded_step(g: np.ndarray, B: np.ndarray, lower: np.ndarray, upper: np.ndarray, radius: np.ndarray) -> BoundedStep:
    """Steps for gradients (n, d), symmetric matrices (n, d, d), bounds of the step (n, d), lower <= 0 <= upper, and
    radii (n,)."""
    n, d = g.shape
    fixed = ((lower >= 0) & (g > 0)) | ((upper <= 0) & (g < 0))
    best = _Best(g, B, lower, upper)
    best.offer(np.arange(n), _steepest(g, B, fixed, radius))
    on_bound, todo = np.zeros((n, d)), np.arange(n)
    for _ in range(d):
        at, free = on_bound[todo], ~fixed[todo]
        rest = np.sqrt(np.maximum(radius[todo] ** 2 - (at**2).sum(axis=1), 0.0))
        q = g[todo] + np.einsum("nij,nj->ni", B[todo], at)
        p = np.where(free, _ball_step(np.where(free, q, 0.0), _restricted(B[todo], free), rest), 0.0)
        share = _share_inside(p, lower[todo], upper[todo])
        cut = np.minimum(share.min(axis=1), 1.0)
        best.offer(todo, at + p)
        best.offer(todo, at + cut[:, None] * p)
        leaves = cut < 1
        first = np.argmin(share, axis=1)[leaves]
        todo, p = todo[leaves], p[leaves]
        if not len(todo):
            break
        on_bound[todo, first] = np.where(p[np.arange(len(p)), first] > 0, upper[todo, first], lower[todo, first])
        fixed[todo, first] = True
        keep = ((on_bound[todo] ** 2).sum(axis=1) < radius[todo] ** 2) & ~fixed[todo].all(axis=1)
        todo = todo[keep]
    limited = np.linalg.norm(best.step, axis=1) >= 0.99 * radius
    return BoundedStep(best.step, best.change, limited)


class _Best:
    """The step with the least m so far, of each row; at first, none."""

    def __init__(self, g: np.ndarray, B: np.ndarray, lower: np.ndarray, upper: np.ndarray):
        self.g, self.B, self.lower, self.upper = g, B, lower, upper
        self.step, self.change = np.zeros_like(g), np.zeros(len(g))

    def offer(self, rows: np.ndarray, step: np.ndarray) -> None:
        step = np.clip(step, self.lower[rows], self.upper[rows])
        change = quadratic(step, self.g[rows], self.B[rows])
        better = change < self.change[rows]
        self.step[rows[better]], self.change[rows[better]] = step[better], change[better]


def _restricted(B: np.ndarray, free: np.ndarray) -> np.ndarray:
    """B on the free coordinates, the identity on the others."""
    d = B.shape[1]
    return np.where(free[:, :, None] & free[:, None, :], B, 0.0) + np.eye(d) * ~free[:, None, :]


def _share_inside(p: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """How many times each component of p fits until its bound."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, upper / p, np.where(p < 0, lower / p, np.inf))


def _steepest(g: np.ndarray, B: np.ndarray, fixed: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Down the gradient to the minimum or the radius."""
    down = np.where(fixed, 0.0, -g)
    norm = np.maximum(np.linalg.norm(down, axis=1), 1e-300)
    along = np.einsum("ni,nij,nj->n", down, B, down) / norm**2
    length = np.where(along * radius > norm, norm / np.where(along > 0, along, 1.0), radius)
    return down * (length / norm)[:, None]


def _ball_step(g: np.ndarray, B: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Minimise m(s) over |s| <= radius: s = -(B + λI)⁻¹ g with the least λ >= 0 that makes B + λI positive and s short
    enough."""
    values, vectors = np.linalg.eigh(B)
    a = np.einsum("nij,ni->nj", vectors, g)
    tiny = 1e-14 * np.maximum(np.abs(values).max(axis=1), 1e-300)
    floor = np.maximum(-values[:, 0], 0.0) + tiny
    radius = np.maximum(radius, 1e-300)

    def coefficients(shift: np.ndarray) -> np.ndarray:
        return -a / np.maximum(values + shift[:, None], tiny[:, None])

    shift = np.where(values[:, 0] > tiny, 0.0, floor)
    inside = np.linalg.norm(coefficients(shift), axis=1) <= radius
    low, high = floor * (shift > 0), floor + np.linalg.norm(g, axis=1) / radius
    shift = np.where(inside, shift, low)
    for _ in range(60):  # Newton for 1/|s| - 1/radius, kept between what is too little and what is too much
        if inside.all():
            break
        s = coefficients(shift)
        norm = np.maximum(np.linalg.norm(s, axis=1), 1e-300)
        low, high = np.where(norm > radius, shift, low), np.where(norm > radius, high, shift)
        slope = (s**2 / np.maximum(values + shift[:, None], tiny[:, None])).sum(axis=1)
        newton = shift + (norm / radius - 1) * norm**2 / np.maximum(slope, 1e-300)
        newton = np.where((newton > low) & (newton < high), newton, 0.5 * (low + high))
        shift = np.where(inside, shift, newton)
        if (inside | (np.abs(norm - radius) <= 1e-10 * radius)).all():
            break
    s = coefficients(shift)
    short = (values[:, 0] < -tiny) & inside  # the hard case: go on along the lowest eigenvector to the radius
    s[:, 0] += np.where(short, np.sqrt(np.maximum(radius**2 - (s**2).sum(axis=1), 0.0)), 0.0)
    s *= np.minimum(1.0, radius / np.maximum(np.linalg.norm(s, axis=1), 1e-300))[:, None]
    return np.einsum("nij,nj->ni", vectors, s)
