"""Observations of an event table as a long table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._errors import CalibrationError, closest
from qspx.event_table import EventTable
from qspx.event_table.records import DOSE, RESET, RESET_AND_DOSE, plain

if TYPE_CHECKING:
    import pandas as pd


def observations(table: EventTable, observables: Any, item: str | None) -> tuple[pd.DataFrame, dict[int | str, str]]:
    """(long table with the row of the file in `row`, the name in it of each key of `observables`)."""
    import pandas as pd

    frame = table.to_frame()
    if "DV" not in frame:
        raise CalibrationError(
            "the event table has no column DV, so it holds no measurements. Say which one it is when it is read: "
            "columns={'THE COLUMN': 'DV'}."
        )
    kept = table.observations
    if "MDV" in frame:
        kept = kept[frame["MDV"].iloc[kept].astype(str).str.strip().isin(["0", "0.0", "", ".", "nan"]).to_numpy()]
    if not len(kept):
        raise CalibrationError("the event table holds no observation: EVID and MDV are 0 nowhere.")
    ids = np.repeat(np.array([str(i) for i in table.ids], dtype=object), np.diff(table.first))

    found = pd.DataFrame(
        {
            "arm": ids[kept],
            "subject": ids[kept],
            "time": table.time[kept],
            "DV": frame["DV"].to_numpy()[kept],
            "before": [_is_before(table, int(i)) for i in kept],
            "row": table.rows[kept],
        }
    )
    for name in ("CENS", "BLQ", "LLOQ"):
        if (cells := table.cells(name)) is not None:
            found[name] = cells[kept]
    if not isinstance(observables, Mapping):
        return found, {}
    found["observable"], names = _names(table, kept, observables, item)
    return found, names


def _names(
    table: EventTable, kept: np.ndarray, observables: Mapping[int | str, Any], item: str | None
) -> tuple[list[str], dict[int | str, str]]:
    """(name of each kept record's observable, the name that stands for each number)."""
    wanted = (item,) if item else ("DVID", "CMT")
    carried = {name: found for name in wanted if (found := table.cells(name)) is not None}
    if not carried:
        raise CalibrationError(
            f"the event table has no column {' or '.join(wanted)}, which would tell observables apart; name it with "
            "`item`, or give one name as `observables`."
        )
    column, cells = next(iter(carried.items()))
    codes = {plain(k): k for k in observables}
    outputs = [v if isinstance(v, str) else v.output for v in observables.values()]
    unique = len(set(outputs)) == len(outputs)
    names = {k: v if unique else f"{v}_{k}" for k, v in zip(observables, outputs, strict=True)}
    found = []
    for i in kept:
        code = plain(cells[i])
        if code not in codes:
            raise CalibrationError(
                f"event table, row {table.rows[i]}, column `{column}`: `observables` does not say what `{cells[i]}` "
                f"means, only {list(observables)}.{closest(str(code), [str(c) for c in codes])} Add it, or mark the "
                "record with MDV 1."
            )
        found.append(names[codes[code]])
    return found, names


def _is_before(table: EventTable, record: int) -> bool:
    """Whether it stands above what is given at its time. Raises where it stands between two that act."""
    subject = int(np.searchsorted(table.first, record, side="right")) - 1
    mine = table.records(subject)
    acts = mine[np.isin(table.evid[mine], (DOSE, RESET, RESET_AND_DOSE)) & (table.time[mine] == table.time[record])]
    if (acts > record).any() and (acts < record).any():
        raise CalibrationError(
            f"event table, row {table.rows[record]}: the observation stands between two records that give something at "
            "its time; put it above or below both."
        )
    return bool((acts > record).any())
