"""Every fit of the experiment, in order: each one with what it can and cannot tell."""

from __future__ import annotations

import dataclasses
from typing import Any

import cytokine
import killing
import numpy as np
import pandas as pd
import pharmacokinetics as pk
from populations import MIAO, POELS

import qspx

SEED = 20_26


@dataclasses.dataclass(frozen=True)
class Calibration:
    """One fit with its problem, verdict and profiles, and what a reader should know of it."""

    title: str
    problem: qspx.CalibrationProblem
    fit: qspx.Fit
    note: str = ""
    verdict: Any = None
    profiles: Any = None

    @property
    def values(self) -> dict[str, float]:
        return self.fit.parameters


def calibrate(title, problem, starts, *, note="", judged=False, profiled=(), at=None) -> Calibration:
    """Fit from several starts. `judged`: whether identifiability is looked at, at the best or `at` given values;
    `profiled`: parameters whose profile is computed."""
    fit = qspx.fit(problem, key=SEED, starts=starts, progress=False)
    place = fit.x if at is None else np.asarray(problem.coordinates({**fit.parameters, **at}))
    verdict = qspx.identifiability(problem.objective, place) if judged else None
    profiles = qspx.profile(problem.objective, fit.x, list(profiled), progress=False) if profiled else None
    print(f"{title}: log-posterior {fit.value:.2f}, {fit.hits()} of {starts} starts", flush=True)
    return Calibration(title, problem, fit, note, verdict, profiles)


def of_pharmacokinetics(quick: bool) -> dict[str, Calibration]:
    """All parameters; those that the data tell; and the same ones in the system that doses are computed in."""
    starts = 3 if quick else 10
    task, system = pk.Task(MIAO.Miao2023(), "C", "central"), pk.Task(POELS.teclistamab(), "total_ng_mL", "A")
    return {
        "all": calibrate(
            "PK, every parameter", pk.everything(task), starts, judged=True,
            note="Structure of Miao 2023; only the rate at which clearance falls is held. Points later than day 15 are "
            "left out: two of them lie 14-fold apart, and one may follow a second dose. CL2 counts as identifiable "
            "only because its bounds are wider still: its interval spans three orders of magnitude.",
        ),
        "reduced": calibrate(
            "PK, what the data tell", pk.reduced(task), starts, judged=True, profiled=() if quick else ("CL1", "F"),
            note="Distribution (V2, Q) and the part of clearance that is lost (CL2, kdes) are held at Miao 2023.",
        ),
        "system": calibrate(
            "PK, in the system with marrow and soluble BCMA", pk.in_system(system), starts, judged=True,
            note="The same data; total drug in serum is taken for what the assay measured. Parameters of distribution, "
            "binding and marrow are held. These values go into the calibrated population.",
        ),
    }  # fmt: skip


def pk_under_other_choices(quick: bool) -> pd.DataFrame:
    """The reduced fit under other assumptions on digitisation, and with the late points."""
    task = pk.Task(MIAO.Miao2023(), "C", "central")
    choices = {"digitisation 5 %": {"digitisation": 0.05}, "digitisation 20 %": {"digitisation": 0.2},
               "points after day 15 too": {"everything": True}}  # fmt: skip
    rows = []
    for name, options in choices.items():
        found = qspx.fit(pk.reduced(task, **options), key=SEED, starts=2 if quick else 4, progress=False).parameters
        rows.append([name, *(found[k] for k in ("CL1", "V1", "ka", "F", "sd_IV", "sd_SC"))])
    return pd.DataFrame(rows, columns=["choice", "CL1", "V1", "ka", "F", "sd_IV", "sd_SC"])


def of_killing(quick: bool) -> dict[str, Calibration]:
    starts = 3 if quick else 10
    rising = {"top": killing.RISING}
    literature = {k: killing.ASSAY.parameters[k].value for k in ("KD_CD3", "CD3_per_T", "BCMA_per_cell")}
    best = calibrate("Killing, sigmoid", killing.sigmoid(), starts, judged=True, note="The classical reading.")
    mechanism = calibrate(
        "Killing, binding model, rising limb", killing.binding(**rising), starts, judged=True,
        profiled=() if quick else ("hill",),
        note=f"Points up to {killing.RISING:g} nM, affinities as measured. The Hill coefficient has a prior (median 2, "
        "CV 60 %, assumed): between 0.03 and 0.1 nM the curve jumps from nothing to half, so that the data bound it "
        "from below only.",
    )  # fmt: skip
    at = {**literature, "X50": mechanism.values["X50"], "kmax": mechanism.values["kmax"]}
    return {
        "sigmoid": best,
        "rising": mechanism,
        "densities": calibrate(
            "Killing, with affinity and receptor numbers", killing.binding(densities=True, **rising), starts,
            judged=True, at=at, note="To see what the curve cannot tell; judged at the published affinity and numbers.",
        ),
        "all": calibrate("Killing, binding model, all points", killing.binding(), starts,
                         note="The same with the points up to 512 nM: the model falls beyond 3 nM, the data do not."),
        "affinity": calibrate("Killing, affinity for CD3 free", killing.binding(affinity=True), starts,
                              note="All points; the affinity for CD3 that the curve asks for."),
    }  # fmt: skip


def by_affinity(quick: bool) -> pd.DataFrame:
    """How well the binding model describes all points at fixed affinities for CD3."""
    rows = []
    for KD in (20.8, 1e3, 1e5) if quick else (20.8, 100.0, 300.0, 1e3, 3e3, 1e4, 1e5):
        fit = qspx.fit(killing.binding(fixed={"KD_CD3": KD}), key=SEED, starts=3, progress=False)
        rows.append([KD, float(fit.objective.log_likelihood(fit.x)), fit.parameters["X50"], fit.parameters["hill"]])
    table = pd.DataFrame(rows, columns=["KD_CD3", "log_likelihood", "X50", "hill"])
    return table.assign(lost=table["log_likelihood"].max() - table["log_likelihood"])


def of_cytokine(quick: bool, pharmacokinetics: dict[str, float]) -> dict[str, Calibration]:
    model, starts = POELS.teclistamab(), 3 if quick else 10
    return {
        "published": calibrate("IL-6, release as published", cytokine.problem(model, pharmacokinetics, False), 1,
                               note="Release as published for elranatamab; only the scatter is fitted."),
        "fitted": calibrate("IL-6, release fitted", cytokine.problem(model, pharmacokinetics), starts, judged=True,
                            profiled=() if quick else ("EC50",),
                            note="Mean IL-6 of the patients, who had dexamethasone before the first three doses."),
    }  # fmt: skip


def draws_of(one: Calibration, names: tuple[str, ...], n: int) -> np.ndarray:
    """Draws of some parameters by Laplace's approximation, shape (n, names)."""
    found = qspx.laplace(one.problem.objective, one.fit.x).sample(SEED, n)
    return np.column_stack([found.column(name) for name in names])


def log_sd(one: Calibration, names: tuple[str, ...]) -> dict[str, float]:
    """Standard error of the logarithm."""
    table = one.fit.to_dataframe().set_index("parameter")
    return {k: float(table.loc[k, "se"] / table.loc[k, "estimate"]) for k in names}
