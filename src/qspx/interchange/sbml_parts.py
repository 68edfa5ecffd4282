"""What an SBML file says, as plain data: no libSBML object leaves the reader."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from qspx.interchange.expression import Expr


@dataclasses.dataclass(frozen=True)
class Compartment:
    """`size` is None where the file gives none."""

    id: str
    name: str
    size: float | None
    unit: str | None


@dataclasses.dataclass(frozen=True)
class Species:
    """`is_amount`: the id stands for an amount in formulas, not for a concentration."""

    id: str
    name: str
    compartment: str
    amount: float | None
    concentration: float | None
    is_amount: bool
    boundary: bool
    constant: bool
    conversion: str | None
    unit: str | None


@dataclasses.dataclass(frozen=True)
class Parameter:
    """`value` is None where the file gives none."""

    id: str
    name: str
    value: float | None
    unit: str | None


@dataclasses.dataclass(frozen=True)
class Participant:
    """One species of a reaction; `sign` is -1 for a reactant. `stoichiometry` is a formula (`name` of its own id where
    something else sets or reads it)."""

    species: str
    sign: int
    stoichiometry: Expr


@dataclasses.dataclass(frozen=True)
class Reaction:
    """`rate` is None where the file gives no formula; its local parameters have ids of their own."""

    id: str
    name: str
    participants: tuple[Participant, ...]
    rate: Expr | None


@dataclasses.dataclass(frozen=True)
class Event:
    """`trigger` is True before the start where `initially`."""

    id: str
    name: str
    trigger: Expr
    delay: Expr | None
    priority: Expr | None
    assignments: Mapping[str, Expr]
    persistent: bool
    initially: bool
    at_trigger: bool


@dataclasses.dataclass(frozen=True)
class Document:
    """One SBML model.

    Attributes:
        references: ids of species references, with their stoichiometry (None where unset).
        assigned, rated, initial: formulas of assignment rules, rate rules and initial assignments, by id.
        time_unit, extent_unit: units of time and of reaction extents, None where the file gives none or none that can
            be said.
        notes: what the reader did that is worth knowing.
    """

    file: str
    id: str
    name: str
    level: int
    version: int
    compartments: Mapping[str, Compartment]
    species: Mapping[str, Species]
    parameters: Mapping[str, Parameter]
    references: Mapping[str, float | None]
    reactions: Mapping[str, Reaction]
    assigned: Mapping[str, Expr]
    rated: Mapping[str, Expr]
    initial: Mapping[str, Expr]
    events: tuple[Event, ...]
    conversion: str | None
    time_unit: str | None
    extent_unit: str | None
    notes: tuple[str, ...]
