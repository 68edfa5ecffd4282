"""The fit of a push-forward: gradient steps through the model, on batches of patients."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.special import ndtri

from qspx._random import KeyLike, as_key
from qspx._status import Status
from qspx.vpop.designs import Sobol, generator
from qspx.vpop.distances import AbstractDistance, SummaryDistance
from qspx.vpop.laws import AbstractLaw
from qspx.vpop.mismatches import mismatch
from qspx.vpop.outputs import PopulationError
from qspx.vpop.parameter_laws import AbstractParameterLaw
from qspx.vpop.problem import PopulationProblem


@dataclasses.dataclass(frozen=True)
class Training:
    """What a fit is made of; see `PushForward`."""

    law: AbstractParameterLaw
    distance: AbstractDistance
    summaries: SummaryDistance
    steps: int
    batch: int
    rate: float
    plausible: float
    prior: float

    def fit(self, problem: PopulationProblem, key: KeyLike) -> tuple[Image, np.ndarray]:
        """The fitted law, and the loss at every step, shape (steps,). Raises `PopulationError` for a problem without
        targets, or with one that has no differentiable form."""
        if not problem.targets:
            raise PopulationError("a push-forward needs at least one target, but the problem has none.")
        for target in problem.targets:
            if not isinstance(target, AbstractLaw):
                mismatch(target, jnp.ones((2, len(target.names))), jnp.ones(2))
        step, optimiser = _training(problem, self)
        at, rng = self.law.start(problem.dimensions, jax.random.fold_in(as_key(key), self.steps)), generator(key)
        state, losses = optimiser.init(at), np.empty(self.steps)
        for k in range(self.steps):
            stream = jax.random.fold_in(as_key(key), k)
            e = ndtri(Sobol().points(self.batch, problem.dimensions, stream))
            people = [jnp.asarray(t.draws(self.batch, rng)) for t in problem.targets if isinstance(t, AbstractLaw)]
            at, state, losses[k] = step(at, state, jnp.asarray(e), people, stream)
        return Image(self.law, at), losses


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """A fitted law: what `law` is at the arrays `at`."""

    law: AbstractParameterLaw
    at: Any

    def moved(self, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (n, P) and log changes of volume (n,) at standard normal `e` (n, P)."""
        z, volume = self._compiled(self.at, jnp.asarray(e))
        return np.asarray(z), np.asarray(volume)

    @functools.cached_property
    def _compiled(self) -> Any:
        return jax.jit(self.law.moved)

    def divergence(self, e: np.ndarray) -> float:
        """KL(law | prior), exact or estimated from standard normal `e` (n, P)."""
        z, volume = self.moved(e)
        return float(self.law.divergence(self.at, jnp.asarray(e), z, volume))


def places(problem: PopulationProblem, names: tuple[str, ...]) -> np.ndarray:
    """Columns of some outputs or parameters in [outputs, theta], shape (names,)."""
    have = (*problem.simulator.names, *problem.simulator.model.parameters)
    return np.array([have.index(n) for n in names], dtype=int)


@functools.lru_cache(maxsize=4)
def _training(problem: PopulationProblem, settings: Training) -> tuple[Any, Any]:
    """A gradient step, compiled once for a problem, whatever the key; and the optimiser."""
    bound = places(problem, problem.plausibility.names)
    columns = [places(problem, t.names) for t in problem.targets]

    def loss(at, e, people, key):
        z, volume = settings.law.moved(at, e)
        theta = problem.theta(z)
        values, status = problem.simulator.traced(theta)
        table = jnp.concatenate([values, theta], axis=1)
        # who was not solved, or has no finite number where one is looked at, has no say and no gradient
        looked = np.unique(np.concatenate([bound, *columns]))
        solved = (status == Status.OK) & jnp.isfinite(table[:, looked]).all(axis=1)
        table = jnp.where(solved[:, None], table, 1.0)
        outside = problem.plausibility.violation(table[:, bound]).sum(axis=1)
        far = settings.plausible * (jnp.where(solved, outside**2 + 0.2 * outside, 0.0)).sum()
        total = far / jnp.maximum(solved.sum(), 1) + settings.prior * settings.law.divergence(at, e, z, volume)
        clouds = iter(people)
        for target, at_columns in zip(problem.targets, columns, strict=True):
            seen = table[:, at_columns]
            if isinstance(target, AbstractLaw):
                positive = (seen > 0).all(axis=1) if target.logarithmic else jnp.ones(len(seen), bool)
                logs = jnp.log(jnp.where(seen > 0, seen, 1.0)) if target.logarithmic else seen
                scores = (logs - jnp.asarray(target.fitted.mean)[None]) / jnp.asarray(target.fitted.sd)[None]
                total += settings.distance.between(scores, 1.0 * (solved & positive), next(clouds), key)
            else:
                total += settings.summaries.of(target, seen, 1.0 * solved)
        return total

    optimiser = optax.chain(
        optax.clip_by_global_norm(5.0), optax.adam(optax.cosine_decay_schedule(settings.rate, settings.steps))
    )

    @jax.jit
    def step(at, state, e, people, key):
        value, slope = jax.value_and_grad(loss)(at, e, people, key)
        slope = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0.0), slope)
        change, state = optimiser.update(slope, state)
        return optax.apply_updates(at, change), state, value

    return step, optimiser
