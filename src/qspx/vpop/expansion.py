"""Expansion, after QSPToolbox (Cheng 2017, doi 10.1208/s12248-017-0100-x): a small cloud grows where weight is wanted.

1. Fit weights with an effective number of patients of at least `floor`. 2. Where the composite p-value accepts them,
raise the floor. 3. Else simulate children of patients with much weight, and of those at the ends of outputs that do not
fit; keep the plausible ones that the remaining misfit asks for most; go to 1. Done when the floor is the number wanted.

The weights come from a convex programme (`DirectWeights`) instead of a particle swarm: a fit takes a moment. Children
are near their parents: many of them are worth fewer draws of the prior, which `diversity` shows.
"""

from __future__ import annotations

import abc
import dataclasses

import jax
import numpy as np

from qspx._random import KeyLike, as_key
from qspx._status import Ledger
from qspx.progress import report
from qspx.vpop.composite import GoodnessOfFit
from qspx.vpop.designs import AbstractDesign, LatinHypercube, generator
from qspx.vpop.diagnostics import effective_size
from qspx.vpop.outputs import Outputs, PopulationError
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.quadratic import DirectWeights
from qspx.vpop.sampler import AbstractSampler, Evaluator, back_inside, ledger_of, plausible_rows
from qspx.vpop.targets import stacked


