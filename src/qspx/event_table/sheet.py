"""The cells of an event table: which column is what, and text to numbers. Every complaint names row and column."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from qspx._errors import DoseError, closest
from qspx.model import AbstractModel

if TYPE_CHECKING:
    import pandas as pd

# NONMEM's data items (Users Guide part VIII, PREDPP), which rxode2 and mrgsolve share in any case; DUR is rxode2's.
ITEMS = ("ID", "TIME", "EVID", "AMT", "CMT", "RATE", "DUR", "II", "ADDL", "SS", "MDV", "DV")
_CLOCK = ("DATE", "DAT1", "DAT2", "DAT3")
_MISSING = ("", ".", "NA", "NAN", "NONE", "<NA>")


@dataclasses.dataclass(frozen=True)
class Sheet:
    """Cells as read, and what the columns are.

    frame: the cells, columns named as in the file. rows: number of each record's row in the file, where the header is
    row 1. items: column of each data item that is there. parameters: column of each model parameter that is there.
    ignored: columns that are neither.
    """

    frame: pd.DataFrame
    rows: np.ndarray
    items: Mapping[str, str]
    parameters: Mapping[str, str]
    ignored: tuple[str, ...]

    @classmethod
    def of(cls, source: Any, model: AbstractModel, columns: Mapping[str, str | None]) -> Sheet:
        """From a pandas frame, or from the path of a CSV file with one header row."""
        frame, rows = read_cells(source)
        if frame.empty:
            raise DoseError("the event table holds no record below its header.")
        items, parameters, ignored = _assign([str(c) for c in frame.columns], model, columns)
        return cls(frame, rows, items, parameters, ignored)

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, item: str) -> str:
        """The file's name of a data item; the item's own where the file has none."""
        return self.items.get(item, item)

    def item(self, item: str, missing: float = 0.0) -> np.ndarray:
        """A data item as numbers, shape (records,); `missing` where the cell or the whole column is."""
        if item not in self.items:
            return np.full(len(self), missing)
        return self.numbers(self.items[item], missing)

    def numbers(self, column: str, missing: float) -> np.ndarray:
        """A column as finite numbers, shape (records,)."""
        import pandas as pd

        cells = pd.Series(self.frame[column], dtype=object)
        absent = self.is_missing(column)
        found = np.asarray(pd.to_numeric(cells.mask(absent), errors="coerce"), dtype=float)
        hint = " Write hours or days since the first record, not clock times." if _has_clock(cells) else ""
        self.require(absent | np.isfinite(found), column, "a number was expected", hint)
        return np.where(absent, missing, found)

    def is_missing(self, column: str) -> np.ndarray:
        """Where cells are blank, '.', or not available, shape (records,)."""
        cells = self.frame[column]
        return (cells.isna() | cells.astype(str).str.strip().str.upper().isin(_MISSING)).to_numpy(bool)

    def require(self, condition: np.ndarray, column: str, expected: str, fix: str = "") -> None:
        """Raise `DoseError` for the first record in which the condition, shape (records,), does not hold."""
        if not condition.all():
            self.fail(int(np.argmin(condition)), column, expected, fix)

    def fail(self, record: int, column: str, expected: str, fix: str = "") -> NoReturn:
        given = f"`{self.frame[column].iloc[record]}` was given" if column in self.frame else "there is no such column"
        raise DoseError(f"{self.where(record, column)}: {expected}, but {given}.{fix}")

    def where(self, record: int, column: str) -> str:
        return f"event table, row {self.rows[record]}, column `{column}`"


def read_cells(source: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """(cells, number of each record's row in the file) of a pandas frame, or of the path of a CSV file."""
    return _read_csv(source) if isinstance(source, str | Path) else _from_frame(source)


def _has_clock(cells: pd.Series) -> bool:
    return bool(cells.astype(str).str.contains(r"^\s*\d+:\d").any())


def _read_csv(path: str | Path) -> tuple[pd.DataFrame, np.ndarray]:
    import pandas as pd

    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, skipinitialspace=True)
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except OSError as error:
        raise DoseError(f"the event table {path} cannot be read: {error.strerror}.") from error
    lines = [(number, row) for number, row in lines if any(row)]
    if not lines:
        raise DoseError(f"the event table {path} is empty; its first row must name the columns.")
    (_, header), *records = lines
    for number, row in records:
        if len(row) != len(header):
            raise DoseError(
                f"event table, row {number}: {len(header)} cells were expected, as in the header, but there are "
                f"{len(row)}. The reader takes commas between cells."
            )
    frame = pd.DataFrame([row for _, row in records], columns=header, dtype=object)
    return frame, np.array([number for number, _ in records])


