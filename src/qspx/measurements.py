"""`Measurements`: what was observed, as one long table in the units of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._dose_units import in_model_time
from qspx._errors import CalibrationError, closest
from qspx.measured_observables import Observed, read_factors, read_observables
from qspx.measured_table import MeasuredTable
from qspx.model import AbstractModel
from qspx.units import unit

if TYPE_CHECKING:
    import pandas as pd

    from qspx.event_table import EventTable

CENSORED = {-1: "below", 0: "", 1: "above"}
SINGLE_ARM = "all"  # the arm of a table without such a column


@dataclasses.dataclass(frozen=True, eq=False)
class Measurements:
    """A long table, one entry per measured value. Made by `from_dataframe`, `read_csv` or `from_events`.

    Args:
        observable, arm, study, subject, replicate: names, shape (rows,); "" where there is none.
        time: in `time_unit`, that of the model, shape (rows,).
        value: in the unit of the observable in `units`; the limit where `censored` is not 0.
        sd: standard deviation that the table gives for single values, or NaN.
        n: of how many values this one is the mean.
        censored: -1 where less than `value` was seen, 1 where more, else 0.
        before: whether the value is that before what is given at exactly its time.
        row: number of the row in the file, where the header is row 1.
        observed: how each observable comes from the model.
        units: of each observable.
        dropped: how many rows were left out, by reason.
        ignored: columns that were not understood, and play no part.
    """

    observable: np.ndarray
    arm: np.ndarray
    study: np.ndarray
    subject: np.ndarray
    replicate: np.ndarray
    time: np.ndarray
    value: np.ndarray
    sd: np.ndarray
    n: np.ndarray
    censored: np.ndarray
    before: np.ndarray
    row: np.ndarray
    observed: Mapping[str, Observed]
    units: Mapping[str, str]
    time_unit: str
    dropped: Mapping[str, int] = dataclasses.field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    @classmethod
    def from_dataframe(
        cls,
        df: pd.DataFrame,
        model: AbstractModel,
        *,
        time_unit: str | None = None,
        units: Mapping[str, str] | str | None = None,
        observables: Mapping[str, str | Observed] | str | None = None,
        columns: Mapping[str, str | None] | None = None,
        replicates: bool = False,
    ) -> Measurements:
        """Read a long table.

        Columns, in any case: observable (or PEtab's observableId, or DVID), arm (simulationConditionId), study, subject
        (ID), time, value (measurement, DV), unit, time_unit, sd (noiseParameters), n, lloq, censored (CENS, BLQ),
        before, replicate (replicateId). Only time and value must be there. Blank cells, '.' and NA are missing.

        - `sd` with `n`: the value is the mean of n, and sd the standard deviation of the group (not that of the mean).
        - `lloq`: a value below it, or a missing one, is censored. `censored` says so itself ("below" or 1; "above" or
          -1); then the limit is in `lloq`, or else it is the value, which then is no placeholder such as 0. Such rows
          count as the probability of less than the limit (method M3 of Beal 2001, doi:10.1023/a:1012299115260);
          `without_censored` leaves them out (M1).

        Args:
            df: pandas frame.
            model: whose units the values are converted to; mass becomes amount with its molar mass.
            time_unit: of the times, unless the table says so.
            units: of the values, one for all or by observable, unless the table has a column `unit`.
            observables: what names in the table mean: an observable or species of the model, or an `Observed` with
                scaling and offset. A table without such a column is about the one that is named here.
            columns: what columns of other names are; None leaves a column out.
            replicates: whether rows that are equal in every column are repeated measurements, not copies.

        Raises:
            CalibrationError, UnitError: naming the row, the column, what was found, and the repair.
        """
        table = MeasuredTable.of(df, columns or {})
        return cls._read(table, model, time_unit, units, observables, replicates)

    @classmethod
    def _read(
        cls,
        table: MeasuredTable,
        model: AbstractModel,
        time_unit: str | None,
        units: Mapping[str, str] | str | None,
        observables: Mapping[str, str | Observed] | str | None,
        replicates: bool,
    ) -> Measurements:
        observable, observed = read_observables(table, model, observables)
        time_unit = _time_unit(table, time_unit)
        arm = table.text("arm", None) if "arm" in table.columns else np.full(len(table), SINGLE_ARM, dtype=object)
        time = table.numbers("time")
        table.require(np.isfinite(time), "time", "a time was expected")
        factor, own = read_factors(table, model, observable, observed, units)
        value, censored = read_values(table, observable)
        sd, n = table.numbers("sd"), table.numbers("n", 1.0)
        table.require(~(sd <= 0), "sd", "a standard deviation > 0 was expected", " Leave the cell blank if unknown.")
        table.require((n >= 1) & (n == np.round(n)), "n", "a whole number >= 1 was expected")
        table.require((n == 1) | (censored == 0), "n", "1 was expected, because the value is censored")
        found = cls(
            observable,
            arm,
            table.text("study"),
            table.text("subject"),
            table.text("replicate"),
            time=np.array([in_model_time(float(t), time_unit, model) for t in time]),
            value=value * factor,
            sd=sd * factor,
            n=n,
            censored=censored,
            before=table.codes("before") != 0,
            row=table.rows,
            observed=observed,
            units=own,
            time_unit=model.time_unit,
            ignored=table.ignored,
        )
        if not replicates:
            found._refuse_copies()
        return found

    @classmethod
    def from_events(
        cls,
        table: EventTable,
        observables: Mapping[int | str, str | Observed] | str | Observed,
        *,
        units: Mapping[int | str, str] | str,
        item: str | None = None,
        replicates: bool = False,
    ) -> Measurements:
        """The observations of an event table: DV where EVID and MDV are 0. Every subject is an arm, by its ID, so the
        table itself is what `arms` of a CalibrationProblem is. A record that stands above a dose at its time is the
        value before it.

        Args:
            table: read for the model.
            observables: what DV is; or, where several things were measured, what each number in column `item` means,
                e.g. {1: "PK", 2: "effect"}.
            units: of DV, one for all or by number or observable of the model.
            item: the column that tells observables apart; default DVID, else CMT (as it stands in the file). CENS (or
                BLQ) and LLOQ are read as in `from_dataframe`.
            replicates: as in `from_dataframe`.

        Raises:
            CalibrationError, UnitError: naming the row of the file, the column, what was found, and the repair.
        """
        from qspx.measured_events import observations

        frame, names = observations(table, observables, item)
        if isinstance(observables, Mapping):
            meaning = {names[k]: v for k, v in observables.items()}
        else:
            meaning = observables if isinstance(observables, str) else {observables.output: observables}
        own = units if isinstance(units, str) else {names.get(k, str(k)): v for k, v in units.items()}
        long = MeasuredTable.of(frame.drop(columns="row"), {}, frame["row"].to_numpy())
        return cls._read(long, table.model, table.time_unit, own, meaning, replicates)

    @classmethod
    def read_csv(cls, path: str | Path, model: AbstractModel, **how: Any) -> Measurements:
        """Read a file as `to_csv` writes it, or any other with one header row; `how`: see `from_dataframe`."""
        import pandas as pd

        try:
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
        except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise CalibrationError(f"the measurements {path} cannot be read: {error}") from error
        return cls.from_dataframe(frame, model, **how)

    def _refuse_copies(self) -> None:
        seen: dict[tuple[str, ...], int] = {}
        for i, cells in enumerate(self.to_dataframe().astype(str).itertuples(index=False, name=None)):
            if cells in seen:
                raise CalibrationError(
                    f"measurements, row {self.row[i]}: it is a copy of row {self.row[seen[cells]]} "
                    f"(`{self.observable[i]}` in arm `{self.arm[i]}` at {self.time[i]:g} {self.time_unit}: "
                    f"{self.value[i]:g}). Remove it; or, if it was measured twice, say so with a column `replicate`, "
                    "or replicates=True."
                )
            seen[cells] = i

    def __len__(self) -> int:
        return len(self.value)

    # parts ----------------------------------------------------------------------------------------------------------

    def rows(self, which: np.ndarray) -> Measurements:
        """Some of the measurements, by number or as a mask, or some of them several times."""
        arrays = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        chosen = {k: v[which] for k, v in arrays.items() if isinstance(v, np.ndarray)}
        return dataclasses.replace(self, **chosen)

    def without_censored(self) -> Measurements:
        """Only values that were quantified (method M1): biased where many are not. `dropped` counts the others."""
        kept = self.rows(self.censored == 0)
        left = {f"{word} the limit": int((self.censored == code).sum()) for code, word in CENSORED.items() if code}
        counts = {k: n + self.dropped.get(k, 0) for k, n in left.items() if n}
        return dataclasses.replace(kept, dropped={**self.dropped, **counts})

    @property
    def observables(self) -> tuple[str, ...]:
        """Observables that were measured, in the order of the table."""
        return tuple(dict.fromkeys(self.observable))

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms with measurements, in the order of the table."""
        return tuple(dict.fromkeys(self.arm))

    # views ----------------------------------------------------------------------------------------------------------

    def to_dataframe(self) -> pd.DataFrame:
        """The table with columns that `from_dataframe` reads; units in `df.attrs["units"]`."""
        import pandas as pd

        frame = pd.DataFrame({name: getattr(self, name) for name in ("observable", "arm", "study", "subject")})
        frame["time"], frame["value"] = self.time, self.value
        frame["unit"] = [self.units[o] for o in self.observable]
        frame["sd"], frame["n"] = self.sd, self.n.astype(int)
        frame["censored"] = [CENSORED[int(c)] for c in self.censored]
        frame["before"], frame["replicate"] = self.before, self.replicate
        if (self.censored < 0).any():
            frame["lloq"] = np.where(self.censored < 0, self.value, np.nan)
        frame.attrs["units"] = {"time": self.time_unit, **self.units}
        return frame

    def to_csv(self, path: str | Path) -> None:
        """Write the table with its time unit; `read_csv` of it gives the same measurements."""
        self.to_dataframe().assign(time_unit=self.time_unit).to_csv(path, index=False)

    def summary(self) -> pd.DataFrame:
        """One row per observable, study and arm: how many values, censored ones, subjects, first and last time, and the
        least and largest quantified value. It prints in full."""
        from qspx.measured_summary import Summary

        rows = []
        for o, s, a in dict.fromkeys(zip(self.observable, self.study, self.arm, strict=True)):
            g = self.rows((self.observable == o) & (self.study == s) & (self.arm == a))
            seen = g.value[g.censored == 0]
            rows.append(
                {
                    "observable": o,
                    "study": s,
                    "arm": a,
                    "unit": self.units[o],
                    "values": len(g),
                    "below": int((g.censored < 0).sum()),
                    "above": int((g.censored > 0).sum()),
                    "subjects": len(set(g.subject) - {""}),
                    "first": g.time.min(),
                    "last": g.time.max(),
                    "least": min(seen, default=np.nan),
                    "largest": max(seen, default=np.nan),
                }
            )
        return Summary(rows)

    def plot(self, observable: str | None = None, ax: Any = None, **marks: Any) -> Any:
        """One observable against time, a colour per arm; means with their standard error, censored values as arrows at
        the limit. Returns the matplotlib Axes."""
        import matplotlib.pyplot as plt

        name = observable or self.observables[0]
        if name not in self.observables:
            raise CalibrationError(f"`{name}` was not measured.{closest(name, self.observables)}")
        ax = ax or plt.subplots()[1]
        for k, arm in enumerate(dict.fromkeys(self.arm[self.observable == name])):
            g = self.rows((self.observable == name) & (self.arm == arm))
            colour, label = f"C{k % 10}", str(arm)
            for code, marker in ((0, "o"), (-1, "v"), (1, "^")):
                some = g.censored == code
                if some.any():
                    bars = np.where(np.isfinite(g.sd), g.sd / np.sqrt(g.n), 0.0)[some]
                    look = {"color": colour, "marker": marker, "linestyle": "", "label": label} | marks
                    ax.errorbar(g.time[some], g.value[some], yerr=bars if bars.any() else None, **look)
                    label = None
        ax.set(xlabel=f"time ({self.time_unit})", ylabel=f"{name} ({self.units[name] or '1'})")
        if len(self.arms) > 1:
            ax.legend()
        return ax

    def __str__(self) -> str:
        below, above = int((self.censored < 0).sum()), int((self.censored > 0).sum())
        lines = [
            f"{len(self)} measurements of {', '.join(self.observables)} in {len(self.arms)} arms; {below} below and "
            f"{above} above their limit; times in {self.time_unit}"
        ]
        lines += [f"left out: {n} ({reason})" for reason, n in self.dropped.items()]
        if self.ignored:
            lines.append(f"columns ignored: {', '.join(self.ignored)}")
        return "\n".join(lines)


def _time_unit(table: MeasuredTable, said: str | None) -> str:
    found = sorted(set(table.text("time_unit")) - {""})
    if "time_unit" in table.columns and len(found) > 1:
        raise CalibrationError(f"the table of measurements mixes time units {found}; convert them to one.")
    text = said or (found[0] if found else None)
    if text is None:
        raise CalibrationError('Argument `time_unit` must say the unit of the times, e.g. time_unit="h".')
    return text


def read_values(table: MeasuredTable, observable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(value, or the limit where it is censored; censored), each (rows,), of what was measured, by name (rows,)."""
    as_text = " Is it below a limit? Leave the cell blank, with the limit in `lloq`."
    value, lloq, censored = table.numbers("value", fix=as_text), table.numbers("lloq"), table.codes("censored")
    below = (censored == -1) | ((censored == 0) & np.isfinite(lloq) & ~(value >= lloq))
    censored = np.where(below, -1, censored)
    limit = np.where(below & np.isfinite(lloq), lloq, value)
    fix = (
        " A value below the limit of quantification needs the limit, in `lloq`; leave out the row of a missing one, or "
        "mark it with MDV 1."
    )
    table.require(np.isfinite(limit), "value", "a number was expected", fix)
    _check_limits(table, observable, limit, censored, lloq)
    return limit, censored


def _check_limits(
    table: MeasuredTable, observable: np.ndarray, limit: np.ndarray, censored: np.ndarray, lloq: np.ndarray
) -> None:
    """A limit of quantification below zero is a slip, but for a quantity that is itself seen below zero; and a value of
    zero beside the code for "below" stands for no number, as many a table has it."""
    signed = set(observable[(limit < 0) & (censored == 0)])
    free = np.array([name in signed for name in observable], dtype=bool)
    table.require(
        ~(lloq < 0) | free, "lloq", "a limit of quantification >= 0 was expected", " Leave the cell blank if there is "
        "none."
    )  # fmt: skip
    table.require(
        free | (censored != -1) | np.isfinite(lloq) | (limit > 0),
        "value",
        "the limit was expected that the value lies below, a number > 0",
        " Write it here, or in a column `LLOQ`; there it may be 0, as the limit of a logarithm may.",
    )


def combined(parts: Iterable[Measurements]) -> Measurements:
    """Measurements of several tables as one; their observables must mean the same."""
    parts = list(parts)
    if not parts:
        raise CalibrationError("Argument `parts` must hold at least one table of measurements, but is empty.")
    observed: dict[str, Observed] = {}
    units: dict[str, str] = {}
    for m in parts:
        for name in m.observed:
            if observed.setdefault(name, m.observed[name]) != m.observed[name] or unit(
                units.setdefault(name, m.units[name])
            ) != unit(m.units[name]):
                raise CalibrationError(f"`{name}` does not mean the same in all tables; give it two names.")
        if m.time_unit != parts[0].time_unit:
            raise CalibrationError(f"times are in {m.time_unit} and in {parts[0].time_unit}; read both for one model.")
    arrays = [f.name for f in dataclasses.fields(Measurements) if isinstance(getattr(parts[0], f.name), np.ndarray)]
    joined = {k: np.concatenate([getattr(m, k) for m in parts]) for k in arrays}
    dropped: dict[str, int] = {}
    for m in parts:
        for reason, n in m.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + n
    ignored = tuple(dict.fromkeys(c for m in parts for c in m.ignored))
    return dataclasses.replace(parts[0], **joined, observed=observed, units=units, dropped=dropped, ignored=ignored)
