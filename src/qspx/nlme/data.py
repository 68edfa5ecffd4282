"""`PopulationData`: what was given to each individual, what was measured in it, and its covariates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._checks import mapping, shown
from qspx._checks import names as named
from qspx._dose_units import in_model_time
from qspx._errors import CalibrationError, closest
from qspx.calibrate.runs import Runs
from qspx.dosing import Regimen
from qspx.event_table import EventTable
from qspx.event_table.records import OBSERVATION, OTHER, plain
from qspx.event_table.sheet import read_cells
from qspx.measured_events import observations
from qspx.measured_table import MeasuredTable
from qspx.measurements import read_values
from qspx.model import AbstractModel
from qspx.nlme.checks import of_kind
from qspx.simulation import require_model
from qspx.units import conversion

if TYPE_CHECKING:
    import pandas as pd


OWN = ("DVID", "CENS", "BLQ", "LLOQ")  # what is read here, besides the items of an event table
_MISSING = ("", ".", "NA", "NAN", "<NA>", "NAT")  # as a covariate; "none" may be one, as of a medication


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """What a measured value is: an observable or species of the model, in `unit` (default: the model's)."""

    observable: str
    unit: str | None = None

    def __post_init__(self):
        of_kind(self.observable, str, "observable` of `Endpoint")
        if self.unit is not None:
            of_kind(self.unit, str, "unit` of `Endpoint")


@dataclasses.dataclass(frozen=True, eq=False)
class PopulationData:
    """Individuals with their doses, measurements and covariates. Made by `PopulationData.read`.

    Args:
        model: whose observables were measured.
        ids: identifiers, (individuals,).
        regimens: what each was given, (individuals,); with a reset where it starts, if that is after time 0.
        begin: when each starts from the model's initial values: its first record, in the model's time unit,
            (individuals,).
        theta: parameters as far as the table says them, else typical ones, shape (individuals, parameters).
        endpoints: observables that were measured.
        individual: of each measurement, whose it is, shape (measurements,); sorted by individual and time.
        time: in the model's time unit, shape (measurements,).
        before: whether it was taken before what was given at exactly that time, shape (measurements,).
        endpoint: place in `endpoints`, shape (measurements,).
        value: in the observable's unit, shape (measurements,); where `censored` is not 0, the limit.
        censored: 0 for a value, -1 for less than the limit, 1 for more, shape (measurements,).
        covariates: by name, one value per individual, each (individuals,).
        left_out: how many records that give nothing are no measurements, because MDV is 1.
        ignored: columns of the table that were not understood, and play no part.
    """

    model: AbstractModel
    ids: tuple[int | float | str, ...]
    regimens: tuple[Regimen, ...]
    begin: np.ndarray
    theta: np.ndarray
    endpoints: tuple[str, ...]
    individual: np.ndarray
    time: np.ndarray
    before: np.ndarray
    endpoint: np.ndarray
    value: np.ndarray
    censored: np.ndarray
    covariates: Mapping[str, np.ndarray]
    left_out: int = 0
    ignored: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        source: pd.DataFrame | str | Path,
        model: AbstractModel,
        endpoints: Endpoint | Mapping[int | float | str, Endpoint],
        *,
        unit: str,
        time_unit: str,
        covariates: Sequence[str] = (),
        columns: Mapping[str, str | None] | None = None,
        compartments: Mapping[int | str, str] | None = None,
    ) -> PopulationData:
        """Read a data set in the form of NONMEM, nlmixr2 or Monolix: doses as in `EventTable.read`, and measurements.

        Measurements are the records with EVID 0 and no 1 in MDV, as `Measurements.from_events` reads them. CENS (or
        BLQ) 1 says that the value is below the limit, -1 that it is above (Monolix, nlmixr2); the limit is LLOQ, else
        DV, which then is no placeholder such as 0. A value below LLOQ, or a missing one beside it, is below the limit,
        too. Any other missing value is refused; mark its record with MDV 1. A table with neither AMT nor EVID holds
        measurements only.

        Args:
            source: pandas frame, or path of a CSV file with one header row.
            model: the model.
            endpoints: what DV is; where there are several, by the value of column DVID.
            unit: of AMT; see `EventTable.read`.
            time_unit: of TIME.
            covariates: columns with one value per individual, numbers or text.
            columns: what columns of other names are, as in `EventTable.read`; also DVID, CENS, BLQ and LLOQ.
            compartments: what CMT means, as in `EventTable.read`.

        Raises:
            DoseError, CalibrationError: naming row and column.
        """
        require_model(model)
        endpoints = _checked_endpoints(endpoints)
        of_kind(unit, str, "unit", 'For example "mg".')
        of_kind(time_unit, str, "time_unit", 'For example "h".')
        covariates = named(covariates, "covariates", CalibrationError)
        mapping(columns or {}, "columns", CalibrationError, '{"CONC": "DV"}')
        cells, rows = read_cells(source)
        frame, columns = _own_columns(cells, dict(columns or {}))
        table = EventTable.read(
            frame, model, unit=unit, time_unit=time_unit, columns=columns, compartments=compartments
        )
        table = dataclasses.replace(table, rows=rows)
        found, _ = observations(table, None, None)
        seen = np.searchsorted(rows, found["row"])
        codes, names = _endpoints(endpoints, table, seen)
        measured = MeasuredTable.of(found.drop(columns="row"), {}, found["row"].to_numpy())
        value, censored = read_values(measured, np.array([e.observable for e in codes]))
        factor = np.array([conversion(e.unit, model.outputs[e.observable].unit) if e.unit else 1.0 for e in codes])
        individual = np.repeat(np.arange(len(table)), np.diff(table.first))
        order = np.lexsort((table.time[seen], individual[seen]))  # stable: ties stay in the order of the table
        used = (*OWN, *covariates)
        return cls(
            model,
            table.ids,
            tuple(table.regimen_from_zero(s) for s in range(len(table))),
            np.array([in_model_time(float(table.time[i]), time_unit, model) for i in table.first[:-1]]),
            table.theta,
            names,
            individual[seen][order],
            np.array([in_model_time(float(t), time_unit, model) for t in table.time[seen]])[order],
            found["before"].to_numpy(bool)[order],
            np.array([names.index(e.observable) for e in codes], dtype=int)[order],
            (value * factor)[order],
            censored[order],
            {name: _covariate(table, frame, name) for name in covariates},
            left_out=_marked(table),
            ignored=tuple(c for c in table.ignored if c not in used and c not in columns),
        )

    def __len__(self) -> int:
        """Number of individuals."""
        return len(self.ids)

    def runs(self) -> tuple[Runs, np.ndarray]:
        """The run of each individual, and of each measurement its column among the run's samples, (measurements,)."""
        samples: list[list[tuple[float, bool]]] = [[] for _ in self.ids]
        for i, t, before in zip(self.individual, self.time, self.before, strict=True):
            samples[i].append((float(t), bool(before)))
        runs = Runs.of(self.model, self.regimens, samples)
        place = [
            runs.column(int(i), float(t), bool(b))
            for i, t, b in zip(self.individual, self.time, self.before, strict=True)
        ]
        return runs, np.array(place, dtype=int)

    def to_frame(self) -> pd.DataFrame:
        """One row per measurement: ID, TIME, observable, DV, CENS, and the covariates."""
        import pandas as pd

        frame = pd.DataFrame(
            {
                "ID": np.array(self.ids, dtype=object)[self.individual],
                "TIME": self.time,
                "observable": np.array(self.endpoints, dtype=object)[self.endpoint],
                "DV": self.value,
                "CENS": -self.censored,
            }
        )
        for name, values in self.covariates.items():
            frame[name] = values[self.individual]
        frame.attrs["units"] = {"TIME": self.model.time_unit}
        return frame

    def __str__(self) -> str:
        counts = [f"{(self.endpoint == k).sum()} of {name}" for k, name in enumerate(self.endpoints)]
        without = len(self) - len(np.unique(self.individual))
        remarks = {
            "individuals without a measurement": without,
            "records with MDV 1 left out": self.left_out,
        }
        censored = int((self.censored != 0).sum())
        parts = [
            f"{len(self)} individuals, {len(self.value)} measurements ({', '.join(counts)}"
            f"{f'; {censored} censored' if censored else ''})",
            *(f"{n} {what}" for what, n in remarks.items() if n),
            *([f"columns ignored: {', '.join(self.ignored)}"] if self.ignored else []),
        ]
        return "; ".join(parts)


