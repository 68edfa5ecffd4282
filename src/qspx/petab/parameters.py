"""The parameter table: what is estimated, and what is fixed."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping

import numpy as np

from qspx._errors import QspxError
from qspx.calibrate.estimated import Estimated
from qspx.interchange.errors import InterchangeError
from qspx.petab.priors import prior_of
from qspx.petab.tables import Row


class PetabWarning(UserWarning):
    """Something in the tables of a PEtab problem that can be computed, but that PEtab does not allow, or that looks
    like a mistake."""


_SCALES = ("lin", "log", "log10")


@dataclasses.dataclass(frozen=True)
class ParameterTable:
    """Attributes:
    estimated: in the order of the table.
    fixed: values of the other parameters by id.
    nominal: nominal values of the estimated ones, nan where the table has none, shape (estimated,).
    """

    estimated: tuple[Estimated, ...]
    fixed: Mapping[str, float]
    nominal: np.ndarray

    def __contains__(self, key: str) -> bool:
        return key in self.fixed or key in self.names

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(e.name for e in self.estimated)

    def __getitem__(self, key: str) -> float | str:
        """The number of a fixed parameter, the id of an estimated one."""
        return self.fixed.get(key, key)


def read_parameters(rows: Mapping[str, Row]) -> ParameterTable:
    """The parameter table. Raises `InterchangeError` naming file, line and column for what does not fit."""
    estimated, fixed, nominal = [], {}, []
    for key, row in rows.items():
        if (flag := row.number("estimate")) not in (0, 1):
            raise row.error("estimate", f"it must be 0 or 1, but is {flag:g}")
        if flag == 0:
            fixed[key] = row.number("nominalValue")
            continue
        nominal.append(row.number("nominalValue") if row.get("nominalValue") else math.nan)
        estimated.append(_estimated(key, row, nominal[-1]))
    return ParameterTable(tuple(estimated), fixed, np.array(nominal, dtype=float))


def _estimated(key: str, row: Row, nominal: float) -> Estimated:
    scale = row["parameterScale"]
    if scale not in _SCALES:
        raise row.error("parameterScale", f"it must be one of {_SCALES}, but is {scale!r}")
    bounds = row.number("lowerBound"), row.number("upperBound")
    try:
        value = None if math.isnan(nominal) else nominal
        if value is not None and not bounds[0] <= value <= bounds[1]:
            warnings.warn(
                f"{row.file}, line {row.line}, `nominalValue`: {key} = {value:g} lies outside its bounds {bounds[0]:g} "
                f"to {bounds[1]:g}. It can be evaluated, but no search starts there.",
                PetabWarning,
                stacklevel=2,
            )
            value = None
        bare = Estimated(key, bounds, value, scale)
        prior, on = prior_of(row, bare.box, bounds)
        return dataclasses.replace(bare, prior=prior, prior_on=on)
    except InterchangeError:
        raise
    except QspxError as error:
        raise row.error("parameterId", f"{key}: {str(error).rstrip('.')}") from error
