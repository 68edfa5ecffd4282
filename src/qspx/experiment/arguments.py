"""Words of the command line as values: `q1=true`, `CL=0.3 L/day`, `"0.5,1.5,5 ug/kg"`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qspx._errors import ConfigError
from qspx.dosing import Dose, Regimen
from qspx.model import AbstractModel

from .place import at
from .quantity import Quantity


def read_switches(texts: Sequence[str]) -> dict[str, bool | int | float | str]:
    """`["q1=true", "n=3"]` as values: true or false, whole numbers, numbers, else text."""
    found: dict[str, bool | int | float | str] = {}
    for text in texts:
        name, value = _pair("--switch", text)
        found[name] = _value(value)
    return found


def read_settings(texts: Sequence[str], model: AbstractModel) -> dict[str, float]:
    """`["CL=0.3", "F=75 %"]` as parameter values; without a unit a number is in that of the model."""
    found = {}
    for text in texts:
        name, value = _pair("--set", text)
        with at(f"--set {text}"):
            model.parameter_index(name)
            quantity = Quantity.parse(value)
            found[name] = quantity.to(model.parameters[name].unit) if quantity.unit else quantity.value
    return found


def read_numbers(option: str, text: str) -> list[float]:
    """`"0,3,7"` as numbers."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option} must be numbers and commas, such as 0,3,7, but is {text!r}.") from None


def read_regimen(dose: str, into: str, times: str, duration: float | None, time_unit: str) -> Regimen:
    """Doses such as `"5 ug/kg"` or `"0.5,1.5,5 ug/kg"` at times such as `"0,3,7"`; one amount is given each time."""
    match = re.fullmatch(r"\s*([-+.\deE,\s]*\d\.?)\s*([^\d,\s].*)", dose)
    if match is None:
        raise ConfigError(f'--dose must be an amount with its unit, such as "5 ug/kg", but is {dose!r}.')
    amounts, when = read_numbers("--dose", match[1]), read_numbers("--at", times)
    if len(amounts) == 1:
        amounts *= len(when)
    if len(amounts) != len(when):
        raise ConfigError(
            f"--dose holds {len(amounts)} amounts, but --at {len(when)} times; give one amount, or one for each."
        )
    with at(f"--dose {dose!r} --at {times}"):
        doses = [Dose(a, match[2].strip(), into, t, duration) for a, t in zip(amounts, when, strict=True)]
        return Regimen(tuple(doses), time_unit)


def _pair(option: str, text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name.strip() and sign and value.strip()):
        raise ConfigError(f"{option} must be written name=value, but is {text!r}.")
    return name.strip(), value.strip()


def _value(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
