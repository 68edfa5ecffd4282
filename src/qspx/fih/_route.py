"""The route of a regimen, as the model's dosed species declare it."""

from __future__ import annotations

from ..dosing import Regimen
from ..model import AbstractModel


def route_of(regimen: Regimen, model: AbstractModel) -> str:
    """ "SC", "IV", or "into X" for a species that declares no route; several are joined."""
    into = dict.fromkeys(d.into for d in regimen.doses)
    return " + ".join(dict.fromkeys(model.species[s].route or f"into {s}" for s in into))
