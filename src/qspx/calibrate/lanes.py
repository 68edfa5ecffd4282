"""Many points at once, in few compiled sizes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qspx.calibrate.objective import Evaluation, Objective

_LANES, _MOST = 8, 512  # runs that fill a vector of the processor; points of one call


def in_lanes(
    objective: Objective,
    x: np.ndarray,
    value: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    evaluate: Callable[..., Evaluation] | None = None,
) -> Evaluation:
    """Evaluations at points `x` (n, estimated), as numpy arrays; with measured values and weights of their own, both
    (n, measurements), where these are given. `evaluate` stands for the objective's own evaluation of rows.

    Programs are compiled for a number of points, so these are filled up to a power of two with copies of the first, and
    to no fewer than keep the vectors of the processor busy.
    """
    rows = [x] if value is None or weight is None else [x, value, weight]
    if evaluate is None:
        evaluate = objective.evaluations if len(rows) == 1 else objective.resampled
    fewest = max(1, _LANES // len(objective.phases[-1].runs))
    parts = []
    for first in range(0, len(x), _MOST):
        part = [a[first : first + _MOST] for a in rows]
        size = max(fewest, 1 << (len(part[0]) - 1).bit_length())
        filled = [np.concatenate([a, np.repeat(a[:1], size - len(a), axis=0)]) for a in part]
        parts.append([np.asarray(a)[: len(part[0])] for a in evaluate(*filled)])
    return Evaluation(*(np.concatenate(a) for a in zip(*parts, strict=True)))
