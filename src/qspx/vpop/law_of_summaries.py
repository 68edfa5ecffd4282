"""The log-normal law that published means, standard deviations and correlations give.

Of an output with mean m and SD s on the raw scale, the logarithm has variance ln(1 + s²/m²) and mean ln m - variance/2;
of two with correlation r, the covariance of the logarithms is ln(1 + r s1 s2 / (m1 m2)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from qspx.vpop.laws import LogNormalLaw
from qspx.vpop.outputs import PopulationError
from qspx.vpop.targets import AbstractTarget, Correlation, MeanSd

NEEDS = (
    "this method needs a density: one target that is a law (LogNormalLaw, NormalLaw, Rows), or a MeanSd of each output "
    "and a Correlation of each pair, which give a log-normal law"
)


def law_of_summaries(targets: Sequence[AbstractTarget]) -> LogNormalLaw:
    """From one `MeanSd` per output and one `Correlation` per pair; people: those of the smallest study. Raises
    `PopulationError` that names what is missing, and what a density does not come from."""
    if other := [f"{type(t).__name__} of {t.names}" for t in targets if not isinstance(t, MeanSd | Correlation)]:
        raise PopulationError(
            f"{NEEDS}. It cannot be had from {', '.join(other)}: leave it out, or use MaximumEntropy."
        )
    means = [t for t in targets if isinstance(t, MeanSd)]
    pairs = {frozenset(t.names): t for t in targets if isinstance(t, Correlation)}
    names = tuple(t.name for t in means)
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise PopulationError(f"{NEEDS}, but {twice} have several MeanSd. Give one each.")
    missing = [f'MeanSd("{n}", ...)' for n in sorted({n for p in pairs for n in p} - set(names))]
    missing += [f"Correlation{p}".replace("'", '"') for p in combinations(names, 2) if frozenset(p) not in pairs]
    if missing:
        raise PopulationError(f"{NEEDS}. Missing: {', '.join(missing)}.")
    law = [_of_logarithm(t) for t in means]
    place, covariance = {n: k for k, n in enumerate(names)}, np.diag([v for _, v in law])
    for pair, target in pairs.items():
        i, j = sorted(place[n] for n in pair)
        covariance[i, j] = covariance[j, i] = _covariance(target, covariance[i, i], covariance[j, j])
    sizes = [t.n for t in targets if isinstance(t, MeanSd | Correlation) and t.n is not None]
    if np.linalg.eigvalsh(covariance)[0] <= 0:
        raise PopulationError(
            f"the correlations of {names} contradict each other: no distribution has them all (least eigenvalue of the "
            f"covariance of logarithms {np.linalg.eigvalsh(covariance)[0]:.3g})."
        )
    return LogNormalLaw(names, np.array([m for m, _ in law]), covariance, int(min(sizes)) if sizes else None)


def _of_logarithm(target: MeanSd) -> tuple[float, float]:
    """Mean and variance."""
    if target.log:
        return target.mean, target.sd**2
    if not target.mean > 0:
        raise PopulationError(
            f"a log-normal law needs a positive mean, but that of `{target.name}` is {target.mean:g}. Give a NormalLaw "
            "of all outputs instead."
        )
    variance = math.log1p((target.sd / target.mean) ** 2)
    return math.log(target.mean) - variance / 2, variance


def _covariance(target: Correlation, first: float, second: float) -> float:
    """Of logarithms with variances `first` and `second`."""
    if target.log:
        return target.correlation * math.sqrt(first * second)
    least = target.correlation * math.sqrt(math.expm1(first) * math.expm1(second))
    if not least > -1:
        raise PopulationError(f"no log-normal law has a correlation of {target.correlation} of {target.names}.")
    return math.log1p(least)
