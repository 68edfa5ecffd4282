"""The four digitised data sets as frames with the columns of `Measurements`, and how far digitisation scatters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pandas as pd

from qspx.calibrate.error_models import AbstractErrorModel
from qspx.calibrate.noise import AbstractNoise, LogNormalNoise

DATA = Path(__file__).parent / "data"
STEP_UP_DAYS = (0.0, 3.0, 7.0)  # the IL-6 figure shows samples before and after doses at 72, 168 and 336 h
LAST_FIRST_DOSE_SAMPLE = 15.0  # day; the IV schedule was every two weeks, so later points may follow a second dose


@dataclasses.dataclass(frozen=True)
class Digitised(AbstractErrorModel):
    """Log-normal scatter of standard deviation `sd`, and reading off a figure on top: variance sd² + digitisation²."""

    sd: float | str
    digitisation: float = 0.1
    family: AbstractNoise = LogNormalNoise()

    @property
    def numbers(self) -> Mapping[str, float | str]:
        return {"sd": self.sd}

    def spread(self, prediction: Any, numbers: Any, given: Any) -> Any:
        return jnp.sqrt(numbers[0] ** 2 + self.digitisation**2)


def iv_pk(everything: bool = False) -> pd.DataFrame:
    """Single or first IV doses; columns arm, dose, time [day], value [µg/mL], study."""
    frame = pd.read_csv(DATA / "teclistamab_iv_pk.csv")
    frame.columns = ["dose", "time", "value"]
    frame.insert(0, "arm", [f"IV {d:g} µg/kg" for d in frame["dose"]])
    return frame[(frame["time"] <= LAST_FIRST_DOSE_SAMPLE) | everything].assign(study="IV").reset_index(drop=True)


def sc_pk() -> pd.DataFrame:
    """Step-up and weekly SC doses; time [day] from the first step-up dose."""
    frame = pd.read_csv(DATA / "teclistamab_sc_pk.csv", skipinitialspace=True)
    frame.columns = ["time", "value"]
    frame["time"] = 7.0 * frame["time"] + STEP_UP_DAYS[-1]
    return frame.assign(arm="SC step-up", study="SC")


def il6() -> pd.DataFrame:
    """Mean serum IL-6 [ng/L = pg/mL] under the same step-up; time [h]."""
    frame = pd.read_csv(DATA / "teclistamab_sc_il6.csv", skipinitialspace=True)
    frame.columns = ["time", "value"]
    return frame.assign(arm="SC step-up")


def killing(column: str = "median", top: float = float("inf")) -> pd.DataFrame:
    """Cytotoxicity after 48 h as a share; `column` is "median", "low" or "high" (over donors)."""
    frame = pd.read_csv(DATA / "teclistamab_h929_cytotoxicity.csv")
    frame = frame[frame["conc_nM"] <= top]
    value = frame[f"cytotoxicity_percent_{column}"] / 100
    return pd.DataFrame({"arm": [f"{c:g} nM" for c in frame["conc_nM"]], "concentration": frame["conc_nM"],
                         "time": 48.0, "value": value}).reset_index(drop=True)  # fmt: skip
