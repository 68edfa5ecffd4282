"""The killing curve in vitro: a sigmoid, and a model of binding and killing; and what it says of trimers per cell."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
from reading import killing

import qspx

RISING = 2.0  # nM; the binding model peaks near 3 nM, the data do not fall
HILL = qspx.LogNormal(2.0, cv=0.6)  # assumed: slopes of killing curves of T-cell engagers lie around 1 to 4
PAPER = "Pillarisetti 2020 (doi 10.1182/bloodadvances.2020002393)"
LEVELS = (0.1, 0.2, 0.5)


class Sigmoid(qspx.AbstractModel):
    """The curve itself, without a mechanism."""

    time_unit = "h"

    C = qspx.Species("nM", "drug")
    background = qspx.Parameter(0.25, "", "share dead without drug", bounds=(0.0, 1.0), scale="logit")
    top = qspx.Parameter(0.9, "", "share dead at the top", bounds=(0.0, 1.0), scale="logit")
    EC50 = qspx.Parameter(0.15, "nM", "concentration of half the effect")
    hill = qspx.Parameter(1.5, "", "slope")
    cytotoxicity = qspx.Observable("", "share of target cells that is dead")

    def rates(self, t, y, p):
        return {}

    def observables(self, t, y, p):
        ratio = jnp.maximum(y.C / p.EC50, 1e-12) ** p.hill
        return {"cytotoxicity": p.background + (p.top - p.background) * ratio / (1 + ratio)}


ASSAY = qspx.load_model(Path(__file__).parents[2] / "models" / "killing_assay.py")
INTEGRATOR = qspx.AutomaticIntegrator(rtol=1e-7, atol=1e-12)


def problem(model, estimated, *, column="median", top=float("inf"), digitisation=0.05, fixed=None):
    """Calibration of either model to the points up to `top` nM. The figure has a linear axis, so that reading it is off
    by a share of the value; `sd` is what the curve misses beyond that."""
    frame = killing(column, top)
    data = qspx.Measurements.from_dataframe(frame, model, time_unit="h", units={"cytotoxicity": ""},
                                            observables="cytotoxicity")  # fmt: skip
    given = {
        arm: qspx.Regimen.single(c, "nM", "C") for arm, c in zip(frame["arm"], frame["concentration"], strict=True)
    }
    scatter = qspx.Estimated("sd", (0.003, 0.3), 0.03)
    return qspx.CalibrationProblem(model, data, [*estimated, scatter], qspx.Combined("sd", digitisation), given,
                                   fixed=fixed or {}, integrator=INTEGRATOR)  # fmt: skip


def background() -> qspx.Estimated:
    return qspx.Estimated("background", (0.01, 0.9), scale="logit")


def sigmoid(**options) -> qspx.CalibrationProblem:
    """The classical reading of the curve: all points."""
    estimated = [background(), qspx.Estimated("top", (0.5, 0.99), scale="logit"),
                 qspx.Estimated("EC50", (1e-3, 10.0)), qspx.Estimated("hill", (0.3, 10.0), prior=HILL)]  # fmt: skip
    return problem(Sigmoid(), estimated, **options)


def binding(affinity: bool = False, densities: bool = False, **options) -> qspx.CalibrationProblem:
    """Binding and killing. `affinity` estimates that for CD3, `densities` those of the receptors as well (to show what
    cannot be told apart)."""
    estimated = [background(), qspx.Estimated("kmax", (2e-3, 1.0)), qspx.Estimated("X50", (1e-4, 1e3)),
                 qspx.Estimated("hill", (0.3, 10.0), prior=HILL)]  # fmt: skip
    if affinity or densities:
        estimated.append(qspx.Estimated("KD_CD3", (1.0, 1e6)))
    if densities:
        estimated += [qspx.Estimated("CD3_per_T", (1e4, 1e6)), qspx.Estimated("BCMA_per_cell", (500.0, 1e5))]
    return problem(ASSAY, estimated, **options)


def cohort_of(model, names, draws) -> qspx.Cohort:
    """Draws of parameters, shape (draws, names), as subjects."""
    theta = np.tile(model.theta, (len(draws), 1))
    for k, name in enumerate(names):
        if name in model.parameters:
            theta[:, model.parameter_index(name)] = draws[:, k]
    return qspx.Cohort(model, theta, np.zeros(len(theta), dtype=int))


def at_levels(draws: np.ndarray, names, levels=LEVELS) -> pd.DataFrame:
    """Concentration and trimers per cell at shares of the effect that `RISING` nM has; one row per draw and level."""
    grid = np.geomspace(1e-3, RISING, 60)
    cohort = cohort_of(ASSAY, names, draws)
    protocol = qspx.Protocol.escalation(qspx.Regimen.single(1.0, "nM", "C"), list(grid))
    wanted = [qspx.Last("cytotoxicity", end=48.0), qspx.Average("trimers", end=48.0)]
    result = qspx.simulate_cohort(ASSAY, cohort, protocol, summaries=wanted, integrator=INTEGRATOR, progress=False)
    dead, trimers = (result.metric(w.name) for w in wanted)
    none = cohort.column("background")
    effect = (dead - none) / (dead[-1] - none)
    rows = []
    for draw in range(len(draws)):
        for level in levels:
            c = np.exp(np.interp(level, effect[:, draw], np.log(grid)))
            x = np.exp(np.interp(np.log(c), np.log(grid), np.log(trimers[:, draw])))
            rows.append([draw, level, c, x])
    return pd.DataFrame(rows, columns=["draw", "level", "concentration", "trimers"])


def variants(best: dict[str, qspx.Fit]) -> pd.DataFrame:
    """How well each form of the model describes the curve, and what it says of affinity."""
    rows = []
    for name, fit in best.items():
        free = len(fit.objective.estimated)
        rows.append([name, len(fit.objective.value), free, float(fit.objective.log_likelihood(fit.x)),
                     2 * free - 2 * float(fit.objective.log_likelihood(fit.x)),
                     fit.parameters.get("KD_CD3", float("nan"))])  # fmt: skip
    return pd.DataFrame(rows, columns=["variant", "points", "parameters", "log_likelihood", "AIC", "KD_CD3"])
