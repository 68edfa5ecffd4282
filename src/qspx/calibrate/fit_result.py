"""What a fit found."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._random import KeyLike
from qspx.calibrate import fit_plots
from qspx.calibrate.distribution import distribution
from qspx.calibrate.fit_run import FitRun
from qspx.calibrate.fit_status import FitStatus, fit_ledger
from qspx.calibrate.fit_store import FitStore
from qspx.calibrate.fit_text import fit_text, not_converged
from qspx.calibrate.identifiability import Identifiability, identifiability
from qspx.calibrate.information import Information, side_of_bound
from qspx.calibrate.laplace import Laplace, laplace
from qspx.calibrate.objective import Objective, Predictions
from qspx.calibrate.profile import Profiles, profile
from qspx.calibrate.search import Evaluator, Search, inward
from qspx.distributions import Joint

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """Maximum of a log-posterior, with every start that was searched.

    Args:
        objective: what was maximised.
        run: every start, with its history.
        manifest: what was asked, with which versions.
    """

    objective: Objective
    run: FitRun
    manifest: Mapping[str, Any]

    @property
    def search(self) -> Search:
        """Where every start ended."""
        return self.run.search

    # the best ---------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def order(self) -> np.ndarray:
        """Starts from the best to the worst, shape (starts,)."""
        return np.argsort(-self.search.value, kind="stable")

    @property
    def xs(self) -> np.ndarray:
        """Where every start ended, on the estimation scale, shape (starts, estimated)."""
        low, high = self.objective.box.T
        return np.clip(low + (high - low) * self.search.place, low, high)

    @property
    def x(self) -> np.ndarray:
        """The best, on the estimation scale, shape (estimated,)."""
        return self.xs[self.order[0]]

    @property
    def value(self) -> float:
        """Log-posterior at `x`."""
        return float(self.search.value[self.order[0]])

    @property
    def converged(self) -> bool:
        """Whether the search of the best start met a criterion of convergence."""
        return FitStatus(int(self.search.status[self.order[0]])).converged

    @property
    def warning(self) -> str:
        """What is to be said beside the numbers where the search of the best start did not converge; else nothing."""
        return not_converged(self)

    @property
    def parameters(self) -> dict[str, float]:
        """The best, in the parameters' own units."""
        return dict(zip(self.objective.names, np.asarray(self.objective.natural(self.x)).tolist(), strict=True))

    @property
    def gradient(self) -> np.ndarray:
        """Of the log-posterior at `x` on the estimation scale, without what pushes out of the bounds, (estimated,)."""
        best = self.order[0]
        low, high = self.objective.box.T
        return inward(self.search.place[[best]], self.search.gradient[[best]])[0] / (high - low)

    @property
    def at_bound(self) -> np.ndarray:
        """-1 where `x` is on its lower bound, 1 on its upper, else 0, shape (estimated,)."""
        return side_of_bound(self.objective, self.x)

    @functools.cached_property
    def information(self) -> Information:
        """Fisher information at the best: covariance, standard errors, intervals."""
        o, place = self.objective, self.search.place[self.order[0]]
        width = o.box[:, 1] - o.box[:, 0]
        found = Evaluator(o).evaluations(place[None])
        matrix = found.information[0] / np.outer(width, width)
        return Information(o, self.x, self.value, found.gradient[0] / width, 0.5 * (matrix + matrix.T))

    # its uncertainty ------------------------------------------------------------------------------------------------

    def identifiability(self, *, key: KeyLike = 0) -> Identifiability:
        """Which parameters, or combinations of them, the data determine: see `qspx.identifiability`."""
        return identifiability(self.objective, self.x, key=key)

    def profile(self, *parameters: str, level: float = 0.95, progress: bool | None = None) -> Profiles:
        """Profile likelihoods of the named parameters, or of all: see `qspx.profile`."""
        return profile(self.objective, self.x, parameters or None, level=level, progress=progress)

    def laplace(self, *, key: KeyLike = 0) -> Laplace:
        """Laplace's approximation of the posterior: see `qspx.laplace`."""
        return laplace(self.objective, self.x, key=key)

    def distribution(self, *, run: int | None = None) -> Joint:
        """Uncertainty of the model's parameters, for `sample_cohort` and `compare_doses`: see
        `calibrate.distribution`."""
        return distribution(self.objective, self.x, run=run)

    # predictions ----------------------------------------------------------------------------------------------------

    def predict(self, x: Any = None) -> Predictions:
        """What is expected of every measurement, at the best or at other coordinates."""
        found = self.objective.predictions(np.asarray(self.x if x is None else x, dtype=float)[None])
        return Predictions(*(np.asarray(a)[0] for a in found))

    # all starts -------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def starts(self) -> pd.DataFrame:
        """One row per start, the best first: `start` (its number), `status`, `start_value`, `value`, `gradient`
        (largest component inside the bounds, per width of the box), `iterations`, `evaluations`, and every parameter in
        its own unit."""
        import pandas as pd

        s = self.search
        frame = pd.DataFrame(
            {
                "start": np.arange(len(s.value)),
                "status": [FitStatus(int(code)).name.lower() for code in s.status],
                "start_value": self.run.start_value,
                "value": s.value,
                "gradient": s.slope,
                "iterations": s.iterations,
                "evaluations": s.evaluations,
            }
        )
        natural = pd.DataFrame(np.asarray(self.objective.natural(self.xs)), columns=list(self.objective.names))
        return pd.concat([frame, natural], axis=1).iloc[self.order].reset_index(drop=True)

    @property
    def ledger(self) -> pd.DataFrame:
        """Number of starts per status: `status`, `n`, `share`, `meaning`; the `n` add up."""
        return fit_ledger(self.search.status)

    def hits(self, within: float = 0.1) -> int:
        """Starts that ended within this much of the best log-posterior."""
        return int((self.search.value >= self.value - within).sum())

    def to_dataframe(self, level: float = 0.95) -> pd.DataFrame:
        """One row per parameter: `parameter`, `estimate`, `scale`, `se` (delta method) and the interval `low` to `high`
        in its own unit, `lower_bound`, `upper_bound`, `bound` ("", "lower" or "upper": which it is on) and `gradient`
        (on the estimation scale, inside the bounds). Standard error and interval are NaN on a bound, and infinite where
        the measurements do not determine the parameter. They mean something at an optimum: see `converged`."""
        import pandas as pd

        o, ends = self.objective, self.information.interval(level)
        return pd.DataFrame(
            {
                "parameter": list(o.names),
                "estimate": list(self.parameters.values()),
                "scale": [e.scale for e in o.estimated],
                "se": self.information.se_natural,
                "low": ends[:, 0],
                "high": ends[:, 1],
                "lower_bound": [e.bounds[0] for e in o.estimated],
                "upper_bound": [e.bounds[1] for e in o.estimated],
                "bound": [("", "upper", "lower")[k] for k in self.at_bound],
                "gradient": self.gradient,
            }
        )

    def __str__(self) -> str:
        return fit_text(self)

    # figures ----------------------------------------------------------------------------------------------------------

    def plot_waterfall(self, ax: Any = None) -> Any:
        """How far below the best every start ended, sorted. Returns the matplotlib Axes, as the others do."""
        return fit_plots.plot_waterfall(self, ax)

    def plot_parameters(self, ax: Any = None, within: float = 10.0) -> Any:
        """Where the starts `within` so much of the best log-posterior ended between the bounds."""
        return fit_plots.plot_parameters(self, ax, within)

    def plot_history(self, ax: Any = None) -> Any:
        """How far below the best every start was after each step."""
        return fit_plots.plot_history(self, ax)

    def plot_predictions(self, ax: Any = None) -> Any:
        """Measured against predicted."""
        return fit_plots.plot_predictions(self, ax)

    def plot_residuals(self, ax: Any = None) -> Any:
        """Standardised residuals against time."""
        return fit_plots.plot_residuals(self, ax)

    # files ------------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write to a new directory, `manifest.json` and `state.npz`; `load_fit` reads it. A fit with `out` has been
        saved there already."""
        with FitStore(path, self.manifest["identity"]) as store:
            store.write(self.run.arrays())
            store.finish(self.manifest)
