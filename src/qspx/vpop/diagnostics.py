"""The same numbers for every population: how near the data, how many patients, how different they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import ks_2samp, rankdata

from qspx.vpop.laws import AbstractLaw

if TYPE_CHECKING:
    from qspx.vpop.problem import PopulationProblem

MOST_PATIENTS = 8000  # that energy distances are measured of
MOST_PEOPLE = 3000  # that energy distances and rank correlations are measured to
KS_MEAN = 0.8687  # mean of the Kolmogorov distribution, sqrt(pi / 2) ln 2


def effective_size(weights: np.ndarray) -> float:
    """(sum w)² / sum w² (Kish)."""
    w = np.asarray(weights, float)
    square = float((w**2).sum())
    return float(w.sum()) ** 2 / square if square > 0 else 0.0


def ks_distances(law: AbstractLaw, z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Kolmogorov-Smirnov distance per output between weighted scores `z` (subjects, M) and the target, shape (M,)."""
    w = np.asarray(weights, float) / np.sum(weights)
    found = np.empty(z.shape[1])
    for j in range(z.shape[1]):
        order = np.argsort(z[:, j], kind="stable")
        x = z[order, j]
        unique, first = np.unique(x, return_index=True)
        mass = np.add.reduceat(w[order], first)
        after = np.cumsum(mass)
        under, upto = law.shares_below(unique, j)
        # at a value, and just before it; a step of the target between two values is seen at the next value's `under`
        found[j] = max(np.abs(after - upto).max(), np.abs(after - mass - under).max())
    return found


def ks_noise_floor(size: float, outputs: int) -> float:
    """Expected sum of KS distances of an independent sample of `size` from the target itself."""
    return outputs * KS_MEAN / math.sqrt(size) if size > 0 else math.inf