class AbstractJitter(abc.ABC):
    """How children differ from their parents, in the unit cube of the prior's quantiles."""

    @abc.abstractmethod
    def moves(self, cloud: np.ndarray, parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """For the patients `cloud` (n, axes) and numbers `parents` (k,) of some, moves (k, axes)."""


@dataclasses.dataclass(frozen=True)
class AxisJitter(AbstractJitter):
    """Every axis for itself, normal with standard deviation `sd`."""

    sd: float = 0.05

    def moves(self, cloud, parents, rng):
        return self.sd * rng.standard_normal((len(parents), cloud.shape[1]))


@dataclasses.dataclass(frozen=True)
class LocalJitter(AbstractJitter):
    """Along the directions in which the `neighbours` nearest patients of the parent differ (local principal
    components), with `scale` of their spread: for plausible regions that are narrow and oblique."""

    neighbours: int = 20
    scale: float = 0.5

    def moves(self, cloud, parents, rng):
        found = np.empty((len(parents), cloud.shape[1]))
        for k, parent in enumerate(parents):
            near = cloud[np.argsort(((cloud - cloud[parent]) ** 2).sum(axis=1), kind="stable")[: self.neighbours]]
            # a random mixture of deviations has their covariance
            mixture = rng.standard_normal(len(near)) / np.sqrt(max(len(near) - 1, 1))
            found[k] = self.scale * mixture @ (near - near.mean(axis=0))
        return found


@dataclasses.dataclass(frozen=True)
class Expansion(AbstractSampler):
    """Grows a cloud of plausible patients until weights with an effective number of `n` fit the problem's targets
    (`n` of `sample`). Follow it with `DirectWeights(floor=n)`.

    Args:
        start: plausible patients of the prior to begin with; or patients that were found before, of whom the plausible
            ones are.
        floor: effective number of the first fit.
        step, growth: the next floor is the larger of floor + step and floor growth (QSPToolbox: 2 and 1).
        accept: composite p-value that accepts a fit.
        candidates: children simulated per iteration.
        new, per_parent: at most so many are kept of them, and of one parent.
        edges: outputs of tests with a smaller p-value get parents at both their ends.
        jitter: how children differ from parents.
        iterations: after which it ends anyway; `details["reached"]` says whether it came to `n`.
        design, at_most: of the draws of the prior, and how many at most.
        progress: None shows a bar on a terminal.

    `details["history"]`: one row per iteration with patients, floor, composite p and children kept.
    """

    start: int | Outputs = 200
    floor: float = 10.0
    step: float = 2.0
    growth: float = 1.25
    accept: float = 0.9
    candidates: int = 256
    new: int = 50
    per_parent: int = 2
    edges: float = 0.1
    jitter: AbstractJitter = AxisJitter()
    iterations: int = 200
    design: AbstractDesign = LatinHypercube()
    at_most: int = 1_000_000
    progress: bool | None = None

    def __post_init__(self):
        counts = {k: getattr(self, k) for k in ("candidates", "new", "per_parent", "iterations")}
        counts["start"] = self.start if isinstance(self.start, int) else len(self.start)
        if wrong := [k for k, v in counts.items() if v < 1]:
            raise PopulationError(f"Argument `{wrong[0]}` must be at least one, but is {counts[wrong[0]]}.")
        if not (self.floor > 1 and self.growth >= 1 and self.step >= 0 and self.step + self.growth > 1):
            raise PopulationError(
                "`floor` must be above one and rise, by `step` >= 0 or `growth` >= 1, but they are "
                f"{self.floor}, {self.step} and {self.growth}."
            )

    def find(self, problem, n, key, evaluate):
        if not problem.targets:
            raise PopulationError("an expansion needs targets: give the problem at least one.")
        grown = _Cloud(problem, key, evaluate)
        self._begin(grown, key)
        history, floor, children = [], min(self.floor, float(n)), 0
        with report("effective patients", n, show=self.progress) as reporter:
            for i in range(self.iterations):
                stream = jax.random.fold_in(as_key(key), i)
                weights, fit, accepted = self._fitted(grown, floor, stream)
                row = {"patients": len(grown.u), "floor": floor, "composite_p": fit.composite_p, "kept": 0}
                history.append(row)
                if accepted and floor >= n:
                    break
                if accepted:
                    higher = min(max(floor + self.step, floor * self.growth), float(n))
                    reporter.advance(int(higher) - int(floor))
                    floor = higher
                    continue
                tried, row["kept"] = self._grow(grown, weights, fit, generator(stream))
                children += tried
        reached = bool(accepted and floor >= n)
        return grown.drawn, {
            "ledger": grown.ledger,
            "reached": reached,
            "effective": effective_size(weights),
            "composite_p": fit.composite_p,
            "least_p": min(fit.statistics, key=lambda s: s.p).label,
            "children": children,
            "history": history,
        }

    def _begin(self, grown: _Cloud, key: KeyLike) -> None:
        if isinstance(self.start, Outputs):
            known = self.start.cohort.theta[self.start.usable][:, grown.problem.columns]
            _, u, values = grown.plausible(grown.problem.places(known))
            grown.add(u, values)
            if not len(u):
                raise PopulationError(f"none of the patients in `start` is plausible: {grown.ledger}.")
            return
        axes = grown.problem.dimensions
        for k in range(2**31):
            if len(grown.u) >= self.start:
                break
            if grown.ledger.total >= self.at_most:
                raise PopulationError(
                    f"{len(grown.u)} of {grown.ledger.total} draws were plausible, and {self.start} are wanted: "
                    f"{grown.ledger}."
                )
            stream = jax.random.fold_in(as_key(key), 2**31 - 1 - k)
            _, u, values = grown.plausible(self.design.points(4 * self.start, axes, stream))
            grown.add(u, values, most=self.start)

    def _fitted(self, grown: _Cloud, floor: float, key: KeyLike) -> tuple[np.ndarray, GoodnessOfFit, bool]:
        """Weights, their tests, and whether these accept them at the floor; equal weights while the patients are too
        few for it."""
        targets, enough = grown.problem.targets, len(grown.u) >= floor
        found = DirectWeights(min(floor, len(grown.u))).fit(grown.outputs, targets, key=key)
        fit = found.goodness_of_fit()
        return found.weights, fit, enough and fit.composite_p >= self.accept

    def _grow(
        self, grown: _Cloud, weights: np.ndarray, fit: GoodnessOfFit, rng: np.random.Generator
    ) -> tuple[int, int]:
        """Adds children; how many were simulated and how many kept."""
        many = max(1, self.candidates // (2 * self.per_parent))
        parents = np.concatenate([rng.choice(len(weights), many, p=weights), self._ends(grown, fit)])
        parents = np.resize(np.unique(parents), self.candidates)
        moved = grown.u[parents] + self.jitter.moves(grown.u, parents, rng)
        u = back_inside(moved, np.zeros(grown.problem.dimensions, bool))  # clipping would pile patients up on the walls
        usable, kept, values = grown.plausible(u)
        before = len(weights)
        everyone = grown.joined(kept, values)
        f = stacked(grown.problem.targets, everyone)
        variance = np.diag(f.covariance)
        slope = (weights @ f.matrix[:before] - f.target) / np.where(variance > 0, variance, 1e-4)
        wanted = -(f.matrix[before:] @ slope)
        chosen, of = [], dict.fromkeys(np.unique(parents).tolist(), 0)
        for k in np.argsort(-wanted, kind="stable"):
            parent = int(parents[usable][k])
            if of[parent] < self.per_parent and len(chosen) < self.new:
                of[parent] += 1
                chosen.append(k)
        grown.add(kept[chosen], values[chosen])
        return len(u), len(chosen)

    def _ends(self, grown: _Cloud, fit: GoodnessOfFit) -> np.ndarray:
        """Numbers of the two patients at either end of every output that does not fit."""
        outputs, tests = grown.outputs, iter(fit.statistics)
        found: list[int] = []
        for target in grown.problem.targets:
            values = outputs.columns(target.names)
            p = min(next(tests).p for _ in target.comparisons(values))
            if p < self.edges:
                order = np.argsort(values, axis=0, kind="stable")
                found += order[[0, 1, -2, -1]].ravel().tolist()
        return np.array(found, dtype=int)


class _Cloud:
    """The patients so far: `u` in the unit cube of the prior, shape (n, axes), and their outputs."""

    def __init__(self, problem: PopulationProblem, key: KeyLike, evaluate: Evaluator):
        self.problem, self.key, self.evaluate = problem, key, evaluate
        self.u, self.ledger = np.empty((0, problem.dimensions)), Ledger({})
        self.values = np.empty((0, len(problem.simulator.names)))

    @property
    def drawn(self) -> np.ndarray:
        return self.problem.quantiles(self.u)

    @property
    def outputs(self) -> Outputs:
        return self.joined(self.u[:0], self.values[:0])

    def joined(self, u: np.ndarray, values: np.ndarray) -> Outputs:
        """Those so far and some more."""
        drawn = self.problem.quantiles(np.concatenate([self.u, u]))
        cohort = self.problem.cohort(drawn, "expansion", self.key)
        return Outputs(cohort, self.problem.simulator.names, np.concatenate([self.values, values]))

    def plausible(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Simulates points (k, axes): which are plausible (k,), those points, and their outputs."""
        found = self.problem.simulate(self.problem.quantiles(u), "expansion", self.key)
        self.evaluate.evaluations += len(u)
        self.ledger = self.ledger + ledger_of(found)
        rows = plausible_rows(found)
        return rows, u[rows], found.values[rows]

    def add(self, u: np.ndarray, values: np.ndarray, most: int | None = None) -> None:
        """Up to `most` patients in all."""
        self.u, self.values = np.concatenate([self.u, u])[:most], np.concatenate([self.values, values])[:most]
