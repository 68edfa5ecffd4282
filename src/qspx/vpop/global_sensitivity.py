"""Which parameters the outputs depend on over the whole prior: Sobol' indices and Morris' elementary effects.

Both through SALib (extra `gsa`), on the unit cube of the prior's quantiles, so that any marginal distribution will do.
Partial rank correlations of a cohort are in `qspx.sensitivity`; local derivatives come from jax.
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


def _values(problem: PopulationProblem, points: np.ndarray, outputs: Sequence[str]) -> np.ndarray:
    """Outputs (points, outputs). Raises where a patient failed: these designs cannot leave one out."""
    evaluate = Evaluator(problem)
    values, _ = evaluate(problem.quantiles(np.clip(points, _EDGE, 1 - _EDGE)))
    found = evaluate.columns(values, tuple(outputs))
    failed = int((~np.isfinite(found).all(axis=1)).sum())
    if failed:
        raise PopulationError(
            f"{failed} of {len(points)} patients of the design could not be solved. Narrow the prior, or use "
            "`qspx.sensitivity.partial_rank_correlations`, which leaves them out."
        )
    return found


def sobol_indices(problem: PopulationProblem, outputs: Sequence[str], n: int = 1024, *, key: KeyLike) -> pd.DataFrame:
    """First-order and total Sobol' indices with 95 % half-widths (Saltelli 2010, doi 10.1016/j.cpc.2009.09.018); one
    row per output and parameter. Costs n (parameters + 2) patients; `n` is best a power of two.

    Raises:
        PopulationError: if the prior has correlations, or a patient of the design fails.
    """
    import pandas as pd
    from SALib.analyze import sobol as analyse  # type: ignore[import-not-found]
    from SALib.sample import sobol as design  # type: ignore[import-not-found]

    asked, seed = _asked(problem), int(generator(key).integers(2**31))
    points = design.sample(asked, n, calc_second_order=False, seed=seed)
    values = _values(problem, points, outputs)
    rows = []
    for j, output in enumerate(outputs):
        found = analyse.analyze(asked, values[:, j], calc_second_order=False, seed=seed)
        columns = [found[k] for k in ("S1", "S1_conf", "ST", "ST_conf")]
        rows += [[output, name, *map(float, r)] for name, *r in zip(asked["names"], *columns, strict=True)]
    return pd.DataFrame(rows, columns=["output", "parameter", "first", "first_width", "total", "total_width"])


def morris_effects(problem: PopulationProblem, outputs: Sequence[str], n: int = 50, *, key: KeyLike) -> pd.DataFrame:
    """Elementary effects over `n` trajectories (Morris 1991; Campolongo 2007, doi 10.1016/j.envsoft.2006.10.004): mean,
    mean of the absolute value, and standard deviation; one row per output and parameter. An effect is the change of
    the output from the quantile 1/8 of the parameter to 7/8. Costs n (parameters + 1) patients."""
    import pandas as pd
    from SALib.analyze import morris as analyse  # type: ignore[import-not-found]
    from SALib.sample import morris as design  # type: ignore[import-not-found]

    asked, seed = _asked(problem), int(generator(key).integers(2**31))
    points = design.sample(asked, n, num_levels=4, seed=seed)
    # the four levels are the middles of quarters: the ends of an unbounded distribution are infinitely far out
    values = _values(problem, 0.125 + 0.75 * points, outputs)
    rows = []
    for j, output in enumerate(outputs):
        found = analyse.analyze(asked, points, values[:, j], num_levels=4, seed=seed)
        columns = [np.asarray(found[k], float) for k in ("mu", "mu_star", "sigma")]
        rows += [[output, name, *map(float, r)] for name, *r in zip(asked["names"], *columns, strict=True)]
    return pd.DataFrame(rows, columns=["output", "parameter", "mean", "mean_absolute", "sd"])
