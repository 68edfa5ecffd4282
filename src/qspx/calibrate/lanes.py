"""Many points at once, in few compiled sizes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qspx.calibrate.objective import Evaluation

FEWEST, MOST = 8, 512  # rows of one call


def in_lanes(evaluate: Callable[..., Evaluation], *rows: np.ndarray) -> Evaluation:
    """`evaluate` of arrays that share their first axis, as numpy arrays.

    It is compiled for each number of rows, so these are filled up to a power of two with copies of the first.
    """
    n = len(rows[0])
    parts = []
    for first in range(0, n, MOST):
        part = [a[first : first + MOST] for a in rows]
        size = max(FEWEST, 1 << (len(part[0]) - 1).bit_length())
        filled = [np.concatenate([a, np.repeat(a[:1], size - len(a), axis=0)]) for a in part]
        found = evaluate(*filled)
        parts.append([np.asarray(a)[: len(part[0])] for a in found])
    return Evaluation(*(np.concatenate(a) for a in zip(*parts, strict=True)))
