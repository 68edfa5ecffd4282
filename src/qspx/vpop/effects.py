"""What parameters do to the outputs of a population: partial rank correlations over the prior, and exact derivatives.

Partial rank correlation (Marino et al. 2008, doi 10.1016/j.jtbi.2008.04.011): the correlation of the ranks of a
parameter and an output after the ranks of all other parameters have been regressed out of both. From the inverse P of
the correlation matrix of all ranks,

    r_j = -P_jy / sqrt(P_jj P_yy),   t = r_j sqrt((n - 2 - k) / (1 - r_j²))

with k other parameters. The interval is by bootstrap of the patients, for the standard error of Fisher's z: the
textbook error 1/sqrt(n - k - 3) is too small where a model without noise makes strong correlations (coverage of 95 %
intervals at r = 0.98 and n = 500, measured on 300 samples: 75 %; by bootstrap 93 %). It measures monotonic dependence:
an output that rises and falls with a parameter has none, though it depends on it (see the Sobol' indices then).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata, t

from qspx._random import KeyLike
from qspx._status import Status
from qspx.steady_state import in_blocks
from qspx.vpop.designs import AbstractDesign, LatinHypercube, generator
from qspx.vpop.outputs import Outputs, PopulationError
from qspx.vpop.problem import PopulationProblem

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 200  # of the bootstrap: its standard error is known to 5 %


def rank_effects(
    problem: PopulationProblem,
    outputs: Sequence[str],
    n: int = 1000,
    *,
    key: KeyLike,
    design: AbstractDesign | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Partial rank correlations over the prior, from `n` draws (default: a Latin hypercube); plausible or not, so that
    bounds do not make correlations of their own. See `rank_effects_of` for the columns and what is raised."""
    drawn = problem.quantiles((design or LatinHypercube()).points(n, problem.dimensions, key))
    found = problem.simulator(problem.cohort(drawn, f"{n} of the prior", key))
    return rank_effects_of(found, tuple(problem.prior.names), outputs, key=key, level=level)


def rank_effects_of(
    found: Outputs, parameters: Sequence[str], outputs: Sequence[str], *, key: KeyLike, level: float = 0.95
) -> pd.DataFrame:
    """Partial rank correlations of patients that were simulated already, one row per output and parameter.

    Columns: output, parameter, `correlation`, its interval `low` and `high` at `level`, `p` (two-sided, of no
    correlation), how many patients were `used`, and how many `failed`: they have no outputs and are left out.

    Raises:
        PopulationError: if fewer than (parameters + 3) patients are usable, a parameter or output does not vary, or
            parameters determine each other.
    """
    import pandas as pd

    usable = found.usable
    n, others = int(usable.sum()), len(parameters) - 1
    failed = len(found) - n
    if n < len(parameters) + 3:
        raise PopulationError(
            f"{n} usable patients are too few for partial correlations of {len(parameters)} parameters: {found.ledger}."
        )
    model = found.cohort.model
    x = np.stack([found.cohort.theta[usable, model.parameter_index(k)] for k in parameters], axis=1)
    y = found.columns(tuple(outputs))[usable]
    for name, column in zip((*parameters, *outputs), [*x.T, *y.T], strict=True):
        if np.ptp(column) == 0:
            raise PopulationError(f"`{name}` is the same in all {n} usable patients, so nothing correlates with it.")
    ranks = rankdata(x, axis=0)
    if np.linalg.cond(np.corrcoef(ranks.T).reshape(len(parameters), -1)) > 1e12:
        raise PopulationError(
            f"the parameters {tuple(parameters)} determine each other, so that none can be told apart."
        )
    free = n - 2 - others
    rng, rows = generator(key), []
    resampled = [rng.integers(0, n, n) for _ in range(RESAMPLES)]
    for j, output in enumerate(outputs):
        together = np.column_stack([x, y[:, j]])
        r = _partial(together)
        z = np.arctanh(r)
        width = float(ndtri(0.5 + level / 2)) * np.std(np.arctanh([_partial(together[i]) for i in resampled]), axis=0)
        p = 2 * t.sf(np.abs(r) * np.sqrt(free / np.maximum(1 - r**2, 1e-300)), free)
        columns = (r, np.tanh(z - width), np.tanh(z + width), p)
        rows += [[output, k, *map(float, row), n, failed] for k, *row in zip(parameters, *columns, strict=True)]
    names = ["output", "parameter", "correlation", "low", "high", "p", "used", "failed"]
    return pd.DataFrame(rows, columns=names)