def weighted_correlation(z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Shape (M, M); NaN for an output that does not vary."""
    w = weights / weights.sum()
    centred = z - w @ z
    covariance = (centred * w[:, None]).T @ centred
    sd = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        return covariance / np.outer(sd, sd)


def correlation_error(law: AbstractLaw, z: np.ndarray, weights: np.ndarray) -> float:
    """Largest difference of a correlation from the target's."""
    if z.shape[1] < 2:
        return 0.0
    off = np.triu_indices(z.shape[1], 1)
    return float(np.abs(weighted_correlation(z, weights) - law.correlation)[off].max())


def spearman_error(z: np.ndarray, weights: np.ndarray, people: np.ndarray) -> float:
    """The same for rank correlations, of patients and of people (n, M)."""
    if z.shape[1] < 2:
        return 0.0
    off = np.triu_indices(z.shape[1], 1)
    mine = weighted_correlation(_mid_shares(z, weights), weights)
    theirs = np.corrcoef(np.apply_along_axis(rankdata, 0, people).T)
    return float(np.abs(mine - theirs)[off].max())


def _mid_shares(z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted ranks: share below, plus half of the share at the value."""
    w, found = weights / weights.sum(), np.empty_like(z)
    for j in range(z.shape[1]):
        _, place = np.unique(z[:, j], return_inverse=True)
        mass = np.bincount(place, weights=w)
        found[:, j] = (np.cumsum(mass) - mass / 2)[place]
    return found


def energy_distance(x: np.ndarray, weights: np.ndarray, y: np.ndarray) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| between weighted points `x` (n, M) and points `y` (m, M), each a distribution
    as it stands: zero where they are the same, never negative. A sample is further away from what it was drawn from
    the smaller it is: see `energy_noise_floor`. Of more than 8,000 points of `x` every k-th is used."""
    x, w = _thinned(x, weights)
    v = np.full(len(y), 1 / len(y))
    # rounding may leave a difference of nothing below zero
    return max(2 * _mean_distance(x, w, y, v) - _mean_distance(x, w, x, w) - _mean_distance(y, v, y, v), 0.0)


def energy_noise_floor(weights: np.ndarray, y: np.ndarray) -> float:
    """Expected `energy_distance` of an independent sample with these weights from where the people `y` (m, M) were
    drawn: E|Y - Y'| (1/effective size + 1/m). Weights that were fitted to the people may be well below it."""
    _, w = _thinned(weights, weights)
    v, m = np.full(len(y), 1 / len(y)), len(y)
    return _mean_distance(y, v, y, v) * m / max(m - 1, 1) * (1 / effective_size(w) + 1 / m)


def _thinned(x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    every = -(-len(x) // MOST_PATIENTS)
    w = weights[::every]
    return x[::every], w / w.sum()


def _mean_distance(a: np.ndarray, u: np.ndarray, b: np.ndarray, v: np.ndarray, block: int = 1000) -> float:
    """Mean distance between weighted points, a block of rows at a time."""
    from scipy.spatial.distance import cdist

    return float(sum(u[i : i + block] @ (cdist(a[i : i + block], b) @ v) for i in range(0, len(a), block)))


def chain_size(chain: np.ndarray) -> float:
    """Independent draws that a chain (steps, columns) is worth, for its worst column: Geyer's initial monotone
    sequence (doi 10.1214/ss/1177011137)."""
    sizes = [_chain_size(chain[:, j]) for j in range(chain.shape[1])]
    return float(min(sizes)) if sizes else 0.0


def _chain_size(x: np.ndarray) -> float:
    n = len(x)
    centred = x - x.mean()
    if n < 4 or not centred.any():
        return float(n)
    spectrum = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    rho = np.fft.irfft(spectrum)[:n]
    rho = rho / rho[0]
    pairs = rho[0 : n - 1 : 2] + rho[1:n:2]
    stop = int(np.argmax(pairs <= 0)) if (pairs <= 0).any() else len(pairs)
    return float(n / max(2 * np.minimum.accumulate(pairs[:stop]).sum() - 1, 1 / n))


def lag_one(chain: np.ndarray) -> np.ndarray:
    """Lag-one autocorrelation of each column of a chain (steps, columns)."""
    c = chain - chain.mean(axis=0)
    return (c[1:] * c[:-1]).sum(axis=0) / np.maximum((c**2).sum(axis=0), 1e-300)


def diversity(problem: PopulationProblem, drawn: np.ndarray, weights: np.ndarray, most: int = 1000) -> dict[str, float]:
    """How different patients with parameters `drawn` (subjects, drawn) are from each other in the unit cube of the
    prior, taken from its centre. Its own patients are uniform there, whatever its laws and correlations; in a box of
    uniform parameters it is (theta - low)/(high - low) - 1/2.

    Pairwise cosine, median and 95 % (draws of the prior: 0.00 and 0.35 in 22 dimensions); mean SD of the coordinates
    over that of draws of the prior; share of parameters that have less than 1e-6 and 1e-3 of the prior between them and
    a bound (in a box: of the range), where there is one. Patients enter with their weights: cosines of at most `most`
    patients, resampled systematically."""
    unit = problem.places(drawn)
    w = weights / weights.sum()
    picked = np.searchsorted(np.cumsum(w), (np.arange(min(most, len(w))) + 0.5) / min(most, len(w)))
    centred = unit[np.minimum(picked, len(w) - 1)] - 0.5
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    cosines = (centred @ centred.T / np.maximum(norm * norm.T, 1e-300))[np.triu_indices(len(centred), 1)]
    mean = w @ unit
    sd = np.sqrt(w @ (unit - mean) ** 2)
    below, (low, high) = problem.margins(drawn), np.isfinite(problem.ends.T)
    to_bound = np.minimum(np.where(low, below, np.inf), np.where(high, 1 - below, np.inf))
    return {
        "cosine_median": float(np.median(cosines)) if len(cosines) else math.nan,
        "cosine_95": float(np.quantile(cosines, 0.95)) if len(cosines) else math.nan,
        "sd_ratio": float(sd.mean() * math.sqrt(12)),
        "on_bound": float((w @ (to_bound <= 1e-6)).mean()),
        "near_bound": float((w @ (to_bound <= 1e-3)).mean()),
    }


def law_distances(law: AbstractLaw, values: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """How far weighted outputs `values` (subjects, M), all finite, are from a distribution.

    `mean_error` and `sd_error` are the largest over outputs, of standardised logarithms: the mean in standard
    deviations of the people, and the standard deviation over theirs, less one. An output that is not positive has a
    logarithm of minus infinity: its KS distance is as it is, and all that needs the size of logarithms is infinite.
    `..._over_noise`: over what an independent sample of the same effective size is expected to have; about one for a
    sample, below one for weights that were fitted.
    """
    z, w = law.scores(values), weights / weights.sum()
    people = law.draws(min(MOST_PEOPLE, law.size), np.random.default_rng(0))
    white = np.linalg.inv(np.linalg.cholesky(law.correlation)).T
    ks = ks_distances(law, z, w)
    found = {**{f"ks_{n}": float(k) for n, k in zip(law.names, ks, strict=True)}, "ks_sum": float(ks.sum())}
    found["ks_over_noise"] = found["ks_sum"] / ks_noise_floor(effective_size(w), len(ks))
    if not np.isfinite(z).all():
        keys = ("energy", "energy_white", "energy_over_noise", "energy_white_over_noise", "mean_error", "sd_error")
        keys += ("correlation_error", "spearman_error")
        return found | dict.fromkeys(keys, math.inf)
    mean = w @ z
    for key, x, y in (("energy", z, people), ("energy_white", z @ white, people @ white)):
        found[key] = energy_distance(x, w, y)
        found[f"{key}_over_noise"] = found[key] / energy_noise_floor(w, y)
    return found | {
        "mean_error": float(np.abs(mean).max()),
        "sd_error": float(np.abs(np.sqrt(w @ (z - mean) ** 2) - 1).max()),
        "correlation_error": correlation_error(law, z, w),
        "spearman_error": spearman_error(z, w, people),
    }


def scores_of(law: AbstractLaw, values: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Fit to a distribution, for outputs `values` (subjects, M) of the patients with weights; and the level of energy
    distances between two halves of the people."""
    keep = weights > 0
    found = law_distances(law, values[keep], weights[keep])
    return found | {"energy_noise": split_noise(law, 4)["energy_noise"]}


def split_noise(law: AbstractLaw, splits: int = 20, most: int = 1000) -> dict[str, float]:
    """How far two halves of the people are from each other, over random splits: mean of the sum of KS distances, and of
    energy distances (`ks_noise`, `energy_noise`, `energy_white_noise`). Of at most `most` people."""
    rng = np.random.default_rng(0)
    people = law.draws(min(most, law.size), rng)
    white = np.linalg.inv(np.linalg.cholesky(law.correlation)).T
    half, found = len(people) // 2, []
    for _ in range(splits):
        mixed = people[rng.permutation(len(people))]
        a, b = mixed[:half], mixed[half:]
        ks = np.sum([np.asarray(ks_2samp(a[:, j], b[:, j], method="asymp"))[0] for j in range(people.shape[1])])
        energies = (energy_distance(x, np.ones(half), y) for x, y in ((a, b), (a @ white, b @ white)))
        found.append([ks, *energies])
    keys = ("ks_noise", "energy_noise", "energy_white_noise")
    return dict(zip(keys, np.mean(found, axis=0).tolist(), strict=True))
