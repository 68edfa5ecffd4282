"""Draws from the posterior by the No-U-Turn Sampler of BlackJAX (extra `bayes`).

Hoffman & Gelman, J Mach Learn Res 15:1593 (2014); the warm-up is Stan's. The chains move in coordinates in which the
box is unbounded (a logit of each range, with its Jacobian in the density) and the Fisher information at `x` is the
identity, so that step sizes fit from the first step. Chains go together, so that their runs fill the lanes of a batch.

The density is likelihood times prior on the estimation scale; a prior that is a density of the parameter itself gets
the Jacobian of its scale. A parameter without a prior is uniform on its estimation scale within its bounds: that is a
choice, it matters where data are weak, and the result says so. A point where a run fails has density zero.

It tells that something is wrong by R-hat (rank-normalised, split: Vehtari et al., Bayesian Anal 16:667 (2021),
doi:10.1214/20-BA1221), the effective sample size, and divergences. Do not use draws whose `verdict` is not "converged".
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import CalibrationError, ConfigError
from qspx._random import KeyLike, as_key
from qspx.calibrate.draws import Draws
from qspx.calibrate.information import checked_point
from qspx.calibrate.lanes import in_lanes
from qspx.calibrate.objective import Objective
from qspx.calibrate.priors import has_prior, of_parameter
from qspx.progress import report

if TYPE_CHECKING:
    import pandas as pd

RHAT, ESS, DIVERGENT = 1.01, 400, 1e-3  # what counts as converged: below, above, below (share of draws)
_EDGE = 0.01  # of the range: a bound is felt where more than this share of draws lies so near to it
_BLOCK = 50  # draws between two reports of progress


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
        d, n = self.diagnostics, len(self.draws)
        worst = d.loc[d["rhat"].fillna(np.inf).idxmax()]
        least = d.loc[d["ess_bulk"].fillna(0.0).idxmin()]
        why = []
        if not worst["rhat"] < RHAT:
            why.append(f"R-hat of {worst['parameter']} is {worst['rhat']:.3f}, not below {RHAT}")
        if not least["ess_bulk"] > ESS:
            why.append(f"effective sample size of {least['parameter']} is {least['ess_bulk']:.0f}, not above {ESS}")
        if self.divergences > DIVERGENT * n:
            why.append(f"{self.divergences} of {n} trajectories diverged")
        return "not converged: " + "; ".join(why) if why else "converged"

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
    if chains < 2 or draws < 4 or warmup < 20:
        raise CalibrationError(
            f"Arguments `chains`, `draws` and `warmup` must be at least 2, 4 and 20, but {chains}, {draws} and "
            f"{warmup} were given: R-hat compares halves of several chains."
        )
    blackjax = _bayes()
    space = _Space.around(objective, x)
    log_density = space.log_density(objective)
    key_start, key_warmup, key_draws = jax.random.split(as_key(key), 3)
    start = _starts(log_density, key_start, chains, len(x))
    adapt = blackjax.window_adaptation(
        blackjax.nuts,
        log_density,
        target_acceptance_rate=target_acceptance,
        adaptation_info_fn=blackjax.adaptation.base.get_filter_adapt_info_fn(),
        max_num_doublings=depth,
    )
    kernel = blackjax.nuts.build_kernel()

    def one(state: Any, key: Any, step_size: Any, inverse_mass: Any) -> Any:
        state, info = kernel(key, state, log_density, step_size, inverse_mass, depth)
        steps = (info.is_divergent, info.acceptance_rate, info.energy, info.num_integration_steps)
        return state, (state.position, state.logdensity, *steps, info.num_trajectory_expansions)

    @jax.jit
    def block(states: Any, keys: Any, step_size: Any, inverse_mass: Any) -> Any:
        def chain(state: Any, keys: Any, step_size: Any, inverse_mass: Any) -> Any:
            return jax.lax.scan(lambda s, k: one(s, k, step_size, inverse_mass), state, keys)

        return jax.vmap(chain)(states, keys, step_size, inverse_mass)

    with report("posterior: draws", chains * (warmup + draws), show=progress) as bar:
        run = jax.jit(jax.vmap(lambda key, at: adapt.run(key, at, num_steps=warmup)[0]))
        (states, tuned) = run(jax.random.split(key_warmup, chains), start)
        jax.block_until_ready(states)
        bar.advance(chains * warmup)
        keys = jax.random.split(key_draws, (chains, -(-draws // _BLOCK) * _BLOCK))
        parts = []
        for first in range(0, draws, _BLOCK):
            now = keys[:, first : first + _BLOCK]
            states, found = block(states, now, tuned["step_size"], tuned["inverse_mass_matrix"])
            parts.append([np.asarray(a) for a in found])
            bar.advance(chains * min(_BLOCK, draws - first))
    columns = [np.concatenate(a, axis=1)[:, :draws] for a in zip(*parts, strict=True)]
    return _collected(objective, np.asarray(jax.vmap(jax.vmap(space.x_of))(columns[0])), columns[1:], chains, draws)


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


def _starts(log_density: Any, key: Any, chains: int, n: int) -> np.ndarray:
    """Points scattered as the normal approximation, all with a finite density, shape (chains, n)."""
    values = jax.jit(jax.vmap(log_density))
    found, spread = np.zeros((chains, n)), 1.0
    missing = np.ones(chains, bool)
    for _ in range(20):
        key, now = jax.random.split(key)
        tried = spread * np.asarray(jax.random.normal(now, (chains, n), dtype=float))
        good = missing & np.isfinite(np.asarray(values(tried)))
        found[good] = tried[good]
        missing &= ~good
        if not missing.any():
            return found
        spread *= 0.7
    raise CalibrationError(
        "no start for a chain was found around `x`: runs fail nearly everywhere near it. Look at "
        "`objective.predict(x).status` for points nearby, or narrow the bounds."
    )


def _collected(objective: Objective, x: np.ndarray, stats: list[np.ndarray], chains: int, draws: int) -> Posterior:
    import arviz_base
    import pandas as pd
    from arviz_stats import base

    names = ("lp", "diverging", "acceptance_rate", "energy", "n_steps", "tree_depth")
    values = np.asarray(objective.natural(x))
    tree = arviz_base.from_dict(
        {
            "posterior": {name: values[..., i] for i, name in enumerate(objective.names)},
            "sample_stats": dict(zip(names, stats, strict=True)),
        }
    )
    axes: dict[str, Any] = {"chain_axis": 0, "draw_axis": 1}
    whole: Any = base
    stats_of = whole.array_stats
    rows = [
        (
            name,
            float(stats_of.rhat(x[..., i], method="rank", **axes)),
            float(stats_of.ess(x[..., i], method="bulk", **axes)),
            float(stats_of.ess(x[..., i], method="tail", prob=0.9, **axes)),
        )
        for i, name in enumerate(objective.names)
    ]
    flat = Draws(objective, x.reshape(chains * draws, -1), f"posterior by NUTS, {chains} chains of {draws} draws")
    diagnostics = pd.DataFrame(rows, columns=["parameter", "rhat", "ess_bulk", "ess_tail"])
    return Posterior(flat, chains, tree, diagnostics, int(stats[1].sum()))


def _bayes() -> Any:
    try:
        import arviz_base  # noqa: F401
        import arviz_stats  # noqa: F401
        import blackjax
    except ImportError as e:
        raise ConfigError(
            f'sampling needs the extra `bayes` ({e.name} is missing): pip install "qspx[bayes]". Without it there are '
            "`laplace`, `profile` and the bootstrap."
        ) from e
    return blackjax
