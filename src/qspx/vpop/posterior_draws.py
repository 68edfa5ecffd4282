"""Patients that are draws of a fit's posterior: Laplace's approximation, NUTS, the bootstrap, or a fitted distribution.

Parameters that were estimated come from the draws, with all that ties them together; those that only the prior of the
problem names come from it, given the others where the prior correlates them (conditional Gaussian copula).

A fit to the data of one system knows that system: its draws are guesses at the same patient, and their spread is
uncertainty. A fitted distribution between patients (of a population fit) is their spread.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import QspxError, closest
from qspx._random import KeyLike, as_key
from qspx.calibrate.draws import Draws, of_model
from qspx.calibrate.laplace import Laplace
from qspx.calibrate.nuts import ConvergenceWarning
from qspx.calibrate.posterior import Posterior
from qspx.distributions import Joint
from qspx.distributions.copula import correlation_matrix
from qspx.model import AbstractModel
from qspx.units import conversion
from qspx.vpop.designs import generator
from qspx.vpop.outputs import PopulationError
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.sampler import AbstractSampler

FURTHEST = 8.2  # normal score of a value on the edge of the prior, where it would be infinite


class _Pool(NamedTuple):
    """Values (draws, names) of parameters, and what there is to say about them."""

    names: tuple[str, ...]
    values: np.ndarray
    about: dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class PosteriorDraws(AbstractSampler):
    """Patients of a posterior.

    Args:
        source: what `laplace`, `sample_posterior` or a bootstrap returned, draws of these, or a distribution
            (`Fit.distribution()`, a population fit), whose parameters are in the units of the problem's model.
        run: the run of the calibration whose parameters are meant, where runs differ.

    The prior of the problem must name every parameter of the model that was estimated; of it, only the bounds matter
    then. Units are converted where both models declare them.

    `details`: `origin`, parameters `of_fit` and `of_prior`, number of `distinct` draws (each comes once before any
    comes twice), how many draws were `outside` the prior by parameter, estimated values that are no parameters
    (`left_out`), constants that `differ` between calibration and problem (there, here), and the `verdict` of chains,
    which is also a `ConvergenceWarning` where they have not converged.
    """

    source: Draws | Posterior | Laplace | Joint
    run: int | None = None

    def __post_init__(self):
        if not isinstance(self.source, Draws | Posterior | Laplace | Joint):
            raise PopulationError(
                f"Argument `source` must hold draws or a distribution, but is a {type(self.source).__name__}; of a fit "
                "give `fit.laplace()`, `fit.distribution()`, or what `sample_posterior` or a bootstrap returned."
            )

    def find(self, problem, n, key, evaluate):
        """Raises `PopulationError` where names do not fit, or most draws lie outside the prior, and `QspxError` where
        units do not."""
        key_fit, key_pick, key_prior = jax.random.split(as_key(key), 3)
        pool = self._pool(problem, 4 * n, key_fit)
        _check_names(problem, pool.names)
        inside, outside = _inside(problem, pool)
        rng, rounds = generator(key_pick), -(-n // len(inside))
        picked = np.concatenate([rng.permutation(inside) for _ in range(rounds)])[:n]
        drawn = _completed(problem, pool.names, pool.values[picked], key_prior)
        return drawn, {
            **pool.about,
            "of_fit": list(pool.names),
            "of_prior": [name for name in problem.prior.names if name not in pool.names],
            "distinct": len(np.unique(picked)),
            "outside": outside,
        }

    def _pool(self, problem: PopulationProblem, at_most: int, key: KeyLike) -> _Pool:
        source = self.source
        if isinstance(source, Joint):
            values = np.asarray(source.sample(key, range(at_most)))
            return _Pool(source.names, values, {"origin": "a distribution"})
        about: dict[str, Any] = {}
        if isinstance(source, Posterior):
            about["verdict"] = source.verdict
            if not source.converged:
                warnings.warn(f"patients of a posterior {source.verdict}.", ConvergenceWarning, 4)
        draws = source.sample(key, at_most) if isinstance(source, Laplace) else source
        return _of_draws(problem, draws.draws if isinstance(draws, Posterior) else draws, self.run, about)


def _of_draws(problem: PopulationProblem, draws: Draws, run: int | None, about: dict[str, Any]) -> _Pool:
    """The parameters of the calibrated model among estimated values."""
    if not draws.ok.any():
        raise PopulationError(f"every one of {len(draws)} draws failed: {dict(draws.reasons)}.")
    row, fixed = of_model(draws.objective, run)
    theirs, ours = draws.objective.phases[-1].model, problem.simulator.model
    names = tuple(name for name, i in zip(theirs.parameters, row, strict=True) if i >= 0)
    for name in names:
        if name not in ours.parameters:
            raise PopulationError(
                f"`{name}` was estimated in {theirs.name}, but {ours.name} has no such parameter."
                f"{closest(name, ours.parameters)}"
            )
    factor = np.array([_factor(theirs, ours, name) for name in names])
    differ = {}
    for i, name in enumerate(theirs.parameters):
        if row[i] < 0 and name in ours.parameters and name not in problem.prior.names:
            here = float(problem.model_theta[ours.parameter_index(name)])
            there = float(fixed[i]) * _factor(theirs, ours, name)
            if not np.isclose(there, here, rtol=1e-9, atol=0.0):
                differ[name] = (there, here)
    used = set(row[row >= 0].tolist())
    about = {
        **about,
        "origin": draws.origin,
        "failed_draws": int((~draws.ok).sum()),
        "left_out": [name for i, name in enumerate(draws.names) if i not in used],
        "differ": differ,
    }
    return _Pool(names, draws.natural[draws.ok][:, row[row >= 0]] * factor[None], about)


def _factor(theirs: AbstractModel, ours: AbstractModel, name: str) -> float:
    """From the unit of a parameter in one model to that in another."""
    units = theirs.parameters[name].unit, ours.parameters[name].unit
    try:
        return 1.0 if units[0] == units[1] else float(conversion(*units))
    except QspxError as e:
        raise PopulationError(
            f"`{name}` is in {units[0]!r} in {theirs.name}, but in {units[1]!r} in {ours.name}: {e}"
        ) from e


def _check_names(problem: PopulationProblem, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in problem.prior.names:
            raise PopulationError(
                f"`{name}` has draws, but the prior of the problem does not name it, so that patients would keep its "
                f"typical value; it names {problem.prior.names}. Add it (its bounds matter only)."
                f"{closest(name, problem.prior.names)}"
            )


def _inside(problem: PopulationProblem, pool: _Pool) -> tuple[np.ndarray, dict[str, int]]:
    """Numbers of the draws that the prior allows, and how many it does not, by parameter."""
    possible = np.stack(
        [
            np.asarray(problem.prior.marginals[name].log_prob(jnp.asarray(pool.values[:, j]))) > -np.inf
            for j, name in enumerate(pool.names)
        ],
        axis=1,
    )
    outside = {name: int((~possible[:, j]).sum()) for j, name in enumerate(pool.names) if not possible[:, j].all()}
    inside = np.flatnonzero(possible.all(axis=1))
    if 2 * len(inside) < len(possible):
        worst = max(outside, key=lambda name: outside[name])
        j, (low, high) = pool.names.index(worst), problem.box[problem.prior.names.index(worst)]
        raise PopulationError(
            f"{len(possible) - len(inside)} of {len(possible)} draws lie outside the prior of the problem. `{worst}` "
            f"is drawn from {pool.values[:, j].min():.4g} to {pool.values[:, j].max():.4g}, but its prior allows "
            f"{low:.4g} to {high:.4g}: make bounds and units agree."
        )
    return inside, outside


def _completed(problem: PopulationProblem, names: tuple[str, ...], values: np.ndarray, key: KeyLike) -> np.ndarray:
    """Parameters (n, drawn) of the prior: those of `names` as given, the others drawn given these."""
    prior = problem.prior
    known = [prior.names.index(name) for name in names]
    free = [j for j in range(len(prior.names)) if j not in known]
    drawn = np.empty((len(values), len(prior.names)))
    drawn[:, known] = values
    if not free:
        return drawn
    marginals = list(prior.marginals.values())
    scores = [np.asarray(marginals[j].to_normal(jnp.asarray(values[:, i]))) for i, j in enumerate(known)]
    c = correlation_matrix(prior.names, prior.correlations)
    slope = np.linalg.solve(c[np.ix_(known, known)], c[np.ix_(known, free)])
    root = np.linalg.cholesky(c[np.ix_(free, free)] - c[np.ix_(free, known)] @ slope)
    mean = np.clip(np.stack(scores, axis=1), -FURTHEST, FURTHEST) @ slope
    z = mean + generator(key).standard_normal(mean.shape) @ root.T
    for i, j in enumerate(free):
        drawn[:, j] = np.asarray(marginals[j].from_normal(jnp.asarray(z[:, i])))
    return drawn
