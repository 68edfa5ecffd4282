"""Metropolis-Hastings as in Rieger 2018 (doi 10.1016/j.pbiomolbio.2018.06.002).

From the typical patient (or, where he is implausible, the first plausible draw of the prior):
q = clip(p + (high - low)/10 U(-1, 1)); s is the target's density where every bound is kept, else nothing; accept when
U < s(q)/s(p). Moves are made in the unit cube of the prior, which for a box of uniform parameters is the published
walk. A parameter with another law, or a correlated one, has no wall to be clipped at: its moves are reflected, so that
without target and bounds the chain has the law of the prior.

A Metropolis chain would have the law prior x density of the target. Here only accepted moves are kept (not repeated on
rejection), so patients of low density come too often, and clipping piles patients up on the bounds of a box. Patients
are a chain: see `autocorrelation_size`, the number of independent ones that they are worth.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from scipy.special import ndtri

from qspx._random import as_key
from qspx.vpop.designs import Independent, generator
from qspx.vpop.diagnostics import chain_size, lag_one
from qspx.vpop.laws import the_law
from qspx.vpop.outputs import PopulationError
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.sampler import AbstractSampler, back_inside


@dataclasses.dataclass(frozen=True)
class Metropolis(AbstractSampler):
    """MH of Rieger 2018.

    Args:
        step: largest move, as a share of the range of each parameter (of the prior's patients, where it has no range).
        ahead: proposals simulated at once. The first accepted one is the next patient and the others are dropped,
            which is the same chain; only those up to it count as needed.
    """

    step: float = 0.1
    ahead: int = 16

    def find(self, problem, n, key, evaluate):
        rng = generator(key)
        law, drawn = the_law(problem.targets, "Metropolis needs").fitted, _drawn(problem)

        def log_s(places):
            values, _ = evaluate(np.asarray(drawn(ndtri(places))))
            inside = problem.plausibility.inside(evaluate.columns(values, problem.plausibility.names))
            density = law.log_density(evaluate.columns(values, law.names))
            return np.where(inside & (density > np.log(np.finfo(float).eps)), density, -np.inf)

        typical = problem.places(problem.model_theta[problem.columns].astype(float)[None])
        here = back_inside(typical, problem.boxed)[0]
        s, start = float(log_s(here[None])[0]), "typical patient"
        if not np.isfinite(s):
            draws = Independent().points(4096, problem.dimensions, jax.random.fold_in(as_key(key), 1))
            found = log_s(draws)
            if not np.isfinite(found).any():
                raise PopulationError("neither the typical patient nor one of 4096 draws of the prior is plausible.")
            first = int(np.argmax(np.isfinite(found)))
            here, s, start = draws[first], float(found[first]), "first plausible draw of the prior"
        chain, needed = np.empty((n, len(here))), 0
        have = 0
        while have < n:
            moves = rng.uniform(-1, 1, (self.ahead, len(here)))
            tried = back_inside(here + self.step * moves, problem.boxed)
            found = log_s(tried)
            accepted = np.flatnonzero(np.log(rng.random(self.ahead)) < found - s)
            needed += self.ahead if not len(accepted) else int(accepted[0]) + 1
            if len(accepted):
                here, s = tried[accepted[0]], float(found[accepted[0]])
                chain[have], have = here, have + 1
            if needed > 10_000 * n:
                raise PopulationError(f"only {have} of {needed} proposals were accepted.")
        return problem.quantiles(chain), {
            "start": start,
            "needed_evaluations": needed,
            "acceptance": n / needed,
            "autocorrelation_size": chain_size(chain),
            "lag_one": float(np.median(lag_one(chain))),
        }


@functools.lru_cache(maxsize=4)
def _drawn(problem: PopulationProblem) -> Any:
    """Parameters at normal scores, compiled once for a problem: a chain asks for a few at a time."""
    return jax.jit(problem.drawn)
