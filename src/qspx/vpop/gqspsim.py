"""The equations of gQSPSim for prevalence weights, as published: for comparison (Hosseini 2020, doi 10.1002/psp4.12494;
gQSPSim_public 4c59680).

Each row of its table is one equation on the raw scale, X w = Y:

    MEAN: E[x] = mean;   STD, MEAN_STD: E[(x - mean)²] = SD², the mean of itself not being matched

and least squares with S = diag(0.1 |Y| + 1e-3). Shares f of bins are bands, |M w - f| <= 0.05 f, unless there is
nothing else: then they are the equations, with S = diag(0.05 |f| + 1e-3). A second step evens out: minimise |w|²
subject to |X w - (Y + err)| <= 2.5 % |Y|, err what step one has left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qspx.vpop.dual import DualSolution
from qspx.vpop.outputs import PopulationError
from qspx.vpop.programme import least_squares
from qspx.vpop.targets import AbstractTarget, Bins, Mean, MeanSd
from qspx.vpop.weighting import Cloud

SLACK = 1e-8  # of a share, or of a mean over its target


class Equations(NamedTuple):
    """`x` (subjects, K) with wanted means `y` (K,) and variances `s`; `members` (subjects, B) of bins with `shares`."""

    labels: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    s: np.ndarray
    members: np.ndarray
    shares: np.ndarray


def equations_of(cloud: Cloud) -> Equations:
    """Raises `PopulationError` for a target that its table has no row for."""
    rows = [_row(t, cloud) for t in cloud.targets if not isinstance(t, Bins)]
    found = [t.features(cloud.columns(t.names)) for t in cloud.targets if isinstance(t, Bins)]
    # a share of zero is a band without width, and says that nobody is there
    members = np.concatenate([np.empty((len(cloud), 0)), *(f.matrix for f in found)], axis=1)
    shares = np.concatenate([np.empty(0), *(f.target for f in found)])
    if not rows:
        labels = tuple(label for f in found for label in f.labels)
        none = np.empty((len(cloud), 0))
        return Equations(labels, members, shares, 0.05 * np.abs(shares) + 1e-3, none, np.empty(0))
    labels, columns, y = zip(*rows, strict=True)
    wanted = np.array(y)
    return Equations(labels, np.column_stack(columns), wanted, 0.1 * np.abs(wanted) + 1e-3, members, shares)


def _row(target: AbstractTarget, cloud: Cloud) -> tuple[str, np.ndarray, float]:
    if not isinstance(target, MeanSd | Mean):
        raise PopulationError(
            f"the table of gQSPSim has no row for a {type(target).__name__} of {target.names}; its equations need "
            "targets that are MeanSd, Mean, Bins or Quantiles. Leave `published` out for others."
        )
    if target.log:
        raise PopulationError(
            f"the equations of gQSPSim are on the raw scale, but the target of `{target.name}` is of its logarithm. "
            "Give mean and SD of the output itself, or leave `published` out."
        )
    x = cloud.columns(target.names)[:, 0]
    if isinstance(target, MeanSd):
        return f"{target.name}: second moment about the mean", (x - target.mean) ** 2, target.sd**2
    return f"{target.name}: mean", x, target.mean


def within_bands(
    x: np.ndarray, y: np.ndarray, s: np.ndarray, members: np.ndarray, bands: np.ndarray, epsilon: float, cap: float
) -> DualSolution:
    """`least_squares` subject to bands (B, 2) of the means of `members` (subjects, B). Every band is inside, or held at
    one of its ends: sets of held ends are tried until the multipliers of all have the right sign and no band is left.
    Not converged where none is found, as where the bands contradict each other."""
    held, root, done = np.zeros(members.shape[1], dtype=int), np.sqrt(s), False  # -1: at the lower end, 1: at the upper
    for _ in range(20 + 4 * len(held)):
        on = np.flatnonzero(held)
        ends = np.where(held[on] < 0, bands[on, 0], bands[on, 1])
        rows, wanted = np.column_stack([x / root, members[:, on]]), np.append(y / root, ends)
        found = least_squares(rows, wanted, np.repeat([1.0, 0.0], [len(y), len(on)]), epsilon, cap)
        mean, pull = found.weights @ members, np.zeros(len(held))
        pull[on] = found.multipliers[len(y) : len(y) + len(on)]  # above zero: the weights there are being raised
        after = np.where(held * pull > 0, 0, held)
        after[(held == 0) & (mean < bands[:, 0] - SLACK)] = -1
        after[(held == 0) & (mean > bands[:, 1] + SLACK)] = 1
        done, held = np.array_equal(after, held), after
        if done:
            break
    return dataclasses.replace(found, converged=found.converged and done)


def published_weights(
    cloud: Cloud, epsilon: float, cap: float, second_step: bool
) -> tuple[DualSolution, Sequence[str]]:
    """Weights by the equations, and what these are called."""
    e = equations_of(cloud)
    bands = np.stack([0.95 * e.shares, 1.05 * e.shares], axis=1)
    found = within_bands(e.x, e.y, e.s, e.members, bands, epsilon, cap)
    if second_step:
        achieved, width = e.x.T @ found.weights, 0.025 * np.abs(e.y)
        size = np.maximum(np.abs(e.y), 1e-300)
        all_bands = np.concatenate([np.stack([achieved - width, achieved + width], axis=1) / size[:, None], bands])
        nothing = np.empty((len(cloud), 0))
        members = np.concatenate([e.x / size, e.members], axis=1)
        second = within_bands(nothing, np.empty(0), np.empty(0), members, all_bands, 1.0, cap)
        found = dataclasses.replace(second, converged=second.converged and found.converged)
    return found, e.labels