def _from_frame(source: Any) -> tuple[pd.DataFrame, np.ndarray]:
    import pandas as pd

    if not isinstance(source, pd.DataFrame):
        raise DoseError(
            f"an event table is a pandas DataFrame or the path of a CSV file, but {type(source).__name__} was given."
        )
    frame = source.reset_index(drop=True)
    frame.columns = [str(c).strip() for c in source.columns]
    return frame, np.arange(2, len(frame) + 2)


def _assign(
    header: list[str], model: AbstractModel, given: Mapping[str, str | None]
) -> tuple[dict[str, str], dict[str, str], tuple[str, ...]]:
    """(column of each data item, column of each parameter, columns that are neither)."""
    for name in header:
        if header.count(name) > 1:
            raise DoseError(f"the event table has {header.count(name)} columns named `{name}`; rename or drop one.")
    for name, meaning in given.items():
        if name not in header:
            raise DoseError(f"Argument `columns` names `{name}`, which the event table lacks.{closest(name, header)}")
        if meaning is not None and _meaning(meaning, model) is None:
            options = [*ITEMS, *model.parameters]
            raise DoseError(
                f"Argument `columns` says that `{name}` is `{meaning}`, which is neither a data item {ITEMS} nor a "
                f"parameter of {model.name}.{closest(meaning, options)}"
            )
    column_of: dict[str, str] = {}
    ignored = []
    for name in header:
        meaning = _meaning(given[name] or "" if name in given else name, model)
        if meaning is None:
            ignored.append(name)
        elif meaning in column_of:
            raise DoseError(
                f"columns `{column_of[meaning]}` and `{name}` of the event table would both be `{meaning}`; ignore one "
                f"with columns={{{name!r}: None}}."
            )
        else:
            column_of[meaning] = name
    _refuse_clock([name for name in ignored if name not in given])
    items = {k: v for k, v in column_of.items() if k in ITEMS and not _is_parameter(k, model)}
    _require_items(items, header)
    return items, {k: v for k, v in column_of.items() if k not in items}, tuple(ignored)


def _is_parameter(name: str, model: AbstractModel) -> bool:
    """Whether a name means the parameter: NONMEM's own data items come first, rxode2's DUR does not."""
    return name in model.parameters and (name not in ITEMS or name == "DUR")


def _meaning(name: str, model: AbstractModel) -> str | None:
    """The parameter or data item that a column of this name is, in any case."""
    if _is_parameter(name, model):
        return name
    if name.upper() in ITEMS:
        return name.upper()
    alike = [p for p in model.parameters if p.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else None


def _refuse_clock(ignored: Iterable[str]) -> None:
    for name in ignored:
        if name.upper() in _CLOCK:
            raise DoseError(
                f"the event table has a column `{name}`, but clock times with dates are not supported. Compute the "
                f"time since each subject's first record in TIME, and ignore the date with columns={{{name!r}: None}}."
            )


def _require_items(items: Mapping[str, str], header: list[str]) -> None:
    for item in ("ID", "TIME", "AMT"):
        if item in items or (item == "AMT" and "EVID" in items):
            continue
        alike = [name for name in header if item.lower() in name.lower()]
        likely = f" Did you mean `{alike[0]}`?" if alike else closest(item, header)
        why = " (or EVID, where nothing is given)" if item == "AMT" else ""
        fix = f" Say so with columns={{'THE COLUMN': '{item}'}}."
        raise DoseError(f"the event table has no column {item}{why}; its columns are {header}.{likely}{fix}")
