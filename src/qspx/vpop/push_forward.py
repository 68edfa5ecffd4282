"""A population as the image of a normal law: z = m + C e, e ~ N(0, I), fitted by gradients through the model.

    minimise  energy distance(g(z), data) + c1 mean(violation² + 0.2 violation) + c2 KL(N(m, C C') | N(0, I))

z are the normal scores of the parameters under the prior, g the standardised logarithms of the outputs. The energy
distance 2E|X-Y| - E|X-X'| - E|Y-Y'| needs no bandwidth (Székely and Rizzo 2013, doi 10.1016/j.jspi.2013.03.018). The
last term keeps patients as different as the prior lets them be. Patients are then drawn from the fitted law, and those
that are plausible kept; finish with maximum-entropy weights.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.special import ndtri

from qspx._random import as_key
from qspx._status import Ledger, Status
from qspx.vpop.designs import Sobol, generator
from qspx.vpop.laws import AbstractLaw, the_law
from qspx.vpop.outputs import PopulationError
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.sampler import AbstractSampler, ledger_of, plausible_rows


@dataclasses.dataclass(frozen=True)
class PushForward(AbstractSampler):
    """Gaussian push-forward.

    Args:
        steps, batch: of the fit: gradient steps, and patients per step.
        rate: of Adam, with cosine decay.
        plausible, prior: c1 and c2 above.
    """

    steps: int = 350
    batch: int = 256
    rate: float = 0.04
    plausible: float = 3.0
    prior: float = 0.002

    def find(self, problem, n, key, evaluate):
        one = the_law(problem.targets, "a push-forward needs")
        fitted, losses = self._fitted(problem, one, key)
        evaluate.evaluations += self.steps * self.batch
        kept, have, ledger = [], 0, Ledger({})
        for i in range(1000):
            e = ndtri(Sobol().points(max(1024, n), problem.dimensions, jax.random.fold_in(as_key(key), 10_000 + i)))
            drawn = np.asarray(problem.drawn(jnp.asarray(_moved(fitted, jnp.asarray(e)))))
            evaluate.evaluations += len(drawn)
            found = problem.plausibility.apply(problem.simulator(problem.cohort(drawn, "drawn", key)))
            ledger = ledger + ledger_of(found)
            kept.append(drawn[plausible_rows(found)])
            have += len(kept[-1])
            if have >= n:
                break
        rows = np.concatenate(kept)
        if not len(rows):
            raise PopulationError(f"no patient of the fitted law is plausible: {ledger}.")
        return rows[generator(key).permutation(len(rows))[:n]], {
            "ledger": ledger,
            "plausible_share": ledger.ok / ledger.total,
            "gradients": self.steps * self.batch,
            "loss": losses[-1],
        }

    def _fitted(self, problem, law, key):
        """m and the unconstrained C, and the loss at every step."""
        p, rng = problem.dimensions, generator(key)
        step, optimiser = _training(problem, law, self)
        at = {"m": jnp.zeros(p), "low": jnp.zeros((p, p)), "log_diagonal": jnp.zeros(p)}
        state, losses = optimiser.init(at), []
        for k in range(self.steps):
            e = ndtri(Sobol().points(self.batch, p, jax.random.fold_in(as_key(key), k)))
            people = law.draws(self.batch, rng)
            at, state, value = step(at, state, jnp.asarray(e), jnp.asarray(people))
            losses.append(float(value))
        return at, losses


@functools.lru_cache(maxsize=4)
def _training(problem: PopulationProblem, law: AbstractLaw, settings: PushForward) -> tuple[Any, Any]:
    """A gradient step, compiled once for a problem, whatever the key; and the optimiser."""
    p = problem.dimensions
    seen = np.array([problem.simulator.names.index(k) for k in law.names])
    bound = np.array([problem.simulator.names.index(k) for k in problem.plausibility.names], dtype=int)
    mean, sd = jnp.asarray(law.fitted.mean)[None], jnp.asarray(law.fitted.sd)[None]

    def loss(at, e, people):
        values, status = problem.simulator.traced(problem.theta(_moved(at, e)))
        solved = status == Status.OK
        safe = jnp.where(solved[:, None], values, 1.0)
        outside = problem.plausibility.violation(safe[:, bound]).sum(axis=1)
        positive = (safe[:, seen] > 0).all(axis=1)
        z = (jnp.log(jnp.where(safe[:, seen] > 0, safe[:, seen], 1.0)) - mean) / sd
        w = jnp.where(solved & positive, 1.0, 0.0)
        implausible = (jnp.where(solved, outside**2 + 0.2 * outside, 0.0)).sum() / jnp.maximum(solved.sum(), 1)
        factor = _factor(at)
        divergence = 0.5 * ((factor**2).sum() + (at["m"] ** 2).sum() - p) - jnp.log(jnp.diagonal(factor)).sum()
        return _energy(z, w, people) + settings.plausible * implausible + settings.prior * divergence

    optimiser = optax.chain(
        optax.clip_by_global_norm(5.0), optax.adam(optax.cosine_decay_schedule(settings.rate, settings.steps))
    )

    @jax.jit
    def step(at, state, e, people):
        value, slope = jax.value_and_grad(loss)(at, e, people)
        slope = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0.0), slope)
        change, state = optimiser.update(slope, state)
        return optax.apply_updates(at, change), state, value

    return step, optimiser


def _factor(at):
    return jnp.tril(at["low"], -1) + jnp.diag(jnp.exp(at["log_diagonal"]))


def _moved(at, e):
    return at["m"][None] + e @ _factor(at).T


def _energy(x, w, y):
    """Energy distance of weighted points x (n, M) and points y (m, M), unbiased for equal weights."""

    def far(a, b):
        # the root has no derivative at zero, where a point meets itself
        square = ((a[:, None] - b[None]) ** 2).sum(-1)
        return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)

    w = w / jnp.maximum(w.sum(), 1.0)
    own = w @ far(x, x) @ w / jnp.maximum(1 - (w**2).sum(), 1e-6)
    theirs = far(y, y).sum() / (len(y) * (len(y) - 1))
    return 2 * (w @ far(x, y)).mean() - own - theirs
