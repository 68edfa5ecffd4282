"""What a fit says about every individual and every measurement: random effects, predictions, residuals, shrinkage."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import jax
import numpy as np

from qspx._status import Status
from qspx.calibrate.runs import Runs
from qspx.nlme.base import Evaluated, PopulationObjective
from qspx.nlme.individuals import Jets

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class IndividualResults:
    """Of a fit. Residuals and their predictions are on the scale of the noise: logarithms for `LogAdditive`."""

    objective: PopulationObjective
    evaluated: Evaluated

    @functools.cached_property
    def _factor(self) -> np.ndarray:
        return np.asarray(self.objective.problem.factor(self.evaluated.x))

    @functools.cached_property
    def eta(self) -> np.ndarray:
        """Empirical Bayes estimates of the random effects, (individuals, effects), on the scales of the parameters."""
        return self.evaluated.z @ self._factor.T

    @functools.cached_property
    def _jets(self) -> tuple[Jets, Jets]:
        """Predictions with random effects, and without."""
        u = self.objective.u(self.evaluated.x, self.evaluated.z)
        return Jets(*map(np.asarray, self.objective.individuals.jets(u))), self.objective.typical(self.evaluated.x)[1]

    @functools.cached_property
    def eta_covariance(self) -> np.ndarray:
        """Covariance of each individual's estimate given its measurements, (individuals, effects, effects)."""
        jets, typical = self._jets
        joint = self.objective.joint(self.evaluated.x, self.evaluated.z, jets, typical.f)
        return self._factor @ np.linalg.inv(np.asarray(joint.curvature)) @ self._factor.T

    @functools.cached_property
    def _measured(self) -> np.ndarray:
        return np.bincount(self.objective.problem.data.individual, minlength=len(self.eta)) > 0

    @property
    def shrinkage(self) -> dict[str, float]:
        """Of each random effect, in %: 100 (1 - sd of the estimates / sd of the population), over individuals with
        measurements (Savic & Karlsson, AAPS J 2009;11:558-569, doi:10.1208/s12248-009-9133-0)."""
        sd = np.sqrt(np.diag(self._factor @ self._factor.T))
        spread = self.eta[self._measured].std(axis=0, ddof=1) if self._measured.sum() > 1 else np.full(len(sd), np.nan)
        return dict(zip(self.objective.problem.omega.names, (100 * (1 - spread / sd)).tolist(), strict=True))

    @property
    def epsilon_shrinkage(self) -> dict[str, float]:
        """Of each observable, in %: 100 (1 - sd of IWRES)."""
        data = self.objective.problem.data
        iwres = self.residuals["IWRES"].to_numpy()
        found = {}
        for k, name in enumerate(data.endpoints):
            mine = iwres[(data.endpoint == k) & (data.censored == 0)]
            found[name] = float(100 * (1 - mine.std(ddof=1))) if len(mine) > 1 else float("nan")
        return found

    def parameters(self) -> pd.DataFrame:
        """One row per individual: ID, the parameters of the model in their own units, eta and its standard error of
        each random effect, ofv, status, converged."""
        import pandas as pd

        problem = self.objective.problem
        u = self.objective.u(self.evaluated.x, self.evaluated.z)
        frame = pd.DataFrame(np.asarray(problem.natural_columns(u)), columns=list(problem.columns))
        frame.insert(0, "ID", np.array(problem.data.ids, dtype=object))
        sd = np.sqrt(np.einsum("ijj->ij", self.eta_covariance))
        for k, name in enumerate(problem.omega.names):
            frame[f"eta({name})"], frame[f"se(eta({name}))"] = self.eta[:, k], sd[:, k]
        frame["measurements"] = np.bincount(problem.data.individual, minlength=len(frame))
        frame["ofv"] = self.evaluated.each
        frame["status"] = [Status(int(s)).name.lower() for s in self.evaluated.status]
        frame["converged"] = self.evaluated.converged
        return frame

    @functools.cached_property
    def residuals(self) -> pd.DataFrame:
        """One row per measurement: ID, TIME, observable, DV, CENS, PRED (no random effects), IPRED, and residuals IWRES
        = (y - f)/sqrt(R) and CWRES. NaN where the model was not solved, and residuals of censored values.

        CWRES: (y - f(ẑ) + F ẑ) over the root of F Fᵀ + R (Hooker, Staatz & Karlsson, Pharm Res 2007;24:2187-2197,
        doi:10.1007/s11095-007-9361-x)."""
        objective, x = self.objective, self.evaluated.x
        data, individuals = objective.problem.data, objective.individuals
        jets, typical = self._jets
        rows, censored = individuals.rows, individuals.padded(data.censored)
        variance = np.asarray(individuals.variance(x, jets.f, rows.endpoint))
        q = self.eta.shape[1]
        slope = jets.slope[..., :q] @ self._factor
        cwres = np.full(jets.f.shape, np.nan)
        for i in range(len(cwres)):
            seen = rows.seen[i] & (censored[i] == 0)
            covariance = slope[i][seen] @ slope[i][seen].T + np.diag(variance[i][seen])
            expected = jets.f[i][seen] - slope[i][seen] @ self.evaluated.z[i]
            if seen.any() and np.isfinite(covariance).all():
                cwres[i, seen] = _root_inverse(covariance) @ (rows.value[i][seen] - expected)
        iwres = (rows.value - jets.f) / np.sqrt(variance)
        logarithmic = objective.problem.logarithmic[data.endpoint]
        frame = data.to_frame()

        def shown(padded: np.ndarray, status: np.ndarray, natural: bool) -> np.ndarray:
            found = padded[individuals.place]
            found = np.where(logarithmic & natural, np.exp(found), found)
            return np.where(status[data.individual] == Status.OK, found, np.nan)

        ok = np.asarray(jets.status)
        found = {
            "PRED": shown(typical.f, np.asarray(typical.status), True),
            "IPRED": shown(jets.f, ok, True),
            "IWRES": np.where(data.censored == 0, shown(iwres, ok, False), np.nan),
            "CWRES": shown(cwres, ok, False),
        }
        for at, (name, values) in enumerate(found.items(), start=list(frame.columns).index("CENS") + 1):
            frame.insert(at, name, values)
        return frame

    def courses(self, observable: str, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predictions of an observable at `times` (in the model's unit, increasing), with random effects and without,
        each (individuals, times). NaN before an individual's first record, and where the model was not solved."""
        problem, x = self.objective.problem, self.evaluated.x
        runs = Runs.of(problem.model, problem.data.regimens, [[(float(t), False) for t in times]] * len(self.eta))
        integrator = problem.integrator.chosen(runs.request)
        places = [problem.model.parameter_index(c) for c in problem.columns]
        begun = np.asarray(times)[None] >= problem.data.begin[:, None]
        found = []
        for z in (self.evaluated.z, np.zeros_like(self.evaluated.z)):
            theta = problem.data.theta.copy()
            theta[:, places] = problem.natural_columns(self.objective.u(x, z))
            states, status = (np.asarray(a) for a in runs.states(theta, integrator))
            shown = functools.partial(problem.model.observables_vector, names=(observable,))
            every = jax.vmap(jax.vmap(shown, in_axes=(0, 0, None)), in_axes=(None, 0, 0))
            values = np.asarray(every(np.asarray(times, dtype=float), states, theta))[..., 0]
            found.append(np.where((status == Status.OK)[:, None] & begun, values, np.nan))
        return found[0], found[1]


def _root_inverse(matrix: np.ndarray) -> np.ndarray:
    """Symmetric M^(-1/2)."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors / np.sqrt(values)) @ vectors.T
