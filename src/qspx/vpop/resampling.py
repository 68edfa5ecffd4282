"""From weights to patients of equal weight: systematic resampling."""

from __future__ import annotations

import numpy as np

from qspx._random import KeyLike
from qspx.vpop.designs import generator
from qspx.vpop.outputs import PopulationError


def systematic(weights: np.ndarray, n: int, key: KeyLike) -> np.ndarray:
    """Numbers of the `n` patients picked, shape (n,), sorted. One random start, then equal steps along the cumulative
    weights: patient i comes floor(n w_i) or ceil(n w_i) times."""
    w = np.asarray(weights, float)
    if n < 1 or not (np.all(w >= 0) and w.sum() > 0):
        raise PopulationError(f"Argument `n` must be >= 1 and weights >= 0 with a positive sum, but n is {n}.")
    edges = np.cumsum(w / w.sum())
    places = np.searchsorted(edges, (np.arange(n) + generator(key).random()) / n, side="right")
    return np.minimum(places, np.flatnonzero(w)[-1])
