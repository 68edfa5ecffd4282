"""MAPEL (Schmidt 2013, doi 10.1186/1471-2105-14-221): weights by axis and bin, fitted by p-values.

    w_i ∝ prod_a p[a, bin_a(i)],   minimise -2 Σ_k c_k log10(p_k + 1e-16)

An axis is a parameter that varies between patients, cut into bins of equally many patients. Few numbers describe all
weights, which says what kind of patient is common; the fit is limited by that. The shares of an axis are the squares of
a point on the unit sphere, given by its angles, so that they always sum to one. Random restarts give an ensemble of
populations, of which those with a large enough composite p-value are accepted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize

from qspx._random import KeyLike
from qspx.vpop.comparisons import FixedCount
from qspx.vpop.composite import GoodnessOfFit, comparisons
from qspx.vpop.designs import generator
from qspx.vpop.outputs import Outputs, PopulationError
from qspx.vpop.population import VirtualPopulation
from qspx.vpop.targets import AbstractTarget
from qspx.vpop.weighting import AbstractWeighting, Cloud, cloud_of


@dataclasses.dataclass(frozen=True)
class Mapel(AbstractWeighting):
    """MAPEL.

    Args:
        bins: per axis (2 in QSPToolbox, which cannot make both tails rarer).
        restarts: starts, the first from equal weights, the others at random.
        patients: number that the population counts for in the tests (fixed while optimising, as QSPToolbox advises).
        iterations: of the quasi-Newton search per start.
        accept: least composite p-value of a member of the ensemble.
        importance: c_k by label of the test (default: 1 each).

    `weigh` gives the start with the least objective; `ensemble` all that are accepted.
    """

    bins: int = 2
    restarts: int = 3
    patients: float = 200.0
    iterations: int = 60
    accept: float = 0.9
    importance: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.bins < 2 or self.restarts < 1 or self.iterations < 1 or not 1 < self.patients < np.inf:
            raise PopulationError(
                "MAPEL needs `bins` >= 2, `restarts` >= 1, `iterations` >= 1 and a finite number of `patients` > 1, "
                f"but they are {self.bins}, {self.restarts}, {self.iterations} and {self.patients}."
            )

    def weigh(self, cloud, key):
        best, *others = self._found(cloud, key)
        starts = [best[1]["composite_p"], *(about["composite_p"] for _, about in others)]
        return best[0], {**best[1], "starts": starts, "accepted": sum(p >= self.accept for p in starts)}

    def ensemble(
        self, outputs: Outputs, targets: Sequence[AbstractTarget], *, key: KeyLike
    ) -> tuple[VirtualPopulation, ...]:
        """The populations of all starts that are accepted, the best first; none where no start is."""
        cloud = cloud_of(outputs, targets)
        return tuple(
            VirtualPopulation(outputs, cloud.spread(w), tuple(targets), {"method": "Mapel", **about})
            for w, about in self._found(cloud, key)
            if about["composite_p"] >= self.accept
        )

    def _found(self, cloud: Cloud, key: KeyLike) -> list[tuple[np.ndarray, dict[str, Any]]]:
        """Weights of every start and what there is to say, the least objective first."""
        rng, tests = generator(key), comparisons(cloud.targets, cloud.outputs)
        theta = cloud.outputs.cohort.theta[cloud.usable]
        axes = np.flatnonzero(np.ptp(theta, axis=0) > 0)
        if not len(axes):
            raise PopulationError("no parameter varies between the patients, so MAPEL has no axis to weigh them by.")
        levels = np.arange(1, self.bins) / self.bins
        bin_of = np.stack([np.searchsorted(np.quantile(x, levels), x, side="right") for x in theta[:, axes].T])
        rows = np.arange(len(axes))[:, None]

        def weights(angles):
            logs = np.log(np.maximum(shares_at(angles.reshape(len(axes), -1)), 1e-30))
            scores = logs[rows, bin_of].sum(axis=0)
            w = np.exp(scores - scores.max())
            return w / w.sum()

        def fit(angles):
            return GoodnessOfFit.of(tests, weights(angles), FixedCount(self.patients), self.importance)

        def objective(angles):
            found = fit(angles)
            # a trace of pull towards equal weights where every test has given up
            even = (self.bins * shares_at(angles.reshape(len(axes), -1)) - 1) ** 2
            return float(-2 * found.importance @ np.log10(found.p_values + 1e-16) + 1e-3 * even.sum())

        equal = angles_of(np.full((len(axes), self.bins), 1 / self.bins))
        others = [angles_of(rng.dirichlet(np.ones(self.bins), len(axes))) for _ in range(self.restarts - 1)]
        limits = [(0.0, np.pi / 2)] * equal.size
        options = {"maxiter": self.iterations}
        runs = [
            minimize(objective, start.ravel(), method="L-BFGS-B", bounds=limits, options=options)
            for start in (equal, *others)
        ]
        names = [list(cloud.outputs.cohort.model.parameters)[a] for a in axes]
        return [
            (weights(run.x), _about(fit(run.x), names, shares_at(run.x.reshape(len(axes), -1))))
            for run in sorted(runs, key=lambda r: r.fun)
        ]


def _about(fit: GoodnessOfFit, names: list[str], shares: np.ndarray) -> dict[str, Any]:
    return {
        "bin_weights": dict(zip(names, shares.tolist(), strict=True)),
        "p_values": {s.label: s.p for s in fit.statistics},
        "composite_p": fit.composite_p,
    }


def shares_at(angles: np.ndarray) -> np.ndarray:
    """Shares (axes, bins) at angles (axes, bins - 1) in [0, π/2]: p_b = cos² φ_b prod_{c<b} sin² φ_c, the last cosine
    being one."""
    last = np.ones((len(angles), 1))
    left = np.cumprod(np.concatenate([last, np.sin(angles) ** 2], axis=1), axis=1)
    return left * np.concatenate([np.cos(angles) ** 2, last], axis=1)


def angles_of(shares: np.ndarray) -> np.ndarray:
    """Inverse of `shares_at`."""
    left = np.cumsum(shares[:, ::-1], axis=1)[:, ::-1]  # of this bin and those after it
    return np.arctan2(np.sqrt(left[:, 1:]), np.sqrt(shares[:, :-1]))
