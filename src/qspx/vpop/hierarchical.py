"""Hierarchical Bayes: the law of patients, inferred from measurements of individual people.

    y_i = g(theta_i) + noise,   theta_i = prior transform of mu + L zeta_i,   zeta_i ~ N(0, I)

mu, Omega = L L', the individuals and, if asked, the noise are drawn together by the No-U-Turn Sampler, with gradients
through the simulator and everybody simulated in one batch; new patients are then drawn from the law. Priors and
coordinates are in `hierarchical_density`. The scale of the law is that of the prior's normal scores: no patient leaves
the prior's bounds, and parameters need not be positive; under a log-normal prior it is the logarithm. The coordinates
are non-centred, which suits few or noisy measurements per person; precise ones make trajectories long.

It tells that something is wrong by R-hat, the effective sample size and divergences: a `ConvergenceWarning`, and
`details["verdict"]`.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import Any

import jax
import numpy as np

from qspx._random import KeyLike, as_key
from qspx.calibrate.nuts import ConvergenceWarning, check_chains, diagnosed, nuts, tree_of
from qspx.vpop.hierarchical_density import HierarchicalDensity, Law
from qspx.vpop.individuals import Individuals
from qspx.vpop.population_posterior import PopulationPosterior, quantities
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.sampler import AbstractSampler


@dataclasses.dataclass(frozen=True, eq=False)
class Hierarchical(AbstractSampler):
    """Patients of a law that is inferred from individuals (extra `bayes`).

    Args:
        people: their measurements. Targets of the problem play no part.
        spread: scale of the half-normal prior of the SD of the logarithm of a parameter between patients. Where a
            parameter may be zero or less: of its score, in SDs of its prior.
        eta: of the LKJ prior of correlations between parameters.
        of_people: True for draws of the measured people themselves, instead of new patients.
        draws, warmup: of each of `chains`.
        target_acceptance, depth: of the sampler; nearer to 1 for curved posteriors, 2^depth steps at most.
    """

    people: Individuals
    spread: float = 0.5
    eta: float = 2.0
    of_people: bool = False
    draws: int = 1000
    warmup: int = 500
    chains: int = 4
    target_acceptance: float = 0.9
    depth: int = 10

    def __post_init__(self):
        check_chains(self.chains, self.draws, self.warmup)

    def find(self, problem, n, key, evaluate):
        """Outside the bounds there may be some: the base marks them."""
        key_law, key_patients = jax.random.split(as_key(key))
        found = self.posterior(problem, key=key_law, progress=False)
        evaluate.evaluations += found.steps * len(self.people)
        details = {
            "verdict": found.verdict,
            "rhat": float(np.max(found.diagnostics["rhat"])),
            "ess": float(np.min(found.diagnostics["ess_bulk"])),
            "divergences": found.divergences,
            "gradients": found.steps * len(self.people),
            "law": found.to_dataframe().to_dict("list"),
        }
        if not found.converged:
            text = f"hierarchical population {found.verdict}. More draws and warm-up, or more informative priors."
            warnings.warn(text, ConvergenceWarning, 3)
        if not self.of_people:
            return found.new_patients(n, key_patients), details
        drawn, who = found.individuals(n, key_patients)
        return drawn, details | {"draw_of": who.tolist()}

    def posterior(
        self, problem: PopulationProblem, *, key: KeyLike, progress: bool | None = None
    ) -> PopulationPosterior:
        """The law and the individuals, whatever their convergence: see its `verdict`.

        Raises:
            ConfigError: without the extra `bayes`.
            PopulationError: if people, simulator and prior do not fit each other.
            CalibrationError: if no start is found where everybody's run succeeds.
        """
        density, laws = _compiled(problem, self.people, self.spread, self.eta)
        chains = nuts(
            density,
            density.dimensions,
            key=key,
            draws=self.draws,
            warmup=self.warmup,
            chains=self.chains,
            target_acceptance=self.target_acceptance,
            depth=self.depth,
            progress=progress,
            advice="A draw of the prior for each of the people must run: narrow the prior.",
        )
        law = Law(*(np.asarray(a) for a in laws(chains.x.reshape(-1, density.dimensions))))
        correlation = law.factor @ np.swapaxes(law.factor, 1, 2)
        by_chain = (self.chains, self.draws)
        of_law = {
            k: v.reshape(by_chain) for k, v in quantities(density, law.mean, law.sd, correlation, law.noise).items()
        }
        names = problem.prior.names
        of_people = {
            f"{name} of person {i}": law.scores[:, i, j].reshape(by_chain)
            for i in range(len(self.people))
            for j, name in enumerate(names)
        }
        tree = tree_of(of_law | {"scores": law.scores.reshape(*by_chain, len(self.people), len(names))}, chains)
        table = diagnosed(of_law | of_people)
        return PopulationPosterior(density, *law, tree, table, chains.divergences, chains.steps)


@functools.lru_cache(maxsize=4)
def _compiled(
    problem: PopulationProblem, people: Individuals, spread: float, eta: float
) -> tuple[HierarchicalDensity, Any]:
    """Density of a problem, and the laws at coordinates (draws, dimensions): compiled once, whatever the key."""
    density = HierarchicalDensity(problem, people, spread, eta)
    return density, jax.jit(jax.vmap(density.law))
