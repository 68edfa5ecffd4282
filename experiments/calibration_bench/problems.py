"""The problems, with reference values by others, and the places at which they are evaluated."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "data" / "petab"
NAMES = {
    "Boehm": "Boehm_JProteomeRes2014",
    "Brannmark": "Brannmark_JBC2010",
    "Crauste": "Crauste_CellSystems2017",
    "Perelson": "Perelson_Science1996",
}
# best known negative log-likelihood: Hass 2019 (doi:10.1093/bioinformatics/btz020) and pyPESTO
BEST = {"Boehm": 138.221977, "Perelson": 222.2808}


SPREAD = {"Crauste": 1e-5}  # further away the solution blows up, and a run that fails tells nothing


@dataclasses.dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        path: its YAML file.
        names: estimated parameters in the order of the table.
        nominal: their coordinates on the parameter scale.
        places: other coordinates, near the nominal ones, shape (places, estimated).
        value, gradient: log-likelihood and its derivatives at the nominal ones, by others at rtol 1e-12.
    """

    name: str
    path: Path
    names: tuple[str, ...]
    nominal: np.ndarray
    places: np.ndarray
    value: float
    gradient: np.ndarray

    def errors(self, value: float, gradient: np.ndarray | None) -> tuple[float, float]:
        """Relative error of the value; largest error of the gradient over 1e-3 |reference| + 1e-4."""
        of_value = abs(value / self.value - 1)
        if gradient is None:
            return of_value, float("nan")
        return of_value, float(np.max(np.abs(gradient - self.gradient) / (1e-3 * np.abs(self.gradient) + 1e-4)))


def problem(name: str, places: int) -> Problem:
    folder = FOLDER / NAMES[name]
    table = pd.read_csv(next(folder.glob("parameters*")), sep="\t")
    table = table[table["estimate"] == 1]
    nominal = np.log10(table["nominalValue"].to_numpy())  # every estimated parameter of the four is on this scale
    reference = pd.read_csv(FOLDER / "reference_gradient.csv")
    reference = reference[reference["problem"] == NAMES[name]].set_index("parameterId").loc[list(table["parameterId"])]
    column = "dnllh_dx_variational_scipy_radau" if name == "Crauste" else "dnllh_dx_forward_tight"
    values = pd.read_csv(FOLDER / "reference_objective.csv", index_col="problem")
    noise = np.random.default_rng(0).normal(size=(places, len(nominal)))
    return Problem(
        name,
        folder / f"{NAMES[name]}.yaml",
        tuple(table["parameterId"]),
        nominal,
        nominal + SPREAD.get(name, 0.05) * noise,  # as in AMICI's own gradient checks
        -float(values.loc[NAMES[name], "nllh_tight_rtol1e-12_atol1e-16"]),
        -reference[column].to_numpy(),
    )
