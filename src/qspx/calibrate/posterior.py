"""Draws from the posterior by the No-U-Turn Sampler (`calibrate.nuts`, extra `bayes`).

The chains move in coordinates in which the box is unbounded (a logit of each range, with its Jacobian in the density)
and the Fisher information at `x` is the identity, so that step sizes fit from the first step.

The density is likelihood times prior on the estimation scale; a prior that is a density of the parameter itself gets
the Jacobian of its scale. A parameter without a prior is uniform on its estimation scale within its bounds: that is a
choice, it matters where data are weak, and the result says so. A point where a run fails has density zero.

It tells that something is wrong by R-hat, the effective sample size, and divergences. Do not use draws whose `verdict`
is not "converged".
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import CalibrationError
from qspx._random import KeyLike
from qspx.calibrate.draws import Draws
from qspx.calibrate.information import checked_point
from qspx.calibrate.lanes import in_lanes
from qspx.calibrate.nuts import check_chains, diagnosed, nuts, require_bayes, tree_of, verdict
from qspx.calibrate.objective import Objective
from qspx.calibrate.priors import has_prior, of_parameter

if TYPE_CHECKING:
    import pandas as pd

_EDGE = 0.01  # of the range: a bound is felt where more than this share of draws lies so near to it


@dataclasses.dataclass(frozen=True, eq=False)
class Posterior:
    """Draws from the posterior, chain after chain, with their diagnostics.

    Args:
        draws: all chains, shape (chains x draws, estimated).
        chains: number of chains.
        tree: ArviZ DataTree with the groups `posterior` (natural scale) and `sample_stats`.
        diagnostics: one row per parameter: parameter, rhat, ess_bulk, ess_tail.
        divergences: number of draws whose trajectory diverged.
    """

    draws: Draws
    chains: int
    tree: Any
    diagnostics: pd.DataFrame
    divergences: int

    @property
    def verdict(self) -> str:
        """ "converged", or "not converged: " and why."""
        return verdict(self.diagnostics, len(self.draws), self.divergences)

    @property
    def converged(self) -> bool:
        return self.verdict == "converged"

    @property
    def flat_priors(self) -> tuple[str, ...]:
        """Parameters without a prior: uniform on the estimation scale within their bounds."""
        objective = self.draws.objective
        return tuple(n for n, known in zip(objective.names, has_prior(objective), strict=True) if not known)

    @property
    def at_edge(self) -> tuple[str, ...]:
        """Parameters whose draws reach a bound: there the bound, not the data, is what limits them."""
        low, high = self.draws.objective.box.T
        share = (self.draws.x - low) / (high - low)
        felt = ((share < _EDGE).mean(axis=0) > 0.5 * _EDGE) | ((share > 1 - _EDGE).mean(axis=0) > 0.5 * _EDGE)
        return tuple(name for name, is_felt in zip(self.draws.names, felt, strict=True) if is_felt)

    def to_dataframe(self, level: float = 0.95) -> pd.DataFrame:
        """One row per parameter: parameter, median, mean, sd, low, high, rhat, ess_bulk, ess_tail."""
        return self.draws.to_dataframe(level).merge(self.diagnostics, on="parameter")

    def __str__(self) -> str:
        lines = [f"{self.draws.origin}: {self.verdict}"]
        if self.flat_priors:
            lines.append(
                f"NO PRIOR was given for {', '.join(self.flat_priors)}: taken as uniform on the estimation scale "
                "within the bounds."
            )
        if self.at_edge:
            lines.append(f"The bounds limit {', '.join(self.at_edge)}: other bounds would give other draws.")
        return "\n".join([*lines, self.to_dataframe().to_string(index=False)])


def sample_posterior(
    objective: Objective,
    x: np.ndarray,
    *,
    key: KeyLike,
    draws: int = 1000,
    warmup: int = 500,
    chains: int = 4,
    target_acceptance: float = 0.9,
    depth: int = 10,
    progress: bool | None = None,
) -> Posterior:
    """Draws from the posterior by NUTS.

    Args:
        objective: likelihood and priors.
        x: where chains begin around, best the optimum; estimation scale, shape (estimated,).
        key: jax key or integer seed.
        draws, warmup: of each chain.
        chains: number of chains; R-hat compares them.
        target_acceptance: of the step size; nearer to 1 for curved posteriors.
        depth: a trajectory has at most 2^depth steps.
        progress: None shows a bar on a terminal and a line every 30 s elsewhere; False is silent.

    Raises:
        ConfigError: without the extra `bayes`.
        CalibrationError: if a run fails at `x`, or an argument is out of range.
    """
    x = checked_point(objective, x)
    check_chains(chains, draws, warmup)
    require_bayes()
    space = _Space.around(objective, x)
    found = nuts(
        space.log_density(objective),
        len(x),
        key=key,
        draws=draws,
        warmup=warmup,
        chains=chains,
        target_acceptance=target_acceptance,
        depth=depth,
        progress=progress,
        advice="Look at `objective.predict(x).status` for points near `x`, or narrow the bounds.",
    )
    at = np.asarray(jax.vmap(jax.vmap(space.x_of))(found.x))
    values = np.asarray(objective.natural(at))
    tree = tree_of({name: values[..., i] for i, name in enumerate(objective.names)}, found)
    flat = Draws(objective, at.reshape(chains * draws, -1), f"posterior by NUTS, {chains} chains of {draws} draws")
    diagnostics = diagnosed({name: at[..., i] for i, name in enumerate(objective.names)})
    return Posterior(flat, chains, tree, diagnostics, found.divergences)


class _Space(NamedTuple):
    """Coordinates of the chains: x = low + width · sigmoid(centre + factor z), each (estimated,), factor lower
    triangular."""

    low: np.ndarray
    width: np.ndarray
    centre: np.ndarray
    factor: np.ndarray

    @classmethod
    def around(cls, objective: Objective, x: np.ndarray) -> _Space:
        low, high = objective.box.T
        width = high - low
        share = np.clip((x - low) / width, 1e-3, 1 - 1e-3)
        found = in_lanes(objective, (low + width * share)[None])
        if not bool(found.ok[0]):
            raise CalibrationError("Argument `x` must be a point where every run is solved; take the best of a fit.")
        slope = width * share * (1 - share)
        precision = np.asarray(found.information[0]) * np.outer(slope, slope)
        # the Jacobian's own curvature keeps directions that the data do not see finite
        precision = 0.5 * (precision + precision.T) + np.diag(2 * share * (1 - share))
        values, vectors = np.linalg.eigh(precision)
        covariance = (vectors / np.maximum(values, 1e-4)) @ vectors.T
        return cls(low, width, np.log(share) - np.log1p(-share), np.linalg.cholesky(covariance))

    def x_of(self, z: Any) -> Any:
        return self.low + self.width * jax.nn.sigmoid(self.centre + jnp.asarray(self.factor) @ z)

    def log_density(self, objective: Objective) -> Any:
        """Of z (estimated,), up to a constant; -inf, with gradient zero, where a run fails."""
        natural = of_parameter(objective)

        def log_density(z: Any) -> Any:
            u = self.centre + jnp.asarray(self.factor) @ z
            x = self.low + self.width * jax.nn.sigmoid(u)
            stretch = jnp.sum(jax.nn.log_sigmoid(u) + jax.nn.log_sigmoid(-u))
            if natural.any():
                slopes = jax.jvp(objective.natural, (x,), (jnp.ones_like(x),))[1]
                stretch = stretch + jnp.where(natural, jnp.log(slopes), 0.0).sum()
            found = objective.log_posterior(x) + stretch
            return jnp.where(jnp.isfinite(found), found, -jnp.inf)

        return log_density
