"""A regimen as an event table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from qspx._errors import DoseError
from qspx.dosing import Dose, Regimen
from qspx.event_table.records import DOSE, OBSERVATION, RESET
from qspx.model import AbstractModel
from qspx.units import conversion

if TYPE_CHECKING:
    import pandas as pd


def events_frame(
    regimen: Regimen, model: AbstractModel, *, times: Sequence[float] | np.ndarray = (), id: int | str = 1
) -> pd.DataFrame:
    """A regimen in NONMEM's columns: ID, TIME, EVID, AMT, CMT, RATE, II, ADDL, SS.

    Times are in the regimen's unit; compartments are the species in the order of the model. Infusions given by their
    duration are in DUR, which rxode2 reads, and NONMEM does not; a bioavailability or a lag that a dose says itself is
    in the column of the parameter that the species declares.

    Args:
        regimen: all its doses in one unit.
        model: the model.
        times: of observation records (EVID 0), in the regimen's time unit; they stand after doses at the same time.
        id: of the subject.

    Raises:
        DoseError: naming a dose that an event table cannot say.
    """
    import pandas as pd

    unit = regimen.unit
    if regimen.inputs:
        raise DoseError(
            f"the regimen has inputs ({', '.join(regimen.inputs)}), which programs read in different ways from a table "
            "(see EventTable.read); write the doses alone, events_frame(dataclasses.replace(regimen, inputs={}), ...), "
            "and add columns for them."
        )
    rows = [{"TIME": t, "EVID": RESET} for t in regimen.resets]
    rows += [_row(dose, i, model, regimen.time_unit) for i, dose in enumerate(regimen.doses)]
    rows += [{"TIME": float(t), "EVID": OBSERVATION} for t in np.asarray(times, dtype=float).ravel()]
    rows.sort(key=lambda row: row["TIME"])  # keeps the order of what happens at one time
    frame = pd.DataFrame(rows)
    usual = ["TIME", "EVID", "AMT", "CMT", "RATE", "DUR", "II", "ADDL", "SS"]
    for name in frame.columns.difference(usual):
        typical = model.parameters[name].value
        said = frame[name].where(frame["EVID"] != DOSE, frame[name].fillna(typical))
        frame[name] = said.ffill().bfill()
    order = [c for c in usual if c in frame] + [c for c in frame if c not in usual]
    frame = pd.DataFrame(frame.fillna(0.0), columns=order)
    whole = [c for c in ("EVID", "CMT", "ADDL", "SS") if c in frame]
    frame[whole] = frame[whole].astype(int)
    frame.insert(0, "ID", id)
    frame.attrs["units"] = {"TIME": regimen.time_unit, "AMT": unit}
    return frame


def _row(dose: Dose, i: int, model: AbstractModel, time_unit: str) -> dict[str, Any]:
    species = model.species[list(model.species)[model.species_index(dose.into)]]
    number = model.species_index(dose.into) + 1
    row: dict[str, Any] = {"TIME": dose.at, "EVID": DOSE, "AMT": dose.amount, "CMT": number, "RATE": 0.0}
    row |= {"II": dose.every or 0.0, "ADDL": dose.additional, "SS": dose.steady_state}
    for role, code in (("rate", -1), ("duration", -2)):
        value = getattr(dose, role)
        if isinstance(value, str):
            if value != getattr(species, role):
                _refuse(role, value, dose, i)
            row["RATE"] = code
        elif value is not None:
            row["RATE" if role == "rate" else "DUR"] = value
    for role, factor in (("bioavailability", 1.0), ("lag", conversion(time_unit, model.time_unit))):
        value, declared = getattr(dose, role), getattr(species, role)
        if value is None or value == declared:
            continue
        if declared is None or isinstance(value, str):
            _refuse(role, value, dose, i)
        row[declared] = value * factor
    return row


def _refuse(role: str, value: float | str, dose: Dose, i: int) -> NoReturn:
    raise DoseError(
        f"dose {i} into `{dose.into}` has `{role}` {value}, which an event table can only say through the parameter "
        f"that the species declares as its `{role}`. Declare Species(..., {role}='a parameter'), and name it, or give "
        "a number."
    )
