"""Names of units and what they mean, for `qspx.units`: our own table first, pint for every other name."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from ._errors import UnitError

Dims = tuple[tuple[str, Fraction], ...]

MASS, _LENGTH, _TIME, AMOUNT = "mass", "length", "time", "substance"
_DAY = 86400.0
_MONTH = 365.25 / 12 * _DAY
_PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "c": 1e-2, "d": 1e-1}
_PREFIXES |= {"k": 1e3, "M": 1e6, "G": 1e9}

PREFIXABLE: dict[str, tuple[float, dict[str, int]]] = {
    "g": (1e-3, {MASS: 1}),
    "m": (1.0, {_LENGTH: 1}),
    "s": (1.0, {_TIME: 1}),
    "mol": (1.0, {AMOUNT: 1}),
    "mole": (1.0, {AMOUNT: 1}),
    "L": (1e-3, {_LENGTH: 3}),
    "l": (1e-3, {_LENGTH: 3}),
    "M": (1e3, {AMOUNT: 1, _LENGTH: -3}),
    "Da": (1e-3, {MASS: 1, AMOUNT: -1}),
    "IU": (1.0, {"IU": 1}),
    "EU": (1.0, {"EU": 1}),
    "Eq": (1.0, {"Eq": 1}),
    "AU": (1.0, {"AU": 1}),
}
PLAIN: dict[str, tuple[float, dict[str, int]]] = {
    "mcg": (1e-9, {MASS: 1}),
    "dalton": (1e-3, {MASS: 1, AMOUNT: -1}),
    "kilodalton": (1.0, {MASS: 1, AMOUNT: -1}),
    "BSA": (1.73, {_LENGTH: 2}),
    "%": (1e-2, {}),
    "percent": (1e-2, {}),
    "dimensionless": (1.0, {}),
    "fraction": (1.0, {}),
}
for _names, _seconds in (
    ("sec second seconds", 1.0),
    ("min minute minutes", 60.0),
    ("h hr hrs hour hours", 3600.0),
    ("d day days", _DAY),
    ("wk week weeks", 7 * _DAY),
    ("mo month months", _MONTH),
    ("yr year years", 12 * _MONTH),
):
    PLAIN |= dict.fromkeys(_names.split(), (_seconds, {_TIME: 1}))
for _names in ("cell cells", "molecule molecules", "copy copies"):
    PLAIN |= dict.fromkeys(_names.split(), (1.0, {_names.split()[0]: 1}))

_REFUSED = {
    "U": "write `IU` (international unit), or `umol/min` for the enzyme unit",
    "a": "write `year`",
    "cc": "write `mL`",
}


@cache
def atom(name: str) -> tuple[float, Dims]:
    """Factor and dimensions of one unit name. Raises `KeyError` when nobody knows it."""
    if name in _REFUSED or (name[:1] in _PREFIXES and name[1:] == "U"):
        raise UnitError(f"Unit `{name}` is ambiguous: {_REFUSED.get(name, _REFUSED['U'])}.")
    found = PLAIN.get(name) or PREFIXABLE.get(name)
    if found is None and name[:1] in _PREFIXES and name[1:] in PREFIXABLE:
        factor, dims = PREFIXABLE[name[1:]]
        found = (_PREFIXES[name[0]] * factor, dims)
    if found is None:
        return _pint_atom(name)
    return found[0], tuple(sorted((key, Fraction(power)) for key, power in found[1].items()))


@cache
def _registry():
    import pint

    return pint.UnitRegistry(cache_folder=None)


def _pint_atom(name: str) -> tuple[float, Dims]:
    try:
        registry = _registry()
    except ImportError:
        raise KeyError(f"`{name}` is not among the units known without pint; install pint to use it") from None
    try:
        zero, one = (registry.Quantity(value, registry.Unit(name)).to_base_units() for value in (0.0, 1.0))
        exponents = {key.strip("[]"): str(power) for key, power in one.dimensionality.items()}
    except Exception as error:
        raise KeyError(f"`{name}` is not a unit") from error
    if zero.magnitude != 0:
        raise UnitError(f"Unit `{name}` has an offset or is logarithmic, so no factor converts it; use `K` or a ratio.")
    dims = sorted((key, Fraction(power).limit_denominator(1000)) for key, power in exponents.items())
    return float(one.magnitude), tuple(dims)
