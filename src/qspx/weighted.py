"""Weighted quantiles that skip NaN and agree with `numpy.quantile` for equal weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def weighted_quantile(x, q: Sequence[float] | float, weights=None, axis: int = -1) -> np.ndarray:
    """Quantiles of `x` along `axis`, shape (q, ...) without that axis. NaN entries carry no weight.

    Linear interpolation between order statistics at (S_k - w_k) / (S_n - w_k) positions; for equal weights these are
    the positions (k - 1)/(n - 1) of `numpy.quantile`.
    """
    x = np.moveaxis(np.asarray(x, dtype=float), axis, -1)
    weights = np.ones(x.shape[-1]) if weights is None else np.asarray(weights, dtype=float)
    levels = np.atleast_1d(np.asarray(q, dtype=float))
    flat = x.reshape(-1, x.shape[-1])
    found = np.array([_one(row, levels, weights) for row in flat]).reshape(*x.shape[:-1], len(levels))
    found = np.moveaxis(found, -1, 0)
    return found if np.ndim(q) else found[0]


def _one(row: np.ndarray, levels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    keep = ~np.isnan(row) & (weights > 0)
    if not keep.any():
        return np.full(len(levels), np.nan)
    order = np.argsort(row[keep], kind="stable")
    value, w = row[keep][order], weights[keep][order]
    if len(value) == 1:
        return np.full(len(levels), value[0])
    # position of order statistic k: weight below it, plus half of the neighbours' weights between
    between = np.concatenate([[0.0], np.cumsum(0.5 * (w[1:] + w[:-1]))])
    return np.interp(levels, between / between[-1], value)
