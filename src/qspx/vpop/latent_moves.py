"""Moves that make patients of a fitted law as different as the prior lets them be, at the same fit to the targets.

A fitted law is narrower than it need be. The population nearest to the prior among those that keep the bounds and have
the targets' features (E[a] = b) is

    p(z) ~ N(z; 0, I) 1[plausible] exp(a(g(z)) . lambda),

the prior reweighted by maximum entropy, but without weights: many chains walk, one from each patient of the fitted law,
and lambda follows: after each sweep the multipliers that would reweight the present patients to the targets are added,
times `gain` (stochastic approximation; Tieleman 2008, doi 10.1145/1390156.1390290). Chains walk in the coordinates e of
the fitted law, z = T(e), where plausible patients are near to normal: preconditioned Crank-Nicolson steps

    e' = mu + sqrt(1 - beta²) (e - mu) + beta L xi,   xi ~ N(0, I)

with the mean mu and covariance L L' of the present patients (Cotter 2013, doi 10.1214/13-STS421; maps as coordinates:
Parno and Marzouk 2018, doi 10.1137/17M1134640). No gradients, so that any target and any bound takes part.

Look at `acceptance` (0.1 to 0.4), and at `lag_correlation` of the parameters between the snapshots that are kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from qspx._random import KeyLike
from qspx._status import Ledger
from qspx.vpop.designs import generator
from qspx.vpop.laws import LogNormalLaw, Rows
from qspx.vpop.maximum_entropy import tilted
from qspx.vpop.outputs import PopulationError
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.push_forward_fit import Image, places
from qspx.vpop.sampler import ledger_of, plausible_rows
from qspx.vpop.spread_selection import spread_selection

WANTED = 0.25  # accepted moves
PER_BIN = 100  # of the patients that are chosen among


class Patients(NamedTuple):
    """Coordinates e (n, P), drawn parameters (n, drawn), log density of the prior in e (n,), and outputs beside theta
    (n, outputs + parameters); NaN outputs where a patient is not plausible."""

    e: np.ndarray
    drawn: np.ndarray
    prior: np.ndarray
    table: np.ndarray

    def where(self, yes: np.ndarray, other: Patients) -> Patients:
        """`other` where `yes`."""
        return Patients(
            *(np.where(yes.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in zip(self, other, strict=True))
        )

    def rows(self, picked: np.ndarray) -> Patients:
        return Patients(*(a[picked] for a in self))


def look(problem: PopulationProblem, image: Image, e: np.ndarray, key: KeyLike) -> tuple[Patients, np.ndarray, Ledger]:
    """Patients at standard normal `e` (n, P), who is plausible (n,), and the count of reasons."""
    z, volume = image.moved(e)
    drawn = np.asarray(problem.drawn(jnp.asarray(z)))
    found = problem.simulate(drawn, "drawn from a fitted law", key)
    table = np.concatenate([found.values, found.cohort.theta], axis=1)
    return Patients(e, drawn, volume - 0.5 * (z**2).sum(axis=1), table), plausible_rows(found), ledger_of(found)


@dataclasses.dataclass(frozen=True)
class LatentMoves:
    """Moves towards the prior.

    Args:
        sweeps: moves of every chain before any is kept.
        kept, apart: snapshots of all chains that are kept, and sweeps between them; the patients are chosen among them.
        chains: at least so many, or as many as patients are wanted.
        gain: share of the step of the multipliers that is taken after a sweep; half of it once snapshots are kept.
    """

    sweeps: int = 40
    kept: int = 4
    apart: int = 8
    chains: int = 400
    gain: float = 0.2

    def __post_init__(self):
        if min(self.sweeps, self.kept, self.apart, self.chains) < 1 or not 0 < self.gain <= 1:
            raise PopulationError(
                "LatentMoves needs `sweeps`, `kept`, `apart` and `chains` of at least 1 and `gain` in (0, 1], but has "
                f"{self.sweeps}, {self.kept}, {self.apart}, {self.chains} and {self.gain}."
            )

    def spread(
        self, problem: PopulationProblem, image: Image, at: Patients, n: int, key: KeyLike
    ) -> tuple[np.ndarray, Mapping[str, Any]]:
        """Drawn parameters (n, drawn) of `n` patients, each once, from chains that start at the plausible patients
        `at`; and what there is to say."""
        rng, size = generator(key), len(at.e)
        multipliers, beta, snapshots, ledger, accepted = 0.0, 0.5, [], Ledger({}), []
        for sweep in range(self.sweeps + self.kept * self.apart):
            mean, root = _reference(at.e)
            noise = rng.standard_normal(at.e.shape) @ root.T
            tried, fine, counts = look(problem, image, mean + np.sqrt(1 - beta**2) * (at.e - mean) + beta * noise, key)
            ledger = ledger + counts
            tried = at.where(fine, tried)
            before, after = np.split(_features(problem, np.concatenate([at.table, tried.table]))[0], 2)
            gain = tried.prior - at.prior + (after - before) @ np.broadcast_to(multipliers, before.shape[1])
            gain += _log_normal(at.e, mean, root) - _log_normal(tried.e, mean, root)
            yes = fine & (np.log(rng.random(size)) < gain)
            at = at.where(yes, tried)
            accepted.append(float(yes.mean()))
            beta = float(np.clip(beta * np.exp(0.3 * (accepted[-1] - WANTED)), 0.02, 1.0))
            keeping = sweep - self.sweeps + 1
            multipliers = multipliers + self.gain * (0.5 if keeping > 0 else 1.0) * _step(problem, at)
            if keeping > 0 and keeping % self.apart == 0:
                snapshots.append(at)
        pool = Patients(*(np.concatenate(parts) for parts in zip(*snapshots, strict=True)))
        matrix, target, covariance = _features(_in_finer_bins(problem, len(pool.e) // PER_BIN), pool.table)
        weights = tilted(matrix, target, covariance + 1e-6 * np.eye(len(target))).weights
        names = tuple(dict.fromkeys(name for t in problem.targets for name in t.names))
        picked = spread_selection(weights, pool.table[:, places(problem, names)], n, key)
        return pool.drawn[picked], {
            "moves_ledger": ledger,
            "acceptance": float(np.mean(accepted[self.sweeps :])),
            "lag_correlation": _lag_correlation(snapshots),
            "multiplier_norm": float(np.linalg.norm(multipliers)),
        }


def _reference(e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and root of the covariance of patients, drawn towards 0 and I where patients are few."""
    n, p = e.shape
    share = n / (n + 5.0 * p)
    covariance = share * np.cov(e.T).reshape(p, p) + (1 - share) * np.eye(p)
    return share * e.mean(axis=0), np.linalg.cholesky(covariance)