def _partial(columns: np.ndarray) -> np.ndarray:
    """Partial rank correlation of each column but the last with the last, shape (columns - 1,)."""
    correlation = np.corrcoef(rankdata(columns, axis=0).T)
    # where the last is a sum of the others exactly, its inverse is infinite and the partial correlations are ±1
    precision = np.linalg.inv(correlation + 1e-14 * np.eye(len(correlation)))
    r = -precision[:-1, -1] / np.sqrt(np.diag(precision)[:-1] * precision[-1, -1])
    return np.clip(r, -1 + 1e-15, 1 - 1e-15)


def local_effects(problem: PopulationProblem, outputs: Sequence[str], drawn: Any = None) -> pd.DataFrame:
    """Exact derivatives of outputs by the parameters of the prior, one row per output and parameter.

    Columns: `slope`, d output / d parameter; `elasticity`, d ln output / d ln parameter; `effect`, the change of the
    output per standard deviation of the parameter's normal score (so that parameters compare), and the mean of its
    size, `effect_absolute`; means over the patients that were `used`; those that `failed` have no derivative.

    Args:
        drawn: parameters (patients, drawn) where to look; default: the medians of the prior.

    Raises:
        PopulationError: if not one patient can be solved.
    """
    import pandas as pd

    columns = [problem.simulator.names.index(k) for k in _known(problem, outputs)]
    places = problem.columns
    medians = np.asarray(problem.drawn(jnp.zeros((1, problem.dimensions))))
    at = medians if drawn is None else np.asarray(drawn, float)
    if at.ndim != 2 or at.shape[1] != problem.dimensions:
        raise PopulationError(f"Argument `drawn` must have shape (patients, {problem.dimensions}), but has {at.shape}.")

    def looked(theta):
        look = lambda p: problem.simulator.traced(theta.at[:, places].set(p))  # noqa: E731
        p = theta[:, places]
        values, push, status = jax.linearize(look, p, has_aux=True)
        directions = jnp.broadcast_to(jnp.eye(p.shape[1])[:, None, :], (p.shape[1], *p.shape))
        return (
            values[:, jnp.array(columns)],
            jnp.moveaxis(jax.vmap(push)(directions), 0, 2)[:, jnp.array(columns)],
            status,
        )

    values, slopes, status = in_blocks(jax.jit(looked), np.asarray(problem.filled(jnp.asarray(at))), 1024)
    ok = (status == Status.OK) & np.isfinite(values).all(axis=1) & np.isfinite(slopes).all(axis=(1, 2))
    if not ok.any():
        raise PopulationError(f"not one of {len(at)} patients could be solved, so there is no derivative.")
    values, slopes, at, n = values[ok], slopes[ok], at[ok], int(ok.sum())
    elasticities = slopes * at[:, None, :] / np.where(values == 0, np.nan, values)[:, :, None]
    effects = slopes * _spread(problem, at)[:, None, :]
    rows = []
    for j, output in enumerate(outputs):
        for i, name in enumerate(problem.prior.names):
            means = [float(x[:, j, i].mean()) for x in (slopes, elasticities, effects, np.abs(effects))]
            rows.append([output, name, *means, n, len(ok) - n])
    names = ["output", "parameter", "slope", "elasticity", "effect", "effect_absolute", "used", "failed"]
    return pd.DataFrame(rows, columns=names)


def _known(problem: PopulationProblem, outputs: Sequence[str]) -> Sequence[str]:
    if unknown := [k for k in outputs if k not in problem.simulator.names]:
        raise PopulationError(f"the simulator does not compute {unknown}; it computes {problem.simulator.names}.")
    return outputs


def _spread(problem: PopulationProblem, at: np.ndarray) -> np.ndarray:
    """d parameter / d normal score of its own marginal distribution, shape (patients, drawn)."""
    found = []
    for j, marginal in enumerate(problem.prior.marginals.values()):
        z = jnp.clip(marginal.to_normal(jnp.asarray(at[:, j])), -7.0, 7.0)  # finite at the ends of a range
        found.append(np.asarray(jax.jvp(marginal.from_normal, (z,), (jnp.ones_like(z),))[1]))
    return np.stack(found, axis=1)
