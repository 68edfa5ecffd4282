"""`PopulationFit`: what a population fit found, with its uncertainty and what it says about every individual."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import CalibrationError
from qspx._status import Ledger
from qspx.calibrate.scales import SCALES
from qspx.distributions import Joint, LogitNormal, LogNormal, Normal
from qspx.nlme import plots
from qspx.nlme.base import Evaluated, PopulationObjective
from qspx.nlme.individual_results import IndividualResults
from qspx.nlme.problem import PopulationProblem
from qspx.nlme.search import Search
from qspx.nlme.uncertainty import Matrices

if TYPE_CHECKING:
    import pandas as pd


_NOT_CONVERGED = (
    "NOT CONVERGED: the best search ended before an optimum; raise `most`, tighten the integrator, or start elsewhere. "
    "Standard errors and intervals hold at an optimum only."
)


@dataclasses.dataclass(frozen=True, eq=False)
class PopulationFit:
    """The end of a population fit.

    Args:
        objective: problem and method.
        evaluated: the objective at the estimates.
        searches: every search, in the order of starts.
        matrices: information matrices, unless they were not asked for.
    """

    objective: PopulationObjective
    evaluated: Evaluated
    searches: tuple[Search, ...]
    matrices: Matrices | None

    @property
    def problem(self) -> PopulationProblem:
        return self.objective.problem

    @property
    def x(self) -> np.ndarray:
        """The estimates' coordinates, (coordinates,)."""
        return self.evaluated.x

    # numbers ----------------------------------------------------------------------------------------------------------

    @property
    def ofv(self) -> float:
        """-2 log-likelihood without N log 2π, the convention of NONMEM."""
        return self.evaluated.value

    @property
    def minus_two_log_likelihood(self) -> float:
        return self.ofv + self.problem.likelihood_constant

    @property
    def aic(self) -> float:
        return self.minus_two_log_likelihood + 2 * len(self.x)

    @property
    def bic(self) -> float:
        """With the number of measurements, as nlmixr2 has it."""
        return self.minus_two_log_likelihood + math.log(len(self.problem.data.value)) * len(self.x)

    @property
    def parameters(self) -> dict[str, float]:
        """Estimated numbers in their own units: typical values, coefficients of covariates, residual errors."""
        numbers = np.asarray(self.problem.numbers(self.x))
        return {e.name: float(v) for e, v in zip(self.problem.estimated, numbers, strict=True)}

    @property
    def omega(self) -> np.ndarray:
        """Covariance matrix of the random effects, (effects, effects), in the order of `problem.omega.names`."""
        factor = np.asarray(self.problem.factor(self.x))
        return factor @ factor.T

    @functools.cached_property
    def _reported(self) -> tuple[np.ndarray, np.ndarray]:
        """(numbers, their derivatives by the coordinates): estimated numbers, sds, correlations."""
        free = self.problem.omega.free

        def numbers(x):
            factor = self.problem.factor(x)
            omega = factor @ factor.T
            sd = jnp.sqrt(jnp.diag(omega))
            spread = [sd[i] if i == j else omega[i, j] / (sd[i] * sd[j]) for i, j in free]
            return jnp.concatenate([self.problem.numbers(x), jnp.asarray(spread)])

        x = jnp.asarray(self.x)
        return np.asarray(numbers(x)), np.asarray(jax.jacfwd(numbers)(x))

    def table(self) -> pd.DataFrame:
        """One row per number: estimate, se, rse (%), 95 % interval, robust_se (sandwich), shrinkage (%) of random
        effects, at_bound. Of random effects "sd(CL)" on the scale of the parameter and "cor(V, CL)". Errors and
        intervals mean something at an optimum: see `converged`."""
        import pandas as pd

        values, slope = self._reported
        names = [e.name for e in self.problem.estimated]
        n = self.problem.omega.names
        names += [f"sd({n[i]})" if i == j else f"cor({n[i]}, {n[j]})" for i, j in self.problem.omega.free]
        frame = pd.DataFrame({"parameter": names, "estimate": values})
        frame["unit"] = [self._unit(e.name) for e in self.problem.estimated] + [""] * (len(names) - self._k)
        if self.matrices is not None:
            covariance = self.matrices.covariance
            frame["se"] = np.sqrt(np.diag(slope @ covariance @ slope.T))
            frame["rse"] = 100 * frame["se"] / frame["estimate"].abs()
            low, high = self._interval(covariance, frame["se"].to_numpy())
            frame["low"], frame["high"] = low, high
            frame["robust_se"] = np.sqrt(np.diag(slope @ self.matrices.sandwich @ slope.T))
        shrinkage = self.individuals.shrinkage
        by_name = {f"sd({k})": v for k, v in shrinkage.items()}
        frame["shrinkage"] = [by_name.get(name, np.nan) for name in names]
        box = self.problem.box
        frame["at_bound"] = (self.x <= box[:, 0] + 1e-6) | (self.x >= box[:, 1] - 1e-6)
        return frame

    @property
    def _k(self) -> int:
        return len(self.problem.estimated)

    def _unit(self, name: str) -> str:
        declared = self.problem.model.parameters
        return declared[name].unit if name in declared else ""

    def _interval(self, covariance: np.ndarray, se: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """95 %: symmetric on the estimation scale for what has one, on the logarithm for sds, else plain."""
        z, box = 1.959964, self.problem.box
        values, sd = self._reported[0], np.sqrt(np.diag(covariance))
        ends = []
        for sign in (-1, 1):
            moved = np.asarray(self.problem.numbers(np.clip(self.x + sign * z * sd, box[:, 0], box[:, 1])))
            spread = values[self._k :]
            diagonal = np.array([i == j for i, j in self.problem.omega.free], dtype=bool)
            safe = np.where(diagonal, spread, 1.0)
            with np.errstate(over="ignore"):  # of an sd that is not determined the interval has no end
                by_log = safe * np.exp(sign * z * se[self._k :] / safe)
            plain = np.clip(spread + sign * z * se[self._k :], -1.0, 1.0)
            ends.append(np.concatenate([moved, np.where(diagonal, by_log, plain)]))
        return ends[0], ends[1]

    @property
    def converged(self) -> bool:
        """Whether the best search ended by itself, and every individual's search for its random effects did."""
        return bool(self._best.converged and self.evaluated.converged.all())

    @property
    def _best(self) -> Search:
        return min(self.searches, key=lambda s: s.end.value)

    @property
    def ledger(self) -> Ledger:
        """Individuals by status."""
        return Ledger.of(self.evaluated.status, noun="individuals")

    def starts(self) -> pd.DataFrame:
        """One row per search: ofv at its start and end, evaluations, promised decrease, converged."""
        import pandas as pd

        return pd.DataFrame(
            {
                "start": range(len(self.searches)),
                "ofv": [s.end.value for s in self.searches],
                "evaluations": [s.evaluations for s in self.searches],
                "promised": [s.promised for s in self.searches],
                "converged": [s.converged for s in self.searches],
            }
        )

    @functools.cached_property
    def individuals(self) -> IndividualResults:
        """Random effects, predictions and residuals of every individual and measurement."""
        return IndividualResults(self.objective, self.evaluated)

    def plot_goodness(self, observable: str | None = None) -> Any:
        """Measured against predicted, and residuals, of one observable (default: the first). Returns the Figure."""
        return plots.plot_goodness(self, observable)

    def plot_individuals(self, observable: str | None = None, most: int = 16) -> Any:
        """Data and courses of up to `most` individuals. Returns the Figure."""
        return plots.plot_individuals(self, observable, most)

    # onwards ----------------------------------------------------------------------------------------------------------

    def distribution(self, covariates: dict[str, Any] | None = None) -> Joint:
        """Spread of the parameters between subjects, for `sample_cohort`: marginals around typical values, with the
        correlations of Omega.

        Args:
            covariates: of the subjects meant, by name; where one is not given its effects are left out, which for
                numbers is at the effect's centre.
        """
        names, omega = self.problem.omega.names, self.omega
        u = self._typical_u(covariates or {})
        low, high = self.problem.limits
        natural = np.asarray(self.problem.natural_columns(u))
        sd, marginals = np.sqrt(np.diag(omega)), {}
        for k, name in enumerate(names):
            scale = SCALES[self.problem.scales[k]]
            if scale == "log":
                marginals[name] = LogNormal.from_omega(float(natural[k]), float(sd[k]))
            elif scale == "lin":
                marginals[name] = Normal(float(natural[k]), float(sd[k]))
            else:
                marginals[name] = LogitNormal(float(natural[k]), float(sd[k]), float(low[k]), float(high[k]))
        below = [(i, j) for i in range(len(names)) for j in range(i) if omega[i, j] != 0]
        return Joint(marginals, {(names[i], names[j]): float(omega[i, j] / (sd[i] * sd[j])) for i, j in below})

    def typical(self, covariates: dict[str, Any] | None = None) -> dict[str, float]:
        """Typical values of the model's parameters that were estimated, random or not, in their own units, for
        `sample_cohort(..., parameters=...)`; `covariates` as in `distribution`."""
        natural = np.asarray(self.problem.natural_columns(self._typical_u(covariates or {})))
        return {name: float(v) for name, v in zip(self.problem.columns, natural, strict=True)}

    def _typical_u(self, covariates: dict[str, Any]) -> np.ndarray:
        problem = self.problem
        unknown = set(covariates) - set(problem.data.covariates)
        if unknown:
            raise CalibrationError(
                f"Argument `covariates` names `{sorted(unknown)[0]}`, which the data do not have; they have "
                f"{list(problem.data.covariates)}."
            )
        row = self.objective.individuals.rows
        for e in problem.covariate_effects:
            if e.covariate in covariates and not e.usable(np.array([covariates[e.covariate]])).all():
                raise CalibrationError(
                    f"Argument `covariates` must hold {e.needs} for `{e.covariate}`, as {type(e).__name__} needs, but "
                    f"{covariates[e.covariate]!r} was given."
                )
        columns = [
            float(e.column(np.array([covariates[e.covariate]]))[0]) if e.covariate in covariates else 0.0
            for e in problem.covariate_effects
        ]
        base = problem.columns_of(problem.model.theta[[problem.model.parameter_index(c) for c in problem.columns]])
        one = row._replace(base=np.where(np.isfinite(base), base, 0.0), covariates=np.array(columns))
        return np.asarray(self.objective.individuals.mean(jnp.asarray(self.x), one))

    # text and files ---------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        ended = self._best.converged
        hidden = ["at_bound", "robust_se", *(() if ended else ("se", "rse", "low", "high"))]
        frame = self.table().drop(columns=hidden, errors="ignore")
        best = self.searches.index(self._best)
        lines = [] if ended else [_NOT_CONVERGED]
        lines += [
            f"{self.objective.method.name} fit of {self.problem.model.name}: {self.problem.data}",
            f"OFV {self.ofv:.4f} (-2LL {self.minus_two_log_likelihood:.4f}, AIC {self.aic:.2f}, BIC {self.bic:.2f})",
            f"{'converged' if self.converged else 'NOT converged'} after {self._best.evaluations} evaluations"
            f" (start {best + 1} of {len(self.searches)}); {self.ledger}",
            frame.to_string(index=False, float_format=lambda v: f"{v:.5g}", na_rep=""),
            "epsilon shrinkage (%): "
            + ", ".join(f"{k} {v:.1f}" for k, v in self.individuals.epsilon_shrinkage.items()),
        ]
        if self.matrices is not None and ended:
            lines.append(
                f"condition number {self.matrices.condition:.3g}"
                if self.matrices.positive
                else "no standard errors: the information matrix is not positive definite"
            )
        if late := [str(self.problem.data.ids[i]) for i in np.flatnonzero(~self.evaluated.converged)]:
            lines.append(f"random effects not converged: {', '.join(late)}")
        if bound := [p for p, at in zip(self.problem.names, self.table()["at_bound"], strict=True) if at]:
            lines.append(f"at a bound: {', '.join(bound)}")
        return "\n".join(lines)

    def save(self, path: str | Path) -> None:
        """Write as JSON: estimates, random effects and matrices; not the data and the model."""
        e, m = self.evaluated, self.matrices
        found = {
            "method": self.objective.method.name,
            "names": list(self.problem.names),
            "ids": [str(i) for i in self.problem.data.ids],
            "ofv": self.ofv,
            "evaluations": self._best.evaluations,
            "promised": self._best.promised,
            "converged": self._best.converged,
            "x": e.x.tolist(),
            "z": e.z.tolist(),
            "r": None if m is None else m.r.tolist(),
            "s": None if m is None else m.s.tolist(),
            "free": None if m is None else m.free.tolist(),
            "parameters": self.parameters,
            "omega": self.omega.tolist(),
        }
        Path(path).write_text(json.dumps(found, indent=1))

    @classmethod
    def load(cls, path: str | Path, objective: PopulationObjective) -> PopulationFit:
        """Read what `save` wrote, for the same problem and method. The objective is evaluated once more.

        Raises:
            CalibrationError: if names, individuals, method or the value of the objective are not those of the file.
        """
        found = json.loads(Path(path).read_text())
        here = {
            "method": objective.method.name,
            "names": list(objective.problem.names),
            "ids": [str(i) for i in objective.problem.data.ids],
        }
        for what, value in here.items():
            if found[what] != value:
                raise CalibrationError(f"{path}: {what} {found[what]} were fitted, but {value} were given.")
        evaluated = objective(np.array(found["x"]), np.array(found["z"]))
        if not abs(evaluated.value - found["ofv"]) <= 1e-3:
            raise CalibrationError(
                f"{path}: the objective was {found['ofv']:.4f}, but is {evaluated.value:.4f} for this problem; data, "
                "model or tolerances have changed."
            )
        matrices = None
        if found["r"] is not None:
            matrices = Matrices(np.array(found["r"]), np.array(found["s"]), np.array(found["free"]))
        search = Search(evaluated.x, evaluated, found["evaluations"], found["promised"], found["converged"])
        return cls(objective, evaluated, (search,), matrices)
