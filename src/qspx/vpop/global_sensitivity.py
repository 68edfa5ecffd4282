"""Which parameters the outputs depend on over the whole prior: Sobol' indices and Morris' elementary effects.

Both through SALib (extra `gsa`), on the unit cube of the prior's quantiles, so that any marginal distribution will do.
Partial rank correlations and local derivatives are in `effects.py`.

Patients of the design that cannot be solved are never dropped in silence: without leave (`failing`) they are an error,
and with it the blocks that they are in are left out and counted. The indices are then those of the part of the prior
that can be solved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._random import KeyLike
from qspx.vpop.designs import generator
from qspx.vpop.outputs import PopulationError
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.sampler import Evaluator

if TYPE_CHECKING:
    import pandas as pd

_EDGE = 1e-12  # keeps quantiles of unbounded distributions finite


def _asked(problem: PopulationProblem) -> dict[str, Any]:
    if problem.prior.correlations:
        raise PopulationError("Sobol' and Morris indices need independent parameters, but the prior has correlations.")
    names = list(problem.prior.names)
    return {"num_vars": len(names), "names": names, "bounds": [[0.0, 1.0]] * len(names)}


def _values(
    problem: PopulationProblem, points: np.ndarray, outputs: Sequence[str], block: int, failing: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Outputs (points, outputs); which points are in blocks of `block` that were all solved; how many failed."""
    evaluate = Evaluator(problem)
    values, _ = evaluate(problem.quantiles(np.clip(points, _EDGE, 1 - _EDGE)))
    found = evaluate.columns(values, tuple(outputs))
    ok = np.isfinite(found).all(axis=1)
    failed = int((~ok).sum())
    whole = np.asarray(ok.reshape(-1, block).all(axis=1))
    if failed > failing * len(points) or whole.sum() < 2:
        raise PopulationError(
            f"{failed} of {len(points)} patients of the design could not be solved, and {whole.sum()} of {len(whole)} "
            f"blocks of it hold none of them. Narrow the prior, allow a larger share by `failing` (now {failing:g}), "
            "or use `rank_effects`, which needs no blocks."
        )
    return found, np.repeat(whole, block), failed


def sobol_indices(
    problem: PopulationProblem, outputs: Sequence[str], n: int = 1024, *, key: KeyLike, failing: float = 0.0
) -> pd.DataFrame:
    """First-order and total Sobol' indices with 95 % half-widths (Saltelli 2010, doi 10.1016/j.cpc.2009.09.018); one
    row per output and parameter, with how many patients `failed` and how many of the n blocks were `left_out` for it.
    Costs n (parameters + 2) patients; `n` is best a power of two. `failing` is the share of patients that may fail.

    Raises:
        PopulationError: if the prior has correlations, or more patients of the design fail than may.
    """
    import pandas as pd
    from SALib.analyze import sobol as analyse  # type: ignore[import-not-found]
    from SALib.sample import sobol as design  # type: ignore[import-not-found]

    asked, seed = _asked(problem), int(generator(key).integers(2**31))
    points = design.sample(asked, n, calc_second_order=False, seed=seed)
    values, whole, failed = _values(problem, points, outputs, len(asked["names"]) + 2, failing)
    left_out, rows = int((~whole).sum()) // (len(asked["names"]) + 2), []
    for j, output in enumerate(outputs):
        found = analyse.analyze(asked, values[whole, j], calc_second_order=False, seed=seed)
        columns = [found[k] for k in ("S1", "S1_conf", "ST", "ST_conf")]
        for name, *r in zip(asked["names"], *columns, strict=True):
            rows.append([output, name, *map(float, r), failed, left_out])
    names = ["output", "parameter", "first", "first_width", "total", "total_width", "failed", "left_out"]
    return pd.DataFrame(rows, columns=names)


def morris_effects(
    problem: PopulationProblem, outputs: Sequence[str], n: int = 50, *, key: KeyLike, failing: float = 0.0
) -> pd.DataFrame:
    """Elementary effects over `n` trajectories (Morris 1991; Campolongo 2007, doi 10.1016/j.envsoft.2006.10.004): mean,
    mean of the absolute value, and standard deviation; one row per output and parameter. An effect is the change of
    the output from the quantile 1/8 of the parameter to 7/8. Costs n (parameters + 1) patients; `failing`, `failed` and
    `left_out` (trajectories) as for `sobol_indices`.

    Raises:
        PopulationError: if the prior has correlations, or more patients of the design fail than may.
    """
    import pandas as pd
    from SALib.analyze import morris as analyse  # type: ignore[import-not-found]
    from SALib.sample import morris as design  # type: ignore[import-not-found]

    asked, seed = _asked(problem), int(generator(key).integers(2**31))
    points = design.sample(asked, n, num_levels=4, seed=seed)
    # the four levels are the middles of quarters: the ends of an unbounded distribution are infinitely far out
    values, whole, failed = _values(problem, 0.125 + 0.75 * points, outputs, len(asked["names"]) + 1, failing)
    left_out, rows = int((~whole).sum()) // (len(asked["names"]) + 1), []
    for j, output in enumerate(outputs):
        found = analyse.analyze(asked, points[whole], values[whole, j], num_levels=4, seed=seed)
        columns = [np.asarray(found[k], float) for k in ("mu", "mu_star", "sigma")]
        for name, *r in zip(asked["names"], *columns, strict=True):
            rows.append([output, name, *map(float, r), failed, left_out])
    return pd.DataFrame(rows, columns=["output", "parameter", "mean", "mean_absolute", "sd", "failed", "left_out"])
