"""The No-U-Turn Sampler of BlackJAX (extra `bayes`) for any log-density, and what tells whether its chains converged.

Hoffman & Gelman, J Mach Learn Res 15:1593 (2014); the warm-up is Stan's. Chains go side by side, so that the runs
behind their densities fill the lanes of a batch. R-hat is rank-normalised and split (Vehtari et al., Bayesian Anal
16:667 (2021), doi:10.1214/20-BA1221).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from qspx._errors import CalibrationError, ConfigError
from qspx._random import KeyLike, as_key
from qspx.progress import report

if TYPE_CHECKING:
    import pandas as pd

RHAT, ESS, DIVERGENT = 1.01, 400, 1e-3  # what counts as converged: below, above, below (share of draws)
_BLOCK = 50  # draws between two reports of progress
_STATS = ("lp", "diverging", "acceptance_rate", "energy", "n_steps", "tree_depth")


class ConvergenceWarning(UserWarning):
    """Draws are used whose chains have not converged; the text says what is wrong."""


@dataclasses.dataclass(frozen=True, eq=False)
class Chains:
    """Where the chains were.

    Args:
        x: shape (chains, draws, coordinates).
        stats: by name (lp, diverging, acceptance_rate, energy, n_steps, tree_depth), each (chains, draws).
        steps: gradients of all chains, warm-up included.
    """

    x: np.ndarray
    stats: Mapping[str, np.ndarray]
    steps: int

    @property
    def divergences(self) -> int:
        """Draws whose trajectory diverged."""
        return int(self.stats["diverging"].sum())


def check_chains(chains: int, draws: int, warmup: int) -> None:
    """Raise `CalibrationError` unless there are enough of each for the diagnostics."""
    if chains < 2 or draws < 4 or warmup < 20:
        raise CalibrationError(
            f"Arguments `chains`, `draws` and `warmup` must be at least 2, 4 and 20, but {chains}, {draws} and "
            f"{warmup} were given: R-hat compares halves of several chains."
        )


def nuts(
    log_density: Callable[[Any], Any],
    n: int,
    *,
    key: KeyLike,
    draws: int,
    warmup: int,
    chains: int,
    target_acceptance: float,
    depth: int,
    progress: bool | None,
    advice: str,
) -> Chains:
    """Chains of a log-density of `n` coordinates that is about as wide as a standard normal one; -inf is a point that
    cannot be. The same function object is compiled once.

    Raises:
        ConfigError: without the extra `bayes`.
        CalibrationError: if no point of finite density is found; `advice` ends its message.
    """
    blackjax = require_bayes()
    check_chains(chains, draws, warmup)
    key_start, key_warmup, key_draws = jax.random.split(as_key(key), 3)
    values, warm, block = _programs(blackjax, log_density, warmup, target_acceptance, depth)
    start = _scattered(values, key_start, chains, n, advice)
    with report("posterior: draws", chains * (warmup + draws), show=progress) as bar:
        (states, tuned), spent = warm(jax.random.split(key_warmup, chains), start)
        jax.block_until_ready(states)
        bar.advance(chains * warmup)
        keys = jax.random.split(key_draws, (chains, -(-draws // _BLOCK) * _BLOCK))
        parts = []
        for first in range(0, draws, _BLOCK):
            now = keys[:, first : first + _BLOCK]
            states, found = block(states, now, tuned["step_size"], tuned["inverse_mass_matrix"])
            parts.append([np.asarray(a) for a in found])
            bar.advance(chains * min(_BLOCK, draws - first))
    x, *stats = (np.concatenate(a, axis=1)[:, :draws] for a in zip(*parts, strict=True))
    named: dict[str, np.ndarray] = dict(zip(_STATS, stats, strict=True))
    return Chains(x, named, int(np.asarray(spent).sum()) + int(named["n_steps"].sum()))


@functools.lru_cache(maxsize=2)
def _programs(blackjax: Any, log_density: Any, warmup: int, target_acceptance: float, depth: int) -> tuple[Any, ...]:
    """Compiled: values of the density at points, warm-up of chains, a block of draws of chains."""
    adapt = blackjax.window_adaptation(
        blackjax.nuts,
        log_density,
        target_acceptance_rate=target_acceptance,
        adaptation_info_fn=blackjax.adaptation.base.get_filter_adapt_info_fn(info_keys={"num_integration_steps"}),
        max_num_doublings=depth,
    )
    kernel = blackjax.nuts.build_kernel()

    def warm(key: Any, at: Any) -> Any:
        tuned, history = adapt.run(key, at, num_steps=warmup)
        return tuned, history.info.num_integration_steps

    def one(state: Any, key: Any, step_size: Any, inverse_mass: Any) -> Any:
        state, info = kernel(key, state, log_density, step_size, inverse_mass, depth)
        steps = (info.is_divergent, info.acceptance_rate, info.energy, info.num_integration_steps)
        return state, (state.position, state.logdensity, *steps, info.num_trajectory_expansions)

    def block(states: Any, keys: Any, step_size: Any, inverse_mass: Any) -> Any:
        def chain(state: Any, keys: Any, step_size: Any, inverse_mass: Any) -> Any:
            return jax.lax.scan(lambda s, k: one(s, k, step_size, inverse_mass), state, keys)

        return jax.vmap(chain)(states, keys, step_size, inverse_mass)

    return jax.jit(jax.vmap(log_density)), jax.jit(jax.vmap(warm)), jax.jit(block)


def _scattered(values: Any, key: Any, chains: int, n: int, advice: str) -> np.ndarray:
    """Standard normal points, all with a finite density, shape (chains, n); nearer to zero where none is found."""
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
    raise CalibrationError(f"no start for a chain was found: runs fail nearly everywhere. {advice}")


def diagnosed(columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """One row per column of draws (chains, draws): parameter, rhat, ess_bulk, ess_tail."""
    import pandas as pd
    from arviz_stats import base

    whole: Any = base
    stats, axes = whole.array_stats, {"chain_axis": 0, "draw_axis": 1}
    rows = [
        (
            name,
            float(stats.rhat(x, method="rank", **axes)),
            float(stats.ess(x, method="bulk", **axes)),
            float(stats.ess(x, method="tail", prob=0.9, **axes)),
        )
        for name, x in columns.items()
    ]
    return pd.DataFrame(rows, columns=["parameter", "rhat", "ess_bulk", "ess_tail"])


def verdict(diagnostics: pd.DataFrame, draws: int, divergences: int) -> str:
    """ "converged", or "not converged: " and why; `diagnostics` as from `diagnosed`, `draws` of all chains."""
    worst = diagnostics.loc[diagnostics["rhat"].fillna(np.inf).idxmax()]
    least = diagnostics.loc[diagnostics["ess_bulk"].fillna(0.0).idxmin()]
    why = []
    if not worst["rhat"] < RHAT:
        why.append(f"R-hat of {worst['parameter']} is {worst['rhat']:.3f}, not below {RHAT}")
    if not least["ess_bulk"] > ESS:
        why.append(f"effective sample size of {least['parameter']} is {least['ess_bulk']:.0f}, not above {ESS}")
    if divergences > DIVERGENT * draws:
        why.append(f"{divergences} of {draws} trajectories diverged")
    return "not converged: " + "; ".join(why) if why else "converged"


def tree_of(posterior: Mapping[str, np.ndarray], chains: Chains) -> Any:
    """ArviZ DataTree with the groups `posterior` (given) and `sample_stats`."""
    import arviz_base

    return arviz_base.from_dict({"posterior": dict(posterior), "sample_stats": dict(chains.stats)})


def require_bayes() -> Any:
    """BlackJAX. Raises `ConfigError` without the extra `bayes`."""
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
