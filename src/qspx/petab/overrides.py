"""An SBML model whose initial values can be set from outside.

PEtab's condition table may set species, compartments, and parameters that have formulas at the start. Each of them gets
a parameter, `S_override`, that takes the place of its initial value; where only some conditions set it, a second one,
`S_is_overridden`, says in which. What depends on it at the start follows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Set

from qspx.interchange.errors import NotSupported
from qspx.interchange.expression import Expr, name, number
from qspx.interchange.sbml_parts import Document, Parameter
from qspx.interchange.sbml_system import Kind, System


@dataclasses.dataclass(frozen=True)
class Overridden:
    """Attributes:
    document: the SBML model with the new parameters.
    values: by id, the parameter that holds what is set.
    flags: by id, the parameter that says whether it is set; only for what some conditions leave as it is.
    states: those ids that are states: after a pre-equilibration they are set there and then.
    """

    document: Document
    values: Mapping[str, str]
    flags: Mapping[str, str]
    states: frozenset[str]


def with_overrides(document: Document, given: Mapping[str, str], always: Set[str]) -> Overridden:
    """The model with initial values of `given` ids set from outside (for each, where the problem sets it, for
    messages); `always` are those that every condition sets.

    Raises `NotSupported` for ids whose value a rule or a reaction gives."""
    system = System(document)
    initial, parameters = dict(document.initial), dict(document.parameters)
    values: dict[str, str] = {}
    flags: dict[str, str] = {}
    for key, where in given.items():
        kind = system.kinds.get(key)
        if kind in (Kind.ASSIGNED, Kind.REACTION):
            raise NotSupported(f"{where}: it sets `{key}`, which {document.file} says is {kind.value}.")
        if kind is None or kind is Kind.PARAMETER or kind is Kind.LITERAL:
            continue
        values[key] = _added(parameters, system, f"{key}_override")
        initial[key] = name(values[key])
        if key not in always:
            flags[key] = _added(parameters, system, f"{key}_is_overridden")
            own = document.initial.get(key, system.given(key))
            initial[key] = Expr("piecewise", (name(values[key]), Expr("gt", (name(flags[key]), number(0.5))), own))
    states = frozenset(key for key in values if system.is_state(key))
    changed = dataclasses.replace(document, initial=initial, parameters=parameters)
    return Overridden(changed, values, flags, states)


def _added(parameters: dict[str, Parameter], system: System, key: str) -> str:
    while key in parameters or key in system.kinds:
        key += "_"
    parameters[key] = Parameter(key, "", 0.0, "")
    return key
