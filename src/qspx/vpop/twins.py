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
from qspx.vpop.resampling import systematic
from qspx.vpop.sampler import AbstractSampler
from qspx.vpop.twin_steps import steps_of


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
        law, rng = the_law(problem.targets, "twins need", linear=False), generator(key)
        order, wanted = _people(law, n, rng, key)
        lm = steps_of(problem, law.names, self)
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
