"""From weights to patients of equal weight: systematic resampling."""

from __future__ import annotations

import numpy as np

from qspx._random import KeyLike
from qspx.vpop.designs import generator
from qspx.vpop.outputs import PopulationError
from qspx.vpop.targets import Features


def systematic(weights: np.ndarray, n: int, key: KeyLike) -> np.ndarray:
    """Numbers of the `n` patients picked, shape (n,), sorted. One random start, then equal steps along the cumulative
    weights: patient i comes floor(n w_i) or ceil(n w_i) times."""
    w = np.asarray(weights, float)
    if n < 1:
        raise PopulationError(f"Argument `n` must be at least one patient, but is {n}.")
    if not (np.all(np.isfinite(w)) and np.all(w >= 0) and w.sum() > 0):
        raise PopulationError(
            f"Argument `weights` must be finite numbers >= 0 with a positive sum, but reaches from {w.min():g} to "
            f"{w.max():g}."
        )
    edges = np.cumsum(w / w.sum())
    places = np.searchsorted(edges, (np.arange(n) + generator(key).random()) / n, side="right")
    return np.minimum(places, np.flatnonzero(w)[-1])


def misfit(features: Features, weights: np.ndarray) -> float:
    """Root mean square over features of (achieved - target), in units of its standard error and 0.02 together;
    `weights` (subjects,) sum to one. One is the difference that sampling of people explains."""
    error = np.sqrt(np.maximum(np.diag(features.covariance), 0.0) + 0.02**2)
    return float(np.sqrt(np.mean(((weights @ features.matrix - features.target) / error) ** 2)))
