"""What an endpoint depends on: exact local elasticities, and rank correlations over a population."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import rankdata

from qspx._errors import SolveError
from qspx._status import Status
from qspx.cohort import Cohort
from qspx.dose_events import dose_events
from qspx.dosing import Regimen
from qspx.integrate import AbstractIntegrator, integrator_of
from qspx.model import AbstractModel
from qspx.simulation import solve_request
from qspx.summaries import AbstractSummary

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Elasticities:
    """d ln(metric) / d ln(parameter) by name, and d ln(metric) / d ln(dose), for one subject at one dose."""

    parameters: dict[str, float]
    dose: float
    metric: float

    def of_dose(self) -> dict[str, float]:
        """d ln(D*) / d ln(parameter) of the dose D* that keeps the metric at its value: -e(parameter) / e(dose)
        (implicit function theorem)."""
        return {k: -v / self.dose for k, v in self.parameters.items()}


def elasticities(
    model: AbstractModel,
    regimen: Regimen,
    metric: AbstractSummary,
    *,
    theta: np.ndarray | None = None,
    integrator: AbstractIntegrator | None = None,
) -> Elasticities:
    """Exact local elasticities of an endpoint, by differentiation through the solve.

    Parameters that are zero, or declared as constants, are left out. Raises `SolveError` if the subject cannot be
    solved.
    """
    request = solve_request(model, [regimen], (), (), [metric])
    integrator = integrator_of(integrator).chosen(request)
    events = dose_events(regimen, model)
    base = jnp.asarray(model.theta if theta is None else theta)
    names = [k for i, (k, p) in enumerate(model.parameters.items()) if base[i] != 0 and p.tag != "constant"]
    columns = jnp.array([model.parameter_index(k) for k in names])

    def log_metric(shift):
        moved = base.at[columns].multiply(jnp.exp(shift[:-1]), unique_indices=True)
        _, summaries, status, _, _ = integrator.solve_one(request, moved, events.scaled(jnp.exp(shift[-1])))
        return jnp.log(summaries[0]), (summaries[0], status)

    derivative = jax.jacrev if integrator.reversible else jax.jacfwd
    slopes, (value, status) = jax.jit(derivative(log_metric, has_aux=True))(jnp.zeros(len(names) + 1))
    if int(status) != Status.OK or not np.isfinite(slopes).all():
        raise SolveError(
            f"the elasticities of {metric.name} cannot be computed: the typical subject ended with status "
            f"{Status(int(status)).name}, value {float(value):.4g}."
        )
    return Elasticities(dict(zip(names, map(float, slopes[:-1]), strict=True)), float(slopes[-1]), float(value))


def partial_rank_correlations(cohort: Cohort, metric: np.ndarray) -> dict[str, float]:
    """Partial rank correlation of each parameter that varies in the cohort with `metric` (subjects,): the correlation
    of the ranks after the ranks of all other parameters have been regressed out (Marino et al. 2008, doi
    10.1016/j.jtbi.2008.04.011). NaN metrics are left out; NaN where there are too few subjects."""
    usable = ~np.isnan(metric) & (cohort.status == Status.OK)
    theta = cohort.theta[usable]
    names = [k for i, k in enumerate(cohort.model.parameters) if len(theta) and np.ptp(theta[:, i]) > 0]
    if usable.sum() < len(names) + 4 or np.ptp(metric[usable]) == 0:
        return dict.fromkeys(names, float("nan"))
    x = np.stack([rankdata(theta[:, cohort.model.parameter_index(k)]) for k in names], axis=1)
    y = rankdata(metric[usable])
    found = {}
    for j, name in enumerate(names):
        others = np.column_stack([np.ones(len(y)), np.delete(x, j, axis=1)])
        project = lambda v, o=others: v - o @ np.linalg.lstsq(o, v, rcond=None)[0]  # noqa: E731
        found[name] = float(np.corrcoef(project(x[:, j]), project(y))[0, 1])
    return found


def sensitivity_table(model: AbstractModel, local: Elasticities, ranks: dict[str, float], metric: str) -> pd.DataFrame:
    """One row per parameter: elasticity of the dose, partial rank correlation with the metric, tag and source."""
    import pandas as pd

    dose = local.of_dose()
    rows = [
        [
            k,
            model.parameters[k].meaning,
            metric,
            dose[k],
            ranks.get(k, float("nan")),
            model.parameters[k].tag,
            model.parameters[k].source,
        ]
        for k in sorted(dose, key=lambda k: -abs(dose[k]))
    ]
    columns = ["parameter", "meaning", "metric", "elasticity_dose", "rank_correlation", "tag", "source"]
    return pd.DataFrame(rows, columns=columns)
