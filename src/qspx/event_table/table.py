"""`EventTable`: a data set of NONMEM, rxode2 or mrgsolve, read for a model."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qspx._dose_units import amount_unit
from qspx.dosing import Dose, Regimen
from qspx.event_table.covariates import Covariates, check_convention
from qspx.event_table.doses import DoseReader, Given, compartments_of, read_species, refuse_unused_durations
from qspx.event_table.parameters import TableParameters
from qspx.event_table.records import (
    DOSE,
    OBSERVATION,
    OTHER,
    RESET,
    RESET_AND_DOSE,
    read_evid,
    read_subjects,
    read_times,
)
from qspx.event_table.sheet import Sheet
from qspx.model import AbstractModel
from qspx.units import conversion

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class EventTable:
    """Subjects with their doses, resets, sampling times and parameters. Made by `EventTable.read`.

    Args:
        model: whose species and parameters the table is about.
        unit, time_unit: of amounts and of times.
        ids: identifiers of the subjects.
        theta: parameters, shape (subjects, parameters), in the units of the model's declarations.
        first: each subject's first record, and the number of records, shape (subjects + 1,).
        rows: row of each record in the file, where the header is row 1, shape (records,).
        time, evid: of each record, shape (records,).
        doses: the dose that each record gives, or None.
        columns: the columns that were understood: data item or parameter by name in the file.
        changing: parameters of which doses take the value in their own record.
        covariates: values of parameters that change in time within a subject.
        ignored: columns that were not understood, and play no part.
    """

    model: AbstractModel
    unit: str
    time_unit: str
    ids: tuple[int | float | str, ...]
    theta: np.ndarray
    first: np.ndarray
    rows: np.ndarray
    time: np.ndarray
    evid: np.ndarray
    doses: tuple[Dose | None, ...]
    columns: Mapping[str, str]
    changing: tuple[str, ...]
    covariates: Covariates
    ignored: tuple[str, ...]
    _frame: pd.DataFrame = dataclasses.field(repr=False)
    _cells: pd.DataFrame = dataclasses.field(repr=False)

    @classmethod
    def read(
        cls,
        source: pd.DataFrame | str | Path,
        model: AbstractModel,
        *,
        unit: str,
        time_unit: str,
        compartments: Mapping[int | str, str] | None = None,
        columns: Mapping[str, str | None] | None = None,
        covariates: str = "nocb",
    ) -> EventTable:
        """Read a data set.

        Columns, in any case: ID, TIME, EVID (without it: 1 where AMT is not 0), AMT, CMT, RATE (also -1 and -2: the
        parameter that the species declares as `rate` or `duration`), DUR (rxode2), II, ADDL, SS, MDV, DV, and
        parameters of the model by name, in the units of its declarations. Cells that are blank, '.' or NA are missing.
        The order of records at one time counts.

        Args:
            source: pandas frame, or path of a CSV file with one header row.
            model: the model.
            unit: of AMT; RATE is in `unit` per `time_unit`. Append `/kg` for doses per body weight: "ug/kg".
            time_unit: of TIME, II and DUR.
            compartments: what CMT means, e.g. {1: "depot", 2: "central"}; default: 1, 2, ... are the species in the
                order of the model. Names of species are always understood.
            columns: what columns of other names are: a data item or a parameter; None leaves a column out.
            covariates: how parameters that the model lets vary (`time_varying`) go from record to record. "nocb": the
                value of a record holds from the record before it, as in NONMEM and by default in mrgsolve; "locf": it
                holds up to the next record, as by default in rxode2; "linear": straight lines. Every record counts,
                observations too.

        Raises:
            DoseError, UnitError: naming the row of the file, the column, what was found, and the repair.
        """
        conversion(time_unit, model.time_unit)
        check_convention(covariates)
        sheet = Sheet.of(source, model, columns or {})
        ids, first = read_subjects(sheet)
        time, evid = read_times(sheet, first), read_evid(sheet)
        gives = np.isin(evid, (DOSE, RESET_AND_DOSE))
        into = read_species(sheet, model, gives, compartments_of(model, compartments))
        parameters = TableParameters.of(sheet, model, first, gives, time, covariates)
        given, weights = Given.of(sheet, gives), parameters.covariates.weights()
        refuse_unused_durations(sheet, model, gives, given, columns or {})
        parameters.covariates.check_steady(sheet, first, given.steady)
        reader = DoseReader(sheet, model, unit, time_unit, given, parameters.own, into, time, weights)
        reader.check_units()
        doses = tuple(reader.dose(i) if gives[i] else None for i in range(len(sheet)))
        return cls(
            model,
            unit,
            time_unit,
            tuple(ids),
            parameters.theta,
            first,
            sheet.rows,
            time,
            evid,
            doses,
            {column: name for name, column in [*sheet.items.items(), *sheet.parameters.items()]},
            tuple(parameters.own),
            parameters.covariates,
            sheet.ignored,
            _canonical(sheet, ids, first, time, evid, doses, model),
            sheet.frame,
        )

    def __len__(self) -> int:
        """Number of subjects."""
        return len(self.ids)

    def records(self, subject: int) -> np.ndarray:
        """Numbers of the subject's records."""
        return np.arange(self.first[subject], self.first[subject + 1])

    def cells(self, name: str) -> np.ndarray | None:
        """Cells of a column as they stand in the file, shape (records,): of a data item, or of any other column by its
        name, in any case. None where there is no such column."""
        alike = [c for c, item in self.columns.items() if item == name.upper()]
        alike += [c for c in self._cells.columns if c.upper() == name.upper()]
        return self._cells[alike[0]].to_numpy() if alike else None

    @property
    def observations(self) -> np.ndarray:
        """Numbers of the observation records (EVID 0); `rows[observations]` are their rows in the file."""
        return np.flatnonzero(self.evid == OBSERVATION)

    @functools.cached_property
    def regimens(self) -> tuple[Regimen, ...]:
        """What each subject receives. A subject without doses has one of amount 0 at its first record."""
        return tuple(self.regimen(s) for s in range(len(self)))

    def regimen(self, subject: int, records: int | None = None) -> Regimen:
        """What the subject's first `records` records give (default: all). Doses that stand before a reset at the same
        time are cancelled by it, as are those before it in time that are still to come."""
        mine = self.records(subject)[:records]
        doses, resets = [], []
        for i in mine[np.isin(self.evid[mine], (DOSE, RESET, RESET_AND_DOSE))]:
            if self.evid[i] != DOSE:
                resets.append(float(self.time[i]))
                doses = [d for d in doses if d.at < self.time[i]]
            if (dose := self.doses[i]) is not None:
                doses.append(dose)
        given = tuple(doses) or (self._nothing(subject),)
        return Regimen(given, self.time_unit, tuple(dict.fromkeys(resets)), self.covariates.of(mine))

    def regimen_from_zero(self, subject: int) -> Regimen:
        """What the subject receives in a run that begins at time 0: with a reset at its first record, where it starts
        from the model's initial values."""
        begin, regimen = float(self.time[self.first[subject]]), self.regimens[subject]
        return dataclasses.replace(regimen, resets=(begin, *regimen.resets)) if begin > 0 else regimen

    def _nothing(self, subject: int) -> Dose:
        """A dose of amount 0, where a regimen needs one."""
        given = next((d for d in self.doses if d is not None), None)
        into = given.into if given else next(iter(self.model.species))
        unit = self.unit if given else amount_unit(self.model, into).text
        return Dose(0.0, unit, into, float(self.time[self.first[subject]]))

    def to_frame(self) -> pd.DataFrame:
        """The table with NONMEM's names and compartments numbered in the order of the model's species. `read` of it
        gives the same table; units in `df.attrs["units"]`."""
        frame = self._frame.copy()
        frame.attrs["units"] = {"TIME": self.time_unit, "AMT": self.unit}
        frame.attrs["units"] |= {k: p.unit for k, p in self.model.parameters.items() if k in frame}
        return frame

    def __str__(self) -> str:
        kinds = {OBSERVATION: "observation", DOSE: "dose", OTHER: "other", RESET: "reset"}
        kinds[RESET_AND_DOSE] = "reset and dose"
        counts = ", ".join(f"{(self.evid == k).sum()} {v}" for k, v in kinds.items() if (self.evid == k).any())
        into = dict.fromkeys(d.into for d in self.doses if d)
        parameters = [name for name in self.columns.values() if name in self.model.parameters]
        lines = [
            f"event table for {self.model.name}: {len(self)} subjects, {len(self.time)} records ({counts})",
            f"amounts in {self.unit} into {', '.join(into) or 'nothing'}, times in {self.time_unit}",
            f"parameters: {', '.join(parameters) or 'none, so that all have typical values'}",
        ]
        if self.changing:
            lines.append(f"doses take the value in their own record: {', '.join(self.changing)}")
        if self.covariates.values:
            lines.append(f"change in time: {', '.join(self.covariates.values)} ({self.covariates.convention})")
        lines.append(f"columns ignored: {', '.join(self.ignored) or 'none'}")
        return "\n".join(lines)


def _canonical(sheet: Sheet, ids, first, time, evid, doses, model: AbstractModel) -> pd.DataFrame:
    """The cells by NONMEM's names, as they were understood."""
    import pandas as pd

    numbers = {name: i for i, name in enumerate(model.species, start=1)}
    frame = pd.DataFrame({"ID": np.repeat(np.array(ids, dtype=object), np.diff(first)), "TIME": time, "EVID": evid})
    frame["ID"] = frame["ID"].infer_objects()
    frame["AMT"] = sheet.item("AMT")
    frame["CMT"] = [numbers[d.into] if d else 0 for d in doses]
    for item in ("RATE", "DUR", "II", "ADDL", "SS"):
        if item in sheet.items:
            frame[item] = sheet.item(item)
    for item in ("MDV", "DV"):
        if item in sheet.items:
            frame[item] = sheet.frame[sheet.items[item]].to_numpy()
    for name, column in sheet.parameters.items():
        frame[name] = sheet.numbers(column, np.nan)
    return frame
