"""Reading measurements from a long table: which column is what, text to numbers. Complaints name row and column."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from qspx._errors import CalibrationError, closest

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("", ".", "NA", "NAN", "NONE", "<NA>")
# What a column may be called, in any case: our name first, then those of PEtab, NONMEM and Monolix.
NAMES: Mapping[str, tuple[str, ...]] = {
    "observable": ("observable", "observableId", "DVID", "YTYPE"),
    "arm": ("arm", "simulationConditionId"),
    "study": ("study",),
    "subject": ("subject", "ID"),
    "time": ("time",),
    "value": ("value", "measurement", "DV"),
    "unit": ("unit",),
    "time_unit": ("time_unit",),
    "sd": ("sd", "noiseParameters"),
    "n": ("n",),
    "lloq": ("lloq",),
    "censored": ("censored", "CENS", "BLQ"),
    "before": ("before",),
    "replicate": ("replicate", "replicateId"),
}
_WORDS = {"below": -1, "above": 1, "true": -1, "false": 0, "no": 0, "yes": -1}
_REFUSED = {
    "preequilibrationConditionId": "Say what happens before in `preequilibration` of the CalibrationProblem",
    "observableParameters": "Say scaling and offset with Observed(...)",
}


@dataclasses.dataclass(frozen=True)
class MeasuredTable:
    """frame: the cells; rows: number of each row in the file, where the header is row 1; columns: the file's name of
    each column that is understood; ignored: the others."""

    frame: pd.DataFrame
    rows: np.ndarray
    columns: Mapping[str, str]
    ignored: tuple[str, ...]

    @classmethod
    def of(cls, source: Any, given: Mapping[str, str | None], rows: np.ndarray | None = None) -> MeasuredTable:
        """`given` says what columns of other names are; None leaves one out."""
        import pandas as pd

        if not isinstance(source, pd.DataFrame):
            raise CalibrationError(
                f"Argument `df` must be a pandas DataFrame, but {type(source).__name__} was given. A file? Use "
                "Measurements.read_csv."
            )
        frame = source.reset_index(drop=True)
        header = [str(c).strip() for c in frame.columns]
        frame.columns = header
        if frame.empty:
            raise CalibrationError("the table of measurements holds no row.")
        columns, ignored = _assign(header, given)
        table = cls(frame, np.arange(2, len(frame) + 2) if rows is None else rows, columns, tuple(ignored))
        for name, fix in _REFUSED.items():
            if name in ignored and name not in given and not table.missing(name).all():
                raise CalibrationError(
                    f"the table of measurements has a column `{name}`, which has no counterpart in a table here. "
                    f"{fix}, and leave the column out with columns={{{name!r}: None}}."
                )
        return table

    def __len__(self) -> int:
        return len(self.frame)

    def missing(self, column: str) -> np.ndarray:
        """Where cells are blank, '.', or not available, shape (rows,)."""
        cells = self.frame[column]
        return (cells.isna() | cells.astype(str).str.strip().str.upper().isin(MISSING)).to_numpy(bool)

    def text(self, item: str, missing: str | None = "") -> np.ndarray:
        """Cells as text, shape (rows,); whole numbers without a point. `missing` None: an error."""
        if item not in self.columns:
            return np.full(len(self), missing, dtype=object)
        column = self.columns[item]
        absent = self.missing(column)
        if missing is None:
            self.require(~absent, item, "a name was expected")
        cells = [missing if gone else _plain(x) for x, gone in zip(self.frame[column], absent, strict=True)]
        return np.array(cells, dtype=object)

    def numbers(self, item: str, missing: float = np.nan, fix: str = "") -> np.ndarray:
        """Cells as finite numbers, shape (rows,); `missing` where the cell or the whole column is."""
        import pandas as pd

        if item not in self.columns:
            return np.full(len(self), missing)
        column = self.columns[item]
        absent = self.missing(column)
        cells = pd.Series(self.frame[column], dtype=object).mask(absent)
        found = np.asarray(pd.to_numeric(cells, errors="coerce"), dtype=float)
        self.require(absent | np.isfinite(found), item, "a finite number was expected", fix)
        return np.where(absent, missing, found)

    def codes(self, item: str) -> np.ndarray:
        """-1 for less than the limit, 1 for more, 0 for neither. Numbers mean what they mean in Monolix: 1 is below."""
        found = np.zeros(len(self), dtype=int)
        if item not in self.columns:
            return found
        for i, cell in enumerate(self.text(item)):
            word = str(cell).lower().removesuffix(".0")
            if word in _WORDS:
                found[i] = _WORDS[word]
            elif word in ("1", "-1", "0", ""):
                found[i] = -int(word or 0)
            else:
                self.fail(i, item, '"below", "above", or a code 1 (below), -1 (above) or 0 was expected')
        return found

    def require(self, condition: np.ndarray, item: str, expected: str, fix: str = "") -> None:
        """Raise `CalibrationError` for the first row in which the condition, shape (rows,), does not hold."""
        if not np.all(condition):
            self.fail(int(np.argmin(condition)), item, expected, fix)

    def fail(self, row: int, item: str, expected: str, fix: str = "") -> NoReturn:
        column = self.columns.get(item, item)
        given = f"`{self.frame[column].iloc[row]}` was given" if column in self.frame else "there is no such column"
        raise CalibrationError(f"measurements, row {self.rows[row]}, column `{column}`: {expected}, but {given}.{fix}")


def _plain(x: Any) -> str:
    text = str(x).strip()
    return text[:-2] if isinstance(x, float) and text.endswith(".0") else text


def _assign(header: list[str], given: Mapping[str, str | None]) -> tuple[dict[str, str], list[str]]:
    meanings = {alias.lower(): name for name, aliases in NAMES.items() for alias in aliases}
    for name, meaning in given.items():
        if name not in header:
            raise CalibrationError(f"Argument `columns` names `{name}`, which the table lacks.{closest(name, header)}")
        if meaning is not None and meaning not in NAMES:
            raise CalibrationError(
                f"Argument `columns` says that `{name}` is `{meaning}`, but a column must be one of {tuple(NAMES)}."
                f"{closest(meaning, NAMES)}"
            )
    columns: dict[str, str] = {}
    ignored = []
    for name in header:
        meaning = given[name] if name in given else meanings.get(name.lower())
        if meaning is None:
            ignored.append(name)
        elif meaning in columns:
            raise CalibrationError(
                f"columns `{columns[meaning]}` and `{name}` of the measurements would both be `{meaning}`; leave one "
                f"out with columns={{{name!r}: None}}."
            )
        else:
            columns[meaning] = name
    for needed in ("time", "value"):
        if needed not in columns:
            raise CalibrationError(
                f"the table of measurements has no column `{needed}`; its columns are {header}. Say which one it is "
                f"with columns={{'THE COLUMN': {needed!r}}}."
            )
    return columns, ignored
