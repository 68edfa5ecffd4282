"""Twins: one virtual patient per real one, by randomising and then optimising.

    min over z:  1/2 |z - z0|² + 1/2 |(g(z) - y*) / sigma|² + 1/2 |kappa violation(z)|²,   z0 ~ N(0, I)

z are the normal scores of the parameters under the prior, g the logarithms of the outputs, y* those of a real patient
(or of a draw of the target). Levenberg-Marquardt steps for all patients at once, while sigma falls from 1 to 10^-2.5
and kappa grows from 3 to 1,000. A twin is accepted when every output is within 1 % of its patient's and every bound is
kept; otherwise y* stays and z0 is drawn anew, so that the law of the data is kept. Who is never reached is named.

A law may ask for patients that no parameters give (LDL above TC - HDL, say). Of a law's draws, those without a twin are
named; the others are re-weighted by maximum entropy to the features of the law, and drawn again by these weights:
whoever comes twice gets another twin, from another z0. So the mass that is out of reach is made up for by its reachable
neighbours, and the population needs next to no weights.

For a linear g this draws from the prior given y* exactly (Bardsley 2014, doi 10.1137/140964023); otherwise nearly so.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri

from qspx._random import KeyLike, as_key
from qspx._status import Ledger, Status
from qspx.vpop.designs import Sobol, generator
from qspx.vpop.laws import AbstractLaw, Rows, the_law
from qspx.vpop.maximum_entropy import MaximumEntropy
from qspx.vpop.outputs import Outputs, PopulationError
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.resampling import systematic
from qspx.vpop.sampler import AbstractSampler

BLOCK = 1024
SIZES = (64, 256, 1024)  # of what is compiled
MARGIN = 3e-3  # by which bounds are drawn in while optimising, in their widths: what a penalty gives way


@dataclasses.dataclass(frozen=True)
class Twins(AbstractSampler):
    """Twins.

    Args:
        steps, sharpening: Levenberg-Marquardt steps, and those over which sigma and kappa change.
        near: largest difference of the logarithm of an output.
        rounds: draws of z0 per patient before it is given up.
        longest: of a step, in normal scores.
    """

    steps: int = 40
    sharpening: int = 25
    near: float = 0.01
    rounds: int = 10
    longest: float = 2.0

    def find(self, problem, n, key, evaluate):
        """For `Rows`, the first `n` rows in an order drawn at random (each once, before any comes twice); where their
        values are rounded, a place in the interval. For another law, `n` of its draws, again drawn by weights where
        some have no twin: `details["unreached"]` and `["reached"]` are of the first draws, `["twin_of"]` says which of
        them a patient is the twin of, `["again"]` how many patients are further twins of a draw, `["lost"]` how many
        such were not reached."""
        law, rng = the_law(problem.targets, "twins need"), generator(key)
        order, wanted = _people(law, n, rng, key)
        lm = _steps(problem, law.names, self)
        found, values, rounds = self._reached(lm, law, wanted, key, evaluate)
        reached = np.isfinite(found).all(axis=1)
        if not reached.any():
            raise PopulationError(f"not one of {n} was reached in {len(rounds)} rounds; widen prior or bounds.")
        details = {"reached": float(reached.mean()), "reached_by_round": rounds, "unreached": order[~reached].tolist()}
        found, twin_of = found[reached], order[reached]
        if not isinstance(law, Rows) and not reached.all():
            place, share = _rematched(problem, law, found, values[reached], n, key)
            first = np.unique(place, return_index=True)[1]
            again = np.setdiff1d(np.arange(n), first)
            asked = wanted[reached][place[again]]
            others, *_ = self._reached(lm, law, asked, jax.random.fold_in(as_key(key), 0), evaluate)
            z = found[place]
            z[again] = others
            kept = np.isfinite(z).all(axis=1)
            found, twin_of = z[kept], twin_of[place][kept]
            details |= {"again": len(again), "lost": int((~kept).sum()), "reachable_effective_share": share}
        drawn = np.asarray(problem.drawn(jnp.asarray(found)))
        details |= {"jacobians": evaluate.evaluations, "twin_of": twin_of.tolist()}
        return drawn, details | {"missing": self._missing(n - len(drawn), len(rounds))}

    def _missing(self, n: int, rounds: int) -> Ledger:
        """Those who have no twin."""
        why = f"no twin within {self.near:.2g} of the logarithms that keeps the bounds, in {rounds} rounds"
        return Ledger({Status.NOT_REACHED: n}, {Status.NOT_REACHED: {why: n}} if n else {})

    def _reached(self, lm, law, wanted, key, evaluate):
        """Normal scores (n, P) of twins of outputs (n, M) and the outputs that they have, NaN where none was found;
        and how many were found in each round. For a law, whose draws may be out of reach, it ends with a round that
        finds nobody."""
        found, values = np.full((len(wanted), lm.problem.dimensions), np.nan), np.full(wanted.shape, np.nan)
        left, rounds = np.arange(len(wanted)), []
        while len(left) and len(rounds) < self.rounds and (isinstance(law, Rows) or rounds[-1:] != [0]):
            stream = generator(jax.random.fold_in(as_key(key), len(rounds) + 1))
            start = stream.standard_normal((len(left), lm.problem.dimensions))
            z, logs, good = lm.run(start, np.log(_unrounded(law, wanted[left], stream)))
            evaluate.evaluations += lm.evaluations
            found[left[good]], values[left[good]] = z[good], np.exp(logs[good])
            left = left[~good]
            rounds.append(int(good.sum()))
        return found, values, rounds


def _rematched(problem, law, found, values, n: int, key: KeyLike) -> tuple[np.ndarray, float]:
    """Which of the twins found (scores, and `values` of their outputs) come into a population of `n`, shape (n,), and
    the effective share of the weights that say so."""
    cohort = problem.cohort(np.asarray(problem.drawn(jnp.asarray(found))), "twins", key)
    vpop = MaximumEntropy(uncertain=False).fit(Outputs(cohort, law.names, values), [law], key=key)
    order = _neighbours(law.scores(values))
    picked = systematic(vpop.weights[order], n, jax.random.fold_in(as_key(key), 10_000))
    return order[picked], vpop.effective_size / len(found)


def _neighbours(z: np.ndarray) -> np.ndarray:
    """Numbers of points (n, M) in an order that keeps neighbours together: halves along the widest axis, and so on.
    Systematic resampling along it keeps the spread of the points in every direction."""

    def halves(rows: np.ndarray) -> list[np.ndarray]:
        if len(rows) < 2:
            return [rows]
        rows = rows[np.argsort(z[rows, np.ptp(z[rows], axis=0).argmax()], kind="stable")]
        return [*halves(rows[: len(rows) // 2]), *halves(rows[len(rows) // 2 :])]

    return np.concatenate(halves(np.arange(len(z))))


def _people(law: AbstractLaw, n: int, rng: np.random.Generator, key: KeyLike) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (n,) and outputs (n, M) of those who get a twin."""
    if isinstance(law, Rows):
        order = np.concatenate([rng.permutation(len(law.data)) for _ in range(-(-n // len(law.data)))])[:n]
        return order, law.data[order]
    z = ndtri(Sobol().points(n, len(law.names), key)) @ np.linalg.cholesky(law.correlation).T
    return np.arange(n), np.exp(law.fitted.mean + z * law.fitted.sd)


def _unrounded(law: AbstractLaw, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same, somewhere in the interval that was rounded."""
    width = law.rounding if isinstance(law, Rows) else 0.0
    return wanted + width * (rng.random(wanted.shape) - 0.5)


@functools.lru_cache(maxsize=4)
def _steps(problem: PopulationProblem, names: tuple[str, ...], settings: Twins) -> _LevenbergMarquardt:
    """Compiled once for a problem, whatever the key."""
    return _LevenbergMarquardt(problem, names, settings)


class _LevenbergMarquardt:
    """Steps of all patients of a problem."""

    def __init__(self, problem: PopulationProblem, names: tuple[str, ...], settings: Twins):
        self.problem, self.settings, self.evaluations = problem, settings, 0
        self._seen = np.array([problem.simulator.names.index(n) for n in names])
        self._bound = np.array([problem.simulator.names.index(n) for n in problem.plausibility.names], dtype=int)

    @functools.cached_property
    def _look(self) -> Any:
        """z (n, P) -> logs (n, M), violations (n, B), whether solved (n,), and derivatives (P, n, M), (P, n, B)."""

        def look(z):
            values, status = self.problem.simulator.traced(self.problem.theta(z))
            seen = values[:, self._seen]
            ok = (status == Status.OK) & (jnp.where(jnp.isfinite(seen), seen, -1.0) > 0).all(axis=1)
            safe = jnp.where(ok[:, None], values, 1.0)
            return (jnp.log(safe[:, self._seen]), self.problem.plausibility.violation(safe[:, self._bound], MARGIN)), ok

        def looked(z):
            (logs, outside), ok = look(z)
            directions = jnp.broadcast_to(jnp.eye(z.shape[1])[:, None, :], (z.shape[1], *z.shape))
            _, push, _ = jax.linearize(look, z, has_aux=True)
            d_logs, d_outside = jax.vmap(push)(directions)
            ok = ok & jnp.isfinite(d_logs).all((0, 2)) & jnp.isfinite(d_outside).all((0, 2))
            return logs, outside, ok, d_logs, d_outside

        return jax.jit(looked)

    @functools.cached_property
    def _step(self) -> Any:
        """Steps (n, P) from where everybody is."""

        def step(z, z0, wanted, seen, sigma, kappa, damping):
            logs, outside, _, d_logs, d_outside = seen
            a = jnp.concatenate([d_logs / sigma, d_outside * kappa], axis=2)  # (P, n, M + B)
            r = jnp.concatenate([(logs - wanted) / sigma, outside * kappa], axis=1)
            a = jnp.swapaxes(a, 0, 1)  # (n, P, residuals)
            normal = a @ jnp.swapaxes(a, 1, 2)
            normal = normal + (1.0 + damping)[:, None, None] * jnp.eye(z.shape[1])[None]
            slope = z - z0 + (a @ r[..., None])[..., 0]
            move = -jnp.linalg.solve(normal, slope[..., None])[..., 0]
            length = jnp.linalg.norm(move, axis=1, keepdims=True)
            return z + move * jnp.minimum(1.0, self.settings.longest / jnp.maximum(length, 1e-300))

        return jax.jit(step)

    def run(self, start: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, ...]:
        """Scores (n, P), logarithms of the outputs there (n, M), and which are good (n,)."""
        self.evaluations = 0
        parts = [self._block(start[i : i + BLOCK], wanted[i : i + BLOCK]) for i in range(0, len(start), BLOCK)]
        return tuple(np.concatenate(x) for x in zip(*parts, strict=True))

    def _block(self, start: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, ...]:
        s, n = self.settings, len(start)
        size = next(k for k in SIZES if k >= n)
        z0 = jnp.asarray(np.concatenate([start, np.repeat(start[-1:], size - n, axis=0)]))
        y = jnp.asarray(np.concatenate([wanted, np.repeat(wanted[-1:], size - n, axis=0)]))
        z, damping = z0, jnp.ones(size)
        seen = self._look(z)
        self.evaluations += n
        for k in range(s.steps):
            share = min(k / max(s.sharpening - 1, 1), 1.0)
            sigma, kappa = 10.0 ** (-2.5 * share), 3.0 * (1000.0 / 3.0) ** share
            tried = self._step(z, z0, y, seen, sigma, kappa, damping)
            there = self._look(tried)
            self.evaluations += n
            z, damping, seen = _kept(z, z0, y, seen, tried, there, sigma, kappa, damping)
        logs, outside, ok = (np.asarray(x)[:n] for x in seen[:3])
        # inside the bounds themselves
        good = ok & (np.abs(logs - wanted).max(axis=1) < s.near) & (outside.max(axis=1, initial=0.0) < MARGIN)
        return np.asarray(z)[:n], logs, good


@jax.jit
def _kept(z, z0, y, seen, tried, there, sigma, kappa, damping):
    """Whoever improves goes there, with less damping; the others stay, with more."""

    def misfit(z, seen):
        logs, outside, ok = seen[:3]
        total = ((z - z0) ** 2).sum(1) + (((logs - y) / sigma) ** 2).sum(1) + ((kappa * outside) ** 2).sum(1)
        return jnp.where(ok, total, jnp.inf)

    before, after = misfit(z, seen), misfit(tried, there)
    better = after < before
    # who has not been solved yet tries another place nearer to the middle of the prior
    lost = ~jnp.isfinite(before) & ~better
    by_patient = (better[:, None], better[:, None], better, better[None, :, None], better[None, :, None])
    seen = tuple(jnp.where(b, new, old) for b, new, old in zip(by_patient, there, seen, strict=True))
    z = jnp.where(better[:, None], tried, jnp.where(lost[:, None], 0.7 * z, z))
    return z, jnp.clip(damping * jnp.where(better, 0.3, 4.0), 1e-6, 1e8), seen
