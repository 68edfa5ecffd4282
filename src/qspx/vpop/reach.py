"""Whether a population has what its targets ask for, feature by feature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qspx.vpop.targets import AbstractTarget, Features

OF_SD = 0.02  # differences that are let pass: of a moment, in standard deviations of the people,
OF_SHARE = 0.1  # of a share, as a share of it (of what is left to one, above a half),
LEAST, MOST = 0.001, 0.02  # which is not below nor above these
ROUNDING = 1e-9


def tolerance(features: Features) -> np.ndarray:
    """The difference from the target that is let pass beside its uncertainty, shape (features,). A feature that is 0 or
    1 for every patient is a share: a bin of 1 % may be off by a tenth of it, not by 2 %."""
    share = np.isin(features.matrix, (0.0, 1.0)).all(axis=0) & (features.target >= 0) & (features.target <= 1)
    rarer = np.minimum(features.target, 1 - features.target)
    return np.where(share, np.clip(OF_SHARE * rarer, LEAST, MOST), OF_SD)


def supported(features: Features) -> np.ndarray:
    """Whether the target lies within the range that the patients span, shape (features,): no weights reach beyond. A
    share that people have, and no patient, is not supported."""
    low, high = features.matrix.min(axis=0), features.matrix.max(axis=0)
    return (features.target >= low - ROUNDING) & (features.target <= high + ROUNDING)


def judged(targets: Sequence[AbstractTarget], values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Tolerance and support of all features, for the outputs `values` of each target, shape (patients, names), of the
    patients that have a weight."""
    looks = [look for t, v in zip(targets, values, strict=True) for look in t.looks(v)]
    return np.concatenate([tolerance(f) for f in looks]), np.concatenate([supported(f) for f in looks])
