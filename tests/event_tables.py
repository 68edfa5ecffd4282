"""Small event tables, and reading them."""

from __future__ import annotations

import pandas as pd
from superposition import Depot

from qspx import AbstractModel, Dose, EventTable, Parameter, Species

MODEL = Depot()
ORAL = [
    {"ID": 1, "TIME": 0, "EVID": 1, "AMT": 100, "CMT": 1, "II": 24, "ADDL": 3},
    {"ID": 1, "TIME": 2, "EVID": 0, "AMT": 0, "CMT": 2, "II": 0, "ADDL": 0},
    {"ID": 2, "TIME": 0, "EVID": 1, "AMT": 50, "CMT": 2, "II": 12, "ADDL": 1},
    {"ID": 2, "TIME": 5, "EVID": 0, "AMT": 0, "CMT": 2, "II": 0, "ADDL": 0},
]


def read(records, model=MODEL, **how) -> EventTable:
    frame = records if isinstance(records, pd.DataFrame) else pd.DataFrame(records)
    return EventTable.read(frame, model, **{"unit": "mg", "time_unit": "h"} | how)


def dose_of(**record) -> Dose:
    """The dose of a table with one record."""
    (dose,) = read([{"ID": 1, "TIME": 0.0, "EVID": 1, "AMT": 100, "CMT": 2} | record]).doses
    assert dose is not None
    return dose


class Daily(AbstractModel):
    """A model in days, for tables in hours and other units of amount."""

    molar_mass, body_weight = "MW", "WT"
    drug = Species("nmol", lag="lag", rate="R", duration="D")
    CL = Parameter(0.1, "1/day")
    MW = Parameter(1e5, "g/mol")
    WT = Parameter(70.0, "kg")
    lag = Parameter(0.5, "day")
    R = Parameter(48.0, "nmol/day")
    D = Parameter(0.25, "day")

    def rates(self, t, y, p):
        return {"drug": -p.CL * y.drug}
