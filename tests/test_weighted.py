"""Weighted quantiles against numpy and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qspx._errors import QspxError
from qspx.weighted import weighted_quantile

LEVELS = [0.0, 0.05, 0.3, 0.5, 0.77, 1.0]
X = np.random.default_rng(0).normal(size=(3, 11))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_equal_weights_are_numpy(axis):
    np.testing.assert_allclose(weighted_quantile(X, LEVELS, axis=axis), np.quantile(X, LEVELS, axis=axis), rtol=1e-12)
    weights = np.full(X.shape[axis], 0.2)
    np.testing.assert_allclose(weighted_quantile(X, 0.5, weights, axis=axis), np.median(X, axis=axis), rtol=1e-12)


def test_nan_is_ignored():
    x = X.copy()
    x[0, [2, 5]] = np.nan
    np.testing.assert_allclose(weighted_quantile(x, LEVELS, axis=1), np.nanquantile(x, LEVELS, axis=1), rtol=1e-12)
    assert np.isnan(weighted_quantile(np.full(4, np.nan), 0.5))
    assert weighted_quantile([np.nan, 3.0], 0.9) == 3.0


def test_weights_by_hand():
    """Weights 1, 1, 2 of values 0, 1, 3: positions 0, 1, 2.5 of 2.5."""
    assert weighted_quantile([3.0, 0.0, 1.0], [0.4, 0.7, 1.0], [2, 1, 1]) == pytest.approx([1.0, 2.0, 3.0])


def test_weight_zero_is_absence():
    x = np.array([5.0, 1.0, 9.0, 2.0, -100.0])
    assert weighted_quantile(x, 0.25, [1, 1, 1, 1, 0]) == np.quantile(x[:4], 0.25)


def test_shapes():
    x = np.zeros((2, 5, 7))
    assert weighted_quantile(x, [0.1, 0.5], axis=1).shape == (2, 2, 7)
    assert weighted_quantile(x, 0.5, axis=1).shape == (2, 7)


@pytest.mark.parametrize("q", [-0.1, 5, np.nan])
def test_levels_are_shares(q):
    with pytest.raises(QspxError, match="`q` must hold levels from 0 to 1"):
        weighted_quantile([1.0, 2.0], q)