def _log_normal(e: np.ndarray, mean: np.ndarray, root: np.ndarray) -> np.ndarray:
    return -0.5 * (np.linalg.solve(root, (e - mean).T) ** 2).sum(axis=0)


def _features(problem: PopulationProblem, table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrix (n, K), target (K,) and covariance (K, K) of all targets."""
    parts = [t.features(table[:, places(problem, t.names)]) for t in problem.targets]
    sizes = np.cumsum([0, *(len(f.target) for f in parts)])
    covariance = np.zeros((sizes[-1], sizes[-1]))
    for f, a, b in zip(parts, sizes, sizes[1:], strict=False):
        covariance[a:b, a:b] = f.covariance
    return np.concatenate([f.matrix for f in parts], axis=1), np.concatenate([f.target for f in parts]), covariance


def _in_finer_bins(problem: PopulationProblem, bins: int) -> PopulationProblem:
    """The same problem, where targets that are distributions have `bins` bins if that is more than they have."""
    finer = [
        dataclasses.replace(t, bins=bins) if isinstance(t, LogNormalLaw | Rows) and 0 < t.bins < bins else t
        for t in problem.targets
    ]
    return dataclasses.replace(problem, targets=finer)


def _step(problem: PopulationProblem, at: Patients) -> np.ndarray:
    """Multipliers that reweight the patients to the targets, as far as the difference is more than chance among so many
    patients."""
    matrix, target, covariance = _features(problem, at.table)
    chance = (np.cov(matrix.T).reshape(covariance.shape) + np.eye(len(target))) / len(matrix)
    return np.clip(tilted(matrix, target, covariance + chance).multipliers, -3.0, 3.0)


def _lag_correlation(snapshots: list[Patients]) -> float:
    """Correlation of a coordinate of a chain between one snapshot and the next, mean over coordinates."""
    pairs = [
        np.corrcoef(a.e[:, j], b.e[:, j])[0, 1]
        for a, b in zip(snapshots, snapshots[1:], strict=False)
        for j in range(a.e.shape[1])
    ]
    return float(np.mean(pairs)) if pairs else float("nan")
