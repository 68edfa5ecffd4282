"""What draws predict for the measurements themselves: a posterior predictive check.

For any other prediction a matrix of draws is a cohort: `simulate_cohort(model, draws.cohort(), protocol)` gives bands
(`result.quantiles`, `result.plot`), and `compare_doses` takes it as its population. Those are bands of uncertainty
about one system, not of the spread between patients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import numpy as np

from qspx._random import KeyLike, as_key
from qspx._status import Status
from qspx.calibrate.bootstrap import standard_draws
from qspx.calibrate.draws import Draws
from qspx.calibrate.information import z_of

if TYPE_CHECKING:
    import pandas as pd


def predictive_check(draws: Draws, *, key: KeyLike, level: float = 0.9) -> pd.DataFrame:
    """Each measurement beside what the draws predict for it, with noise: a posterior predictive check.

    One row per measurement: run, time, value, censored, median, low, high (of a new measurement there), below (share
    of new measurements below the value, 0 to 1: uniform over the measurements if the model is right). The share of
    values within their interval is in `df.attrs["within"]`, and should be near `level`; censored ones do not count.
    """
    import pandas as pd

    z_of(level)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(as_key(key))).ravel())
    objective, good = draws.objective, draws.x[draws.ok]
    found = [np.asarray(a) for a in objective.predictions(good)]
    solved = (found[2] == Status.OK)[:, objective.run]
    new = np.full(found[0].shape, np.nan)
    for g in objective.groups:
        at, sd = np.asarray(g.noise.on_scale(found[0][:, g.rows])), found[1][:, g.rows]
        shifted = at + sd * standard_draws(g.noise, rng, at.shape)
        new[:, g.rows] = np.asarray(g.noise.from_scale(shifted))
    new = np.where(solved, new, np.nan)
    low, median, high = np.nanquantile(new, [0.5 - level / 2, 0.5, 0.5 + level / 2], axis=0)
    below = np.nanmean(np.where(np.isnan(new), np.nan, new < objective.value), axis=0)
    columns = {"run": objective.run, "time": objective.time, "value": objective.value, "censored": objective.censored}
    frame = pd.DataFrame(columns | {"median": median, "low": low, "high": high, "below": below})
    seen = objective.censored == 0
    within = (objective.value >= low) & (objective.value <= high)
    frame.attrs["within"] = float(within[seen].mean()) if seen.any() else float("nan")
    frame.attrs["level"] = level
    return frame