def _own_columns(cells: pd.DataFrame, columns: dict[str, str | None]) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """The cells with EVID where they lack doses and what `OWN` holds by those names, and columns that an event table
    understands."""
    frame = cells
    for name in map(str, cells.columns):
        meaning = str(columns.get(name, name)).upper()
        if columns.get(name, name) is None and name.upper() in OWN:
            frame, _ = frame.drop(columns=name), columns.pop(name)
        elif meaning in OWN:
            if meaning != name and meaning in frame:
                raise CalibrationError(
                    f"columns `{meaning}` and `{name}` of the data set would both be `{meaning}`; leave one out with "
                    f"columns={{{meaning!r}: None}}."
                )
            frame = frame.rename(columns={name: meaning})
            columns.pop(name, None)
            columns[meaning] = None
    if not {str(columns.get(c, c)).upper() for c in map(str, frame.columns)} & {"AMT", "EVID"}:
        frame = frame.assign(EVID=0)
    return frame, columns


def _marked(table: EventTable) -> int:
    """How many records that give nothing have MDV 1."""
    if (cells := table.cells("MDV")) is None:
        return 0
    marked = np.array([plain(x) == 1 for x in cells])
    return int((marked & np.isin(table.evid, (OBSERVATION, OTHER))).sum())


def _checked_endpoints(given: Any) -> Endpoint | dict[Any, Endpoint]:
    """Raises `CalibrationError` for what is neither an endpoint nor maps to some."""
    if isinstance(given, Mapping) and given:
        for code, each in given.items():
            of_kind(each, Endpoint, f"endpoints` for `{code}", 'For example {1: Endpoint("CP", "mg/L")}.')
        return {plain(code): each for code, each in given.items()}
    if isinstance(given, Endpoint):
        return given
    name = given if isinstance(given, str) else "CP"
    raise CalibrationError(
        f"Argument `endpoints` must be an Endpoint, but {shown(given)} was given. Write Endpoint({name!r}, "
        "unit of DV), or map each value of DVID to one."
    )


