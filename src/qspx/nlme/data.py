"""`PopulationData`: what was given to each individual, what was measured in it, and its covariates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._dose_units import in_model_time
from qspx._errors import CalibrationError, closest
from qspx.calibrate.runs import Runs
from qspx.dosing import Regimen
from qspx.event_table import EventTable
from qspx.event_table.records import DOSE, OBSERVATION, RESET, RESET_AND_DOSE, plain
from qspx.model import AbstractModel
from qspx.units import conversion

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """What a measured value is: an observable or species of the model, in `unit` (default: the model's)."""

    observable: str
    unit: str | None = None


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

        Measurements are the records with EVID 0 that have a number in DV (and no 1 in MDV). CENS 1 says that the value
        is below DV, -1 that it is above (Monolix, nlmixr2). A table with neither AMT nor EVID holds measurements only.

        Args:
            source: pandas frame, or path of a CSV file with one header row.
            model: the model.
            endpoints: what DV is; where there are several, by the value of column DVID.
            unit: of AMT; see `EventTable.read`.
            time_unit: of TIME.
            covariates: columns with one value per individual, numbers or text.
            columns: what columns of other names are, as in `EventTable.read`; also DVID and CENS.
            compartments: what CMT means, as in `EventTable.read`.

        Raises:
            DoseError, CalibrationError: naming row and column.
        """
        import pandas as pd

        frame = source.reset_index(drop=True) if isinstance(source, pd.DataFrame) else pd.read_csv(source)
        frame, columns, own = _own_columns(frame, dict(columns or {}))
        table = EventTable.read(
            frame, model, unit=unit, time_unit=time_unit, columns=columns, compartments=compartments
        )
        seen = _measured(table, frame, columns)
        codes, names = _endpoints(endpoints, own.get("DVID"), seen, model)
        value = _numbers(frame, columns, "DV")[seen]
        factor = np.array([conversion(e.unit, model.outputs[e.observable].unit) if e.unit else 1.0 for e in codes])
        individual = np.repeat(np.arange(len(table)), np.diff(table.first))
        order = np.lexsort((table.time[seen], individual[seen]))  # stable: ties stay in the order of the table
        return cls(
            model,
            table.ids,
            tuple(table.regimen_from_zero(s) for s in range(len(table))),
            np.array([in_model_time(float(table.time[i]), time_unit, model) for i in table.first[:-1]]),
            table.theta,
            names,
            individual[seen][order],
            np.array([in_model_time(float(t), time_unit, model) for t in table.time[seen]])[order],
            np.array([_is_before(table, int(individual[i]), int(i)) for i in seen], dtype=bool)[order],
            np.array([names.index(e.observable) for e in codes], dtype=int)[order],
            (value * factor)[order],
            -_cens(own.get("CENS"), seen)[order],
            {name: _covariate(table, frame, name) for name in covariates},
        )

    def __len__(self) -> int:
        """Number of individuals."""
        return len(self.ids)

    @property
    def initial(self) -> np.ndarray:
        """Of each measurement, whether it shows the initial values: it stands above everything that is given at the
        individual's first record; (measurements,)."""
        return self.before & (self.time == self.begin[self.individual])

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
        censored = int((self.censored != 0).sum())
        return (
            f"{len(self)} individuals, {len(self.value)} measurements ({', '.join(counts)}"
            f"{f'; {censored} censored' if censored else ''})"
            f"{f'; {without} individuals without a measurement' if without else ''}"
        )


def _own_columns(frame: pd.DataFrame, columns: dict) -> tuple[pd.DataFrame, dict, dict[str, np.ndarray]]:
    """The frame with EVID where it lacks doses, columns that an event table understands, and DVID and CENS."""
    own: dict[str, np.ndarray] = {}
    for name in [str(c) for c in frame.columns]:
        meaning = columns.get(name, name)
        if meaning is not None and meaning.upper() in ("DVID", "CENS"):
            own[meaning.upper()] = np.array([plain(x) for x in frame[name]], dtype=object)
            columns[name] = None
    items = {str(columns.get(c, c)).upper() for c in map(str, frame.columns)}
    if not items & {"AMT", "EVID"}:
        frame = frame.assign(EVID=0)
    return frame, columns, own


def _numbers(frame: pd.DataFrame, columns: Mapping[str, str | None], item: str) -> np.ndarray:
    """A data item as numbers, NaN where it has none, (records,)."""
    import pandas as pd

    for name in map(str, frame.columns):
        if str(columns.get(name, name)).upper() == item:
            return np.asarray(pd.to_numeric(frame[name], errors="coerce"), dtype=float)
    raise CalibrationError(
        f"the data set has no column {item}; its columns are {list(frame.columns)}. Say so with "
        f"columns={{'THE COLUMN': '{item}'}}."
    )


def _measured(table: EventTable, frame: pd.DataFrame, columns: Mapping[str, str | None]) -> np.ndarray:
    """Numbers of the records that are measurements."""
    value, missing = _numbers(frame, columns, "DV"), np.zeros(len(frame), bool)
    if "MDV" in table.columns.values():
        missing = np.nan_to_num(_numbers(frame, columns, "MDV")) != 0
    seen = np.flatnonzero((table.evid == OBSERVATION) & ~missing & np.isfinite(value))
    if not len(seen):
        raise CalibrationError("the data set holds no measurement: no record with EVID 0 has a number in DV.")
    return seen


def _endpoints(
    given: Endpoint | Mapping, dvid: np.ndarray | None, seen: np.ndarray, model: AbstractModel
) -> tuple[list[Endpoint], tuple[str, ...]]:
    """The endpoint of each measurement, and the observables."""
    if isinstance(given, Endpoint):
        endpoints, found = [given], [given] * len(seen)
    else:
        by_code: dict[Any, Endpoint] = {plain(k): e for k, e in given.items()}
        endpoints = list(by_code.values())
        if dvid is None:
            raise CalibrationError(
                "Argument `endpoints` tells measurements apart by DVID, but the data set has no such column. Name it "
                "with columns={'THE COLUMN': 'DVID'}, or give one Endpoint."
            )
        unknown = [dvid[i] for i in seen if dvid[i] not in by_code]
        if unknown:
            raise CalibrationError(
                f"Argument `endpoints` has no entry for DVID {unknown[0]!r}; it has {list(by_code)}. Add one, or set "
                "MDV to 1 in these records."
            )
        found = [by_code[dvid[i]] for i in seen]
    names = model.require_outputs(tuple(dict.fromkeys(e.observable for e in endpoints)))
    for e in endpoints:
        conversion(e.unit or model.outputs[e.observable].unit, model.outputs[e.observable].unit)
    return found, names


def _is_before(table: EventTable, individual: int, record: int) -> bool:
    """Whether a record stands before all that is given at its time."""
    mine = table.records(individual)
    acting = mine[np.isin(table.evid[mine], (DOSE, RESET, RESET_AND_DOSE)) & (table.time[mine] == table.time[record])]
    if (acting > record).any() and (acting < record).any():
        raise CalibrationError(
            f"event table, row {table.rows[record]}: this measurement stands between two records that give something "
            "at the same time, so it is neither before nor after them. Put it before or after both."
        )
    return bool((acting > record).any())


def _cens(cens: np.ndarray | None, seen: np.ndarray) -> np.ndarray:
    if cens is None:
        return np.zeros(len(seen), dtype=int)
    found = cens[seen]
    if wrong := [x for x in found if x not in (-1, 0, 1)]:
        raise CalibrationError(f"column CENS must hold 0, 1 (below) or -1 (above), but {wrong[0]!r} was found.")
    return np.array(found, dtype=int)


def _covariate(table: EventTable, frame: pd.DataFrame, name: str) -> np.ndarray:
    """One value per individual, numbers where all are."""
    if name not in frame:
        raise CalibrationError(
            f"Argument `covariates` names column `{name}`, which the data set lacks.{closest(name, frame.columns)}"
        )
    cells = [plain(x) for x in frame[name]]
    for s in range(len(table)):
        mine = table.records(s)
        if other := [i for i in mine if cells[i] != cells[mine[0]]]:
            raise CalibrationError(
                f"data set, row {table.rows[other[0]]}, column `{name}`: {cells[mine[0]]!r} was expected, as in the "
                f"individual's first record, but {cells[other[0]]!r} was found. A covariate of a population model has "
                "one value per individual."
            )
    found = [cells[i] for i in table.first[:-1]]
    numeric = all(isinstance(x, int | float) for x in found)
    return np.array(found, dtype=float if numeric else object)
