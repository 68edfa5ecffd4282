"""Plausible patients by a genetic algorithm, as in Rieger 2018: score = violation - density of the target, plausible
below zero; population of 10,000 or more, at most 80 generations, near duplicates (1 %) removed.

The density peaks far above zero, so that it pays for violated bounds: look at `strictly_plausible`. Operators are those
that MATLAB's `ga` documents as its defaults: scores scaled by 1/sqrt(rank), stochastic universal selection, 5 % elite,
80 % scattered crossover, the rest mutated. Ours, for want of a published rule: the mutation is Gaussian with a standard
deviation of `spread` of the box, shrinking to nothing over the generations, and clipped; plausible candidates of all
generations are pooled, and it stops when there are enough.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from qspx.vpop.designs import generator
from qspx.vpop.laws import the_law
from qspx.vpop.outputs import PopulationError
from qspx.vpop.sampler import AbstractSampler, violation_score


@dataclasses.dataclass(frozen=True)
class Genetic(AbstractSampler):
    """GA of Rieger 2018.

    Args:
        population: least number of candidates.
        generations: at most.
        spread: of the first mutations, in ranges of the parameters.
        duplicate: candidates in one cell of this width (in ranges of the parameters) count once.
    """

    population: int = 10_000
    generations: int = 80
    spread: float = 0.5
    duplicate: float = 0.01

    def find(self, problem, n, key, evaluate):
        rng = generator(key)
        law = the_law(problem.targets, "the genetic algorithm needs").fitted
        low, high = problem.box.T
        size = max(n, self.population)

        def score(unit):
            values, _ = evaluate(low + (high - low) * unit)
            density = np.exp(law.log_density(evaluate.columns(values, law.names)))
            total = violation_score(problem, values) - density
            return np.where(np.isfinite(total), total, np.inf)

        unit = rng.random((size, len(low)))
        value = score(unit)
        pool = unit[self._distinct(unit, value)]
        generation = 0
        while len(pool) < n and generation < self.generations:
            generation += 1
            unit, value = self._next(unit, value, score, self.spread * (1 - generation / self.generations), rng)
            pool = np.concatenate([pool, unit[value < 0]])
            pool = pool[self._distinct(pool, np.full(len(pool), -1.0))]
        if not len(pool):
            raise PopulationError(f"no candidate was plausible after {generation} generations.")
        return low + (high - low) * pool, {"generations": generation}

    def _next(self, unit, value, score, sd: float, rng: np.random.Generator):
        """Candidates (size, drawn) and scores (size,) of the next generation."""
        size = len(unit)
        elite = max(1, int(0.05 * size))
        order = np.argsort(value, kind="stable")
        unit, value = unit[order], value[order]
        fitness = 1 / np.sqrt(np.arange(1, size + 1))
        parents = self._selected(fitness / fitness.sum(), 2 * size, rng)
        crossed = int(0.8 * (size - elite))
        a, b = unit[parents[:crossed]], unit[parents[crossed : 2 * crossed]]
        children = np.where(rng.random(a.shape) < 0.5, a, b)
        mutants = unit[parents[2 * crossed : 2 * crossed + size - elite - crossed]]
        mutants = np.clip(mutants + sd * rng.standard_normal(mutants.shape), 0, 1)
        new = np.concatenate([children, mutants])
        return np.concatenate([unit[:elite], new]), np.concatenate([value[:elite], score(new)])

    def _distinct(self, unit: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Numbers of the plausible candidates, without those near an earlier one."""
        good = np.flatnonzero(value < 0)
        _, first = np.unique(np.round(unit[good] / self.duplicate), axis=0, return_index=True)
        return good[np.sort(first)]

    @staticmethod
    def _selected(shares: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Stochastic universal selection, shuffled."""
        places = np.searchsorted(np.cumsum(shares), (np.arange(n) + rng.random()) / n)
        return rng.permutation(np.minimum(places, len(shares) - 1))
