"""Human pharmacokinetics of teclistamab from the IV and SC curves, beside the published population model."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
from reading import STEP_UP_DAYS, Digitised, iv_pk, sc_pk

import qspx

WEEKLY = 4  # full doses whose curve is shown
STEPS = (0.06, 0.3, 1.5)  # mg/kg
PUBLISHED = {"CL1": 0.449, "CL2": 0.547, "V1": 4.13, "ka": 0.133, "F": 0.718}
HELD = {"V2": 1.34, "Q": 0.0390, "kdes": 0.0292, "CL2": 0.547}  # Miao 2023: what these data do not tell
WIDE = {"CL1": (0.01, 5.0), "CL2": (0.001, 5.0), "V1": (1.0, 20.0), "V2": (0.1, 50.0), "Q": (0.001, 5.0),
        "ka": (0.02, 2.0)}  # fmt: skip


def step_up_doses() -> list[tuple[float, str, str, float]]:
    """Dose, unit, species, day of the SC regimen."""
    full = [STEP_UP_DAYS[-1] + 7.0 * k for k in range(WEEKLY)]
    pairs = [*zip(STEPS[:2], STEP_UP_DAYS[:2], strict=True), *((STEPS[2], day) for day in full)]
    return [(dose, "mg/kg", "depot", day) for dose, day in pairs]


def regimens(central: str, doses: Any) -> dict[str, qspx.Regimen]:
    """What each arm was given; `central` is the species of an IV dose."""
    given = {f"IV {d:g} µg/kg": qspx.Regimen.single(d, "ug/kg", central) for d in doses}
    return given | {"SC step-up": qspx.Regimen(tuple(qspx.Dose(*dose) for dose in step_up_doses()))}


@dataclasses.dataclass(frozen=True)
class Task:
    """A model that predicts serum concentration, and how its species and observable are called."""

    model: Any
    observable: str
    central: str

    def problem(self, estimated, *, fixed=None, digitisation=0.1, everything=False) -> qspx.CalibrationProblem:
        frame = pd.concat([iv_pk(everything), sc_pk()])
        data = qspx.Measurements.from_dataframe(frame, self.model, time_unit="day", units="ug/mL",
                                                observables=self.observable)  # fmt: skip
        scatter = [qspx.Estimated("sd_IV", (0.02, 2.0), 0.4), qspx.Estimated("sd_SC", (0.02, 2.0), 0.2)]
        return qspx.CalibrationProblem(
            self.model, data, [*estimated, *scatter], Digitised("sd", digitisation),
            regimens(self.central, sorted(set(frame["dose"].dropna()))), fixed=fixed or {},
            per_study={"sd": {"IV": "sd_IV", "SC": "sd_SC"}},
            integrator=qspx.AutomaticIntegrator(rtol=1e-6, atol=1e-9),
        )  # fmt: skip


BIOAVAILABILITY = qspx.Estimated("F", (0.05, 1.0), 0.7, scale="logit")


def everything(task: Task, **options) -> qspx.CalibrationProblem:
    """All parameters of the structure of Miao 2023, to see what the data can tell."""
    estimated = [qspx.Estimated(n, b) for n, b in WIDE.items()]
    return task.problem([*estimated, BIOAVAILABILITY], fixed={"kdes": HELD["kdes"]}, **options)


def reduced(task: Task, **options) -> qspx.CalibrationProblem:
    """What they can tell: clearance at the start, volume, absorption, bioavailability; the rest as published."""
    estimated = [qspx.Estimated(n, WIDE[n]) for n in ("CL1", "V1", "ka")]
    return task.problem([*estimated, BIOAVAILABILITY], fixed=HELD, **options)


def in_system(task: Task, **options) -> qspx.CalibrationProblem:
    """The same four in the system with marrow, soluble BCMA and CD3, whose names and units differ."""
    hourly = {"CL": (0.001, 0.3), "Vc": (1.0, 20.0), "ka": (1e-3, 0.1)}
    return task.problem([*(qspx.Estimated(n, b) for n, b in hourly.items()), BIOAVAILABILITY], **options)


def compared(fit: qspx.Fit) -> pd.DataFrame:
    """Estimates beside the published typical values, and whether these lie inside the 95 % interval."""
    table = fit.to_dataframe().set_index("parameter")
    rows = []
    for name, published in PUBLISHED.items():
        if name not in table.index:
            continue
        estimate, low, high = (float(table.loc[name, k]) for k in ("estimate", "low", "high"))
        inside = "yes" if low <= published <= high else "no" if np.isfinite(low + high) else "no interval: at a bound"
        rows.append([name, estimate, low, high, published, estimate / published, inside])
    return pd.DataFrame(rows, columns=["parameter", "estimate", "low", "high", "published", "ratio", "inside"])


def fold_errors(task: Task, label: str, parameters: dict[str, float] | None = None) -> pd.DataFrame:
    """Predicted over measured concentration by arm: geometric mean, and geometric mean fold error. No fit."""
    problem = task.problem([], fixed=parameters or {})
    frame = problem.predict({"sd_IV": 0.4, "sd_SC": 0.2})
    ratio = np.log(frame["prediction"] / frame["value"]).astype(float)
    grouped = ratio.groupby([frame["study"], frame["arm"]], sort=False)
    found = grouped.agg(n="size", ratio=lambda r: np.exp(r.mean()), fold_error=lambda r: np.exp(r.abs().mean()))
    return found.reset_index().drop(columns="study").assign(prediction=label)
