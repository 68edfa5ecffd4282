"""Units of SBML as units of qspx, where they can be said; None where the file gives none."""

from __future__ import annotations

import math
from typing import Any

import libsbml

_KINDS = {
    "dimensionless": "", "radian": "", "steradian": "", "item": "molecule", "avogadro": "6.02214179e23",
    "mole": "mol", "gram": "g", "kilogram": "kg", "litre": "L", "liter": "L", "metre": "m", "meter": "m",
    "second": "s", "hertz": "1/s", "becquerel": "1/s", "katal": "mol/s",
}  # fmt: skip
_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "u", -3: "m", -2: "c", -1: "d", 0: "", 3: "k", 6: "M"}
_PREFIXED = {"mole", "gram", "litre", "liter", "metre", "meter", "second"}
_TIMES = {60.0: "min", 3600.0: "h", 86400.0: "day", 604800.0: "week"}
# what Level 2 means by these where a model does not define them
_LEVEL_2 = {"substance": "mol", "volume": "L", "area": "m^2", "length": "m", "time": "s"}


class Units:
    """The units of one model: its definitions, and its defaults."""

    def __init__(self, model: Any):
        self.model, self.level = model, model.getLevel()
        self.definitions = {d.getId(): _text(d) for d in model.getListOfUnitDefinitions()}
        self.time = self._default("time")
        self.substance = self._default("substance")
        self.extent = self._default("extent") if self.level >= 3 else self.substance

    def _default(self, role: str) -> str | None:
        if self.level >= 3:
            return self.named(getattr(self.model, f"get{role.capitalize()}Units")())
        return self.definitions.get(role, _LEVEL_2.get(role))

    def named(self, key: str) -> str | None:
        """The unit that an attribute `units` names."""
        if not key:
            return None
        if key in self.definitions:
            return self.definitions[key]
        if key in _KINDS:
            return _KINDS[key]
        return _LEVEL_2.get(key) if self.level < 3 else None

    def of_compartment(self, c: Any) -> str | None:
        if c.getUnits():
            return self.named(c.getUnits())
        role = {1.0: "length", 2.0: "area", 3.0: "volume"}.get(c.getSpatialDimensionsAsDouble())
        return None if role is None else self._default(role)

    def of_substance(self, s: Any) -> str | None:
        return self.named(s.getSubstanceUnits()) if s.getSubstanceUnits() else self.substance


def _text(definition: Any) -> str | None:
    """A definition as `nmol/L`, None where a part of it has no name here."""
    above, below = [], []
    for u in definition.getListOfUnits():
        if (part := _part(u)) is None:
            return None
        base, power = part
        if not base:
            continue
        shown = base if abs(power) == 1 else f"{base}^{abs(power):g}"
        (above if power > 0 else below).append(shown)
    return ("*".join(above) or ("1" if below else "")) + "".join(f"/{b}" for b in below)


def _part(u: Any) -> tuple[str, float] | None:
    """One factor of a definition, and its power."""
    kind, scale, multiplier = libsbml.UnitKind_toString(u.getKind()), u.getScale(), u.getMultiplier()
    power = u.getExponentAsDouble()
    if power == 0:
        return "", 1.0
    if kind not in _KINDS or math.isnan(power) or not multiplier > 0:
        return None
    if kind == "second" and scale == 0 and multiplier in _TIMES:
        return _TIMES[multiplier], power
    factor = multiplier * 10.0**scale
    exponent = round(math.log10(factor))
    if kind in _PREFIXED and exponent in _PREFIXES and math.isclose(factor, 10.0**exponent, rel_tol=1e-12):
        return _PREFIXES[exponent] + _KINDS[kind], power
    base = _KINDS[kind]
    if factor == 1:
        return (f"({base})" if "/" in base else base), power
    return (f"({factor:.12g}*{base})" if base else f"({factor:.12g})"), power
