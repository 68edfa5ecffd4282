"""MAPEL (Schmidt 2013, doi 10.1186/1471-2105-14-221): weights by axis and bin, fitted by a composite p-value.

    w_i ∝ prod_a p[a, bin_a(i)],   minimise -2 sum_k log10(p_k + 1e-16)

An axis is a parameter that varies between patients, cut into bins of equally many patients. Few numbers describe all
weights, which says what kind of patient is common; the fit is limited by that.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import minimize

from qspx.vpop.composite import composite_p, p_values
from qspx.vpop.designs import generator
from qspx.vpop.laws import Rows
from qspx.vpop.weighting import AbstractWeighting


@dataclasses.dataclass(frozen=True)
class Mapel(AbstractWeighting):
    """MAPEL.

    Args:
        bins: per axis (2 in QSPToolbox, which cannot make both tails rarer).
        restarts: random starts, of which the best is kept.
        patients: number that the population counts for in the tests (fixed while optimising, as QSPToolbox advises).
        iterations: of the quasi-Newton search per start.
    """

    bins: int = 2
    restarts: int = 3
    patients: float = 200.0
    iterations: int = 60

    def weigh(self, cloud, key):
        law, rng = cloud.law(), generator(key)
        z = law.scores(cloud.columns(law.names))
        theta = cloud.outputs.cohort.theta[cloud.usable]
        axes = np.flatnonzero(np.ptp(theta, axis=0) > 0)
        levels = np.arange(1, self.bins) / self.bins
        bin_of = np.stack([np.searchsorted(np.quantile(x, levels), x, side="right") for x in theta[:, axes].T])
        member = np.concatenate([(row[:, None] == np.arange(self.bins)).astype(float) for row in bin_of], axis=1)
        people = float(len(law.data) if isinstance(law, Rows) else law.fitted.n or self.patients)

        def weights(logits):
            scores = member @ logits
            w = np.exp(scores - scores.max())
            return w / w.sum()

        def misfit(logits):
            p = np.array(list(p_values(law, z, weights(logits), people, self.patients).values()))
            # a trace of pull towards equal weights where every test has given up
            return float(-2 * np.log10(p + 1e-16).sum() + 1e-3 * (logits**2).sum())

        starts = [np.zeros(member.shape[1]), *(rng.normal(0, 1, (self.restarts - 1, member.shape[1])))]
        runs = [minimize(misfit, s, method="L-BFGS-B", options={"maxiter": self.iterations}) for s in starts]
        best = min(runs, key=lambda r: r.fun)
        names = [list(cloud.outputs.cohort.model.parameters)[a] for a in axes]
        found = p_values(law, z, weights(best.x), people, self.patients)
        return weights(best.x), {
            "bin_weights": {n: _shares(x) for n, x in zip(names, best.x.reshape(-1, self.bins), strict=True)},
            "p_values": dict(found),
            "composite_p": composite_p(np.array(list(found.values()))),
        }


def _shares(logits: np.ndarray) -> list[float]:
    p = np.exp(logits - logits.max())
    return (p / p.sum()).tolist()
