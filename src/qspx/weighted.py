"""Weighted quantiles that skip NaN and agree with `numpy.quantile` for equal weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qspx._errors import QspxError


def weighted_quantile(x, q: Sequence[float] | float, weights=None, axis: int = -1) -> np.ndarray:
    """Quantiles of `x` along `axis`, shape (q, ...) without that axis. NaN entries carry no weight.

    Linear interpolation between order statistics; from one to the next the position moves by half of the sum of their
    weights. For equal weights these are the positions (k - 1)/(n - 1) of `numpy.quantile`. Raises `QspxError` for a
    level outside [0, 1].
    """
    x = np.moveaxis(np.asarray(x, dtype=float), axis, -1)
    weights = np.ones(x.shape[-1]) if weights is None else np.asarray(weights, dtype=float)
    levels = np.atleast_1d(np.asarray(q, dtype=float))
    if not ((levels >= 0) & (levels <= 1)).all():
        raise QspxError(f"Argument `q` must hold levels from 0 to 1, but {levels} was given.")
    flat = x.reshape(-1, x.shape[-1])
    found = np.array([_one(row, levels, weights) for row in flat]).reshape(*x.shape[:-1], len(levels))
    found = np.moveaxis(found, -1, 0)
    return found if np.ndim(q) else np.asarray(found[0])


def _one(row: np.ndarray, levels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    keep = ~np.isnan(row) & (weights > 0)
    if not keep.any():
        return np.full(len(levels), np.nan)
    order = np.argsort(row[keep], kind="stable")
    value, w = row[keep][order], weights[keep][order]
    if len(value) == 1:
        return np.full(len(levels), value[0])
    # position of order statistic k: half of the weights of each pair of neighbours up to it
    between = np.concatenate([[0.0], np.cumsum(0.5 * (w[1:] + w[:-1]))])
    return np.interp(levels, between / between[-1], value)
