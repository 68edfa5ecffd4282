"""IL-6 under the SC step-up: the cytokine block of Poels 2025, as published for elranatamab and fitted."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pharmacokinetics import step_up_doses
from populations import POELS
from reading import Digitised, il6

import qspx

RELEASE = {"Emax": (1e1, 1e7), "EC50": (1e-4, 1e3), "IC50": (1e1, 1e8), "bprod": (0.2, 5.0)}


def problem(model, pharmacokinetics: dict[str, float], estimated=True, digitisation=0.1) -> qspx.CalibrationProblem:
    """Release, potency, memory and baseline production; the human pharmacokinetics as fitted."""
    frame = il6()
    data = qspx.Measurements.from_dataframe(frame, model, time_unit="h", units="pg/mL", observables="cyt")
    free = [qspx.Estimated(n, b) for n, b in RELEASE.items()] if estimated else []
    regimen = POELS.with_count(step_up_doses())
    return qspx.CalibrationProblem(
        model, data, [*free, qspx.Estimated("sd", (0.05, 3.0), 0.5)], Digitised("sd", digitisation),
        {"SC step-up": regimen}, fixed={**pharmacokinetics, "cyt0": float(frame["value"][0])},
        integrator=qspx.AutomaticIntegrator(rtol=1e-6, atol=1e-9),
    )  # fmt: skip


def peaks(problem: qspx.CalibrationProblem, values, label: str) -> pd.DataFrame:
    """Highest measured and predicted IL-6 after each of the first three doses."""
    frame = problem.predict(values)
    rows = []
    for dose, (start, end) in enumerate([(0, 72), (72, 168.3), (168.3, 337)], 1):
        measured = frame[(frame["time"] > start) & (frame["time"] <= end)]["value"].max()
        curve = problem.curves(values, np.linspace(start + 1, end, 80))["prediction"].max()
        rows.append([label, dose, measured, curve, curve / measured])
    return pd.DataFrame(rows, columns=["parameters", "dose", "measured", "predicted", "ratio"])
