"""Quantities as people write them, `"1.9 nM"`, and their conversion."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from qspx._errors import UnitError
from qspx.units import conversion, split_per_kg, unit

_QUANTITY = re.compile(
    r"\s*(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>(?:1\s*/|(?![\s\d.])).*?)\s*"
)


@dataclass(frozen=True)
class Quantity:
    """A number with its unit; `unit` is "" for a plain number."""

    value: float
    unit: str = ""

    @classmethod
    def parse(cls, text: object) -> Quantity:
        """Read `"1.9 nM"`, `"5 ug/kg"` or a plain number. Raises `UnitError` naming the text."""
        if isinstance(text, int | float) and not isinstance(text, bool):
            return cls(_finite(float(text)))
        match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise UnitError(f'must be a number with its unit, such as "1.9 nM", but is {text!r}')
        unit(match["unit"])
        return cls(_finite(float(match["number"])), match["unit"])

    def to(self, wanted: str, example: str = "") -> float:
        """The number in another unit. A plain number is refused unless `wanted` is dimensionless."""
        if not self.unit and wanted:
            shown = example or f"{self.value:g} {wanted}"
            raise UnitError(
                f'must have a unit that converts to {wanted}, such as "{shown}", but {self.value:g} has none'
            )
        try:
            return self.value * conversion(self.unit, wanted)
        except UnitError as error:
            raise UnitError(f"must convert to {wanted or 'a plain number'}, but {self} does not: {error}") from error

    def ug_per_kg(self) -> float:
        """A dose per body weight in ug/kg."""
        mass, per_kg = split_per_kg(self.unit)
        if not per_kg:
            raise UnitError(f'must be a dose per body weight, such as "5 ug/kg", but is {self}')
        try:
            return self.value * conversion(mass, "ug")
        except UnitError as error:
            raise UnitError(f"must be a mass per body weight, but is {self}: {error}") from error

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}".rstrip()


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise UnitError(f"must be finite, but is {value}")
    return value