def _endpoints(
    given: Endpoint | dict[Any, Endpoint], table: EventTable, seen: np.ndarray
) -> tuple[list[Endpoint], tuple[str, ...]]:
    """The endpoint of each measurement, and the observables."""
    model = table.model
    if isinstance(given, Endpoint):
        endpoints, found = [given], [given] * len(seen)
    else:
        by_code, endpoints = given, list(given.values())
        if (cells := table.cells("DVID")) is None:
            raise CalibrationError(
                "Argument `endpoints` tells measurements apart by DVID, but the data set has no such column. Name it "
                "with columns={'THE COLUMN': 'DVID'}, or give one Endpoint."
            )
        for i in seen:
            if plain(cells[i]) not in by_code:
                raise CalibrationError(
                    f"event table, row {table.rows[i]}: Argument `endpoints` has no entry for DVID {plain(cells[i])!r};"
                    f" it has {list(by_code)}. Add one, or set MDV to 1 in these records."
                )
        found = [by_code[plain(cells[i])] for i in seen]
    names = model.require_outputs(tuple(dict.fromkeys(e.observable for e in endpoints)))
    for e in endpoints:
        conversion(e.unit or model.outputs[e.observable].unit, model.outputs[e.observable].unit)
    return found, names


def _covariate(table: EventTable, frame: pd.DataFrame, name: str) -> np.ndarray:
    """One value per individual, numbers where all are."""
    if name not in frame:
        raise CalibrationError(
            f"Argument `covariates` names column `{name}`, which the data set lacks.{closest(name, frame.columns)}"
        )
    cells = [plain(x) for x in frame[name]]
    for s, subject in enumerate(table.ids):
        mine = table.records(s)
        for i in mine:
            if str(cells[i]).upper() in _MISSING:
                raise CalibrationError(
                    f"data set, row {table.rows[i]}, column `{name}`: the covariate is missing for individual "
                    f"{subject}. Fill it in, in every record of the individual, or leave the individual out."
                )
            if cells[i] != cells[mine[0]]:
                raise CalibrationError(
                    f"data set, row {table.rows[i]}, column `{name}`: {cells[mine[0]]!r} was expected, as in the first "
                    f"record of individual {subject}, but {cells[i]!r} was found. A covariate of a population model "
                    "has one value per individual."
                )
    found = [cells[i] for i in table.first[:-1]]
    numeric = all(isinstance(x, int | float) for x in found)
    return np.array(found, dtype=float if numeric else object)
