"""From weights to patients of equal weight who are spread over the outputs as the weighted ones are."""

from __future__ import annotations

import numpy as np

from qspx._random import KeyLike
from qspx.vpop.resampling import systematic


def spread_selection(weights: np.ndarray, values: np.ndarray, n: int, key: KeyLike) -> np.ndarray:
    """Numbers (n,) of the patients picked, each at most once where there are `n` with a weight: systematic resampling
    in the order of `halves`, so that neighbours in the outputs stand for each other. `weights` (patients,) that would
    pick somebody twice are cut.

    Distances of the marginals from the weighted ones fall like n^(-2/3) for three outputs, not n^(-1/2)."""
    order = halves(values)
    return order[systematic(at_most(weights, 1.0 / n)[order], n, key)]


def at_most(weights: np.ndarray, most: float) -> np.ndarray:
    """Shares nearest to `weights` / sum in entropy with none above `most`: what is cut goes to the others in
    proportion. Equal shares where there is no other way."""
    w = np.asarray(weights, float) / np.sum(weights)
    if np.count_nonzero(w) * most <= 1.0:
        return (w > 0) / np.count_nonzero(w)
    full = np.zeros(len(w), bool)
    while (over := ~full & (w > most)).any():
        full |= over
        w = np.where(full, most, w * (1.0 - most * full.sum()) / w[~full].sum())
    return w


def halves(values: np.ndarray) -> np.ndarray:
    """An order of points (n, M) in which neighbours are near to each other: split at the median of the first
    coordinate, each half at that of the second, and so on. Ranks only, so that units do not matter."""
    order, blocks = np.arange(len(values)), [(0, len(values), 0)]
    while blocks:
        a, b, axis = blocks.pop()
        if b - a > 2:
            part = order[a:b]
            order[a:b] = part[np.argsort(values[part, axis], kind="stable")]
            following = (axis + 1) % values.shape[1]
            blocks += [(a, (a + b) // 2, following), ((a + b) // 2, b, following)]
    return order
