"""Argument checks shared by the dose methods, and the unit conversions at their boundary."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .._errors import DoseError, UnitError, closest


def number(name: str, value: Any) -> float:
    """`value` as a finite float, or [`DoseError`][qspx._errors.DoseError] naming the argument."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise DoseError(f"Argument `{name}` must be a number, but is {value!r}.") from None
    if not math.isfinite(result):
        raise DoseError(f"Argument `{name}` must be finite, but is {value!r}.")
    return result


def positive(name: str, value: Any) -> float:
    """`value` as a finite float above zero."""
    result = number(name, value)
    if result <= 0.0:
        raise DoseError(f"Argument `{name}` must be above zero, but is {value!r}.")
    return result


def fraction(name: str, value: Any, *, one_allowed: bool = False) -> float:
    """`value` as a float strictly between 0 and 1 (or up to and including 1)."""
    result = number(name, value)
    if not 0.0 < result < 1.0 and not (one_allowed and result == 1.0):
        hint = f" Write {result / 100:g} for {result:g} %." if 1.0 < result <= 100.0 else ""
        bounds = "above 0 and at most 1" if one_allowed else "strictly between 0 and 1"
        raise DoseError(f"Argument `{name}` must be a fraction {bounds}, but is {value!r}.{hint}")
    return result


def one_of(name: str, value: Any, options: Iterable[str]) -> str:
    """`value` if it is one of `options`, else an error that lists them."""
    allowed = list(options)
    if value not in allowed:
        listed = ", ".join(repr(option) for option in allowed)
        raise DoseError(f"Argument `{name}` must be one of {listed}, but is {value!r}.{closest(str(value), allowed)}")
    return value


def free_or_total(value: Any) -> str:
    """The matched analyte, which has no default: the choice moves a dose by up to an order of magnitude."""
    if value not in ("free", "total"):
        said = "was not chosen" if value is None else f"is {value!r}"
        raise DoseError(
            f"Argument `analyte` must be 'free' or 'total', but {said}. Say whether the matched human exposure counts "
            "free drug only or all drug, bound to soluble or cellular target included: with a soluble target the two "
            "doses can differ by a factor of ten."
        )
    return value


def concentration(value: float, unit: str, to_unit: str, molar_mass_g_per_mol: float | None) -> float:
    """Convert a molar or mass concentration (or its time integral); mass against amount needs the molar mass."""
    from ..units import conversion

    try:
        return value * conversion(unit, to_unit, molar_mass=molar_mass_g_per_mol)
    except UnitError as error:
        if molar_mass_g_per_mol is None:
            raise UnitError(
                f"{error} A molar mass for all methods goes into `DoseContext(molar_mass_g_per_mol=...)`."
            ) from None
        raise


def mg_per_kg(value: float, unit: str) -> float:
    """Convert a dose per body weight to mg/kg. Units: `"ng/kg"`, `"ug/kg"`, `"mg/kg"`, `"g/kg"` and the like."""
    from ..units import conversion, split_per_kg

    mass, per_kg = split_per_kg(unit)
    if not per_kg:
        raise UnitError(f"Argument `unit` must be a mass per body weight such as 'mg/kg', but is {unit!r}.")
    return value * conversion(mass, "mg")
