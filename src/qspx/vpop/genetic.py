"""Plausible patients by a genetic algorithm, as in Rieger 2018 (doi 10.1016/j.pbiomolbio.2018.06.002).

Candidates are logarithms (base 10) of parameters; score = violation - density of the target, plausible below zero.
All plausible candidates of all generations are pooled, near duplicates taken out, until there are enough. The density
peaks far above zero, so that it pays for violated bounds: look at `strictly_plausible`.

Operators are the documented defaults of MATLAB's `ga` for a problem with bounds, which the published code uses: first
candidates uniform within the bounds, scores scaled by 1/sqrt(rank), stochastic uniform selection, 5 % elite, 80 %
scattered crossover, the rest mutated along feasible directions with an adaptive step. Two readings were settled by the
published patients themselves. The code draws first candidates uniformly in the parameters, but does not hand them to
`ga`: patients are uniform in the logarithm, and a parameter with lower bound zero (log: minus infinity) comes from
`decades` below its upper bound, and has no lower bound after that. And mutations are whole decades of one parameter:
the directions of mesh-adaptive direct search (Audet and Dennis 2006, doi 10.1137/040603371) at its coarsest mesh.

That is for a prior which is a box: independent uniform parameters that are not negative. Patients found then follow the
density of the target and the bounds, and no law of parameters. With any other prior candidates are points of its unit
cube, a mutation is half of the cube where it was a decade, and is reflected at the walls: first candidates are draws of
the prior with its correlations, and crossover and mutation alone keep them so. What moves them from it is the score.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial import KDTree

from qspx.vpop.designs import generator
from qspx.vpop.laws import the_law
from qspx.vpop.outputs import PopulationError
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.sampler import AbstractSampler, back_inside, violation_score

TRIES = 50  # directions that a mutant may try


@dataclasses.dataclass(frozen=True)
class Genetic(AbstractSampler):
    """GA of Rieger 2018.

    Args:
        population: least number of candidates.
        generations: at most (80 in the paper).
        decades: below its upper bound that a parameter without a positive lower bound is drawn from at first.
        duplicate: candidates of which no parameter differs by more than this share of its largest value count once.

    `details`: generations, and how many patients the pool held.
    """

    population: int = 10_000
    generations: int = 80
    decades: float = 20.0
    duplicate: float = 0.01

    def find(self, problem, n, key, evaluate):
        rng = generator(key)
        law = the_law(problem.targets, "the genetic algorithm needs").fitted
        low, high = problem.box.T
        space = _Box(low, high, self.decades) if problem.boxed.all() and (low >= 0).all() else _Cube(problem)
        size = max(n, self.population)

        def score(x):
            values, _ = evaluate(space.drawn(x))
            density = np.exp(law.log_density(evaluate.columns(values, law.names)))
            total = violation_score(problem, values) - density
            return np.where(np.isfinite(total), total, np.inf)

        x = space.first(rng.random((size, len(low))))
        value = score(x)
        pool, generation, step, best = space.drawn(x[value < 0]), 0, 1.0, value.min()
        while len(pool) < n and generation < self.generations:
            generation += 1
            x, value = self._next(x, value, score, space, step, rng)
            pool = _distinct(np.concatenate([pool, space.drawn(x[value < 0])]), self.duplicate)
            step = min(1.0, 4 * step) if value.min() < best else step / 4
            best = value.min()
        if not len(pool):
            raise PopulationError(f"no candidate was plausible after {generation} generations of {size}.")
        return pool, {"generations": generation}

    def _next(self, x, value, score, space, step: float, rng: np.random.Generator):
        """Candidates (size, drawn) and scores (size,) of the next generation."""
        size = len(x)
        elite = int(np.ceil(0.05 * size))
        order = np.argsort(value, kind="stable")
        x, value = x[order], value[order]
        fitness = 1 / np.sqrt(np.arange(1, size + 1))
        crossed = round(0.8 * (size - elite))
        mutated = size - elite - crossed
        parents = _selected(fitness / fitness.sum(), 2 * crossed + mutated, rng)
        a, b = x[parents[:crossed]], x[parents[crossed : 2 * crossed]]
        children = np.where(rng.random(a.shape) < 0.5, a, b)
        new = np.concatenate([children, space.mutants(x[parents[2 * crossed :]], step, rng)])
        return np.concatenate([x[:elite], new]), np.concatenate([value[:elite], score(new)])


class _Box:
    """Candidates are logarithms of parameters between `low` and `high`."""

    def __init__(self, low: np.ndarray, high: np.ndarray, decades: float):
        with np.errstate(divide="ignore"):
            self.bounds = np.log10(low), np.log10(high)
        self.decades = decades

    def first(self, u: np.ndarray) -> np.ndarray:
        low, high = self.bounds
        first = np.where(np.isfinite(low), low, high - self.decades)
        return first + (high - first) * u

    def drawn(self, x: np.ndarray) -> np.ndarray:
        return 10.0**x

    def mutants(self, x: np.ndarray, step: float, rng: np.random.Generator) -> np.ndarray:
        return mutants(x, self.bounds, step, rng)


class _Cube:
    """Candidates are points of the unit cube of the prior."""

    def __init__(self, problem: PopulationProblem):
        self.drawn = problem.quantiles

    def first(self, u: np.ndarray) -> np.ndarray:
        return back_inside(u, np.zeros(u.shape[1], bool))

    def mutants(self, x: np.ndarray, step: float, rng: np.random.Generator) -> np.ndarray:
        n, m = x.shape
        return back_inside(x + 0.5 * step * _directions(n, m, step, rng), np.zeros(m, bool))


def mutants(x: np.ndarray, bounds, step: float, rng: np.random.Generator) -> np.ndarray:
    """Each of `x` (n, drawn) moved along a random direction that keeps the bounds, taken `step` times; where none was
    found, not moved."""
    low, high = bounds
    moved, still = x.copy(), np.arange(len(x))
    for _ in range(TRIES):
        tried = x[still] + step * _directions(len(still), x.shape[1], step, rng)
        inside = ((tried >= low) & (tried <= high)).all(axis=1)
        moved[still[inside]] = tried[inside]
        still = still[~inside]
        if not len(still):
            break
    return moved


def _directions(n: int, m: int, step: float, rng: np.random.Generator) -> np.ndarray:
    """Shape (n, m): +-1/sqrt(step) at one parameter and integers below that in size at a random set of others (a column
    of a triangular matrix, rows and columns shuffled). Taken `step` times for step 1, one decade of one parameter."""
    reach = round(step**-0.5)
    rank = rng.random((n, m)).argsort(axis=1)
    after = rank > rng.integers(m, size=(n, 1))  # below the diagonal
    direction = np.where(after, rng.integers(1 - reach, reach, size=(n, m)), 0)
    direction[np.arange(n), rank.argmin(axis=1)] = reach * rng.choice([-1, 1], n)
    return direction


def _distinct(rows: np.ndarray, tolerance: float) -> np.ndarray:
    """Rows in lexicographic order, without those that are near an earlier one that was kept."""
    rows = rows[np.lexsort(rows.T[::-1])]
    tree = KDTree(rows / np.maximum(np.abs(rows).max(axis=0), 1e-300))
    keep = np.ones(len(rows), bool)
    pairs = tree.query_pairs(tolerance, p=np.inf, output_type="ndarray")
    for first, second in pairs[np.lexsort(pairs.T[::-1])]:
        keep[second] &= not keep[first]
    return rows[keep]


def _selected(shares: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Stochastic uniform selection, shuffled."""
    places = np.searchsorted(np.cumsum(shares), (np.arange(n) + rng.random()) / n)
    return rng.permutation(np.minimum(places, len(shares) - 1))
