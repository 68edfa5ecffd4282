"""What each id is in each condition: a number, or an estimated parameter."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from qspx._errors import closest
from qspx.interchange.sbml import SbmlModel
from qspx.petab.overrides import Overridden
from qspx.petab.parameters import ParameterTable
from qspx.petab.tables import Row, number_in

NAMES = ("conditionId", "conditionName")  # columns that set nothing


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Values by id and condition: those of the condition table, then of the parameter table, then of the model.

    Args:
        rows: of the condition table, by id.
        table: the parameter table.
        sbml: the model.
        overridden: which of its initial values are set from outside.
    """

    rows: Mapping[str, Row]
    table: ParameterTable
    sbml: SbmlModel
    overridden: Overridden

    def sets(self, key: str, condition: str) -> bool:
        """Whether the condition table or the parameter table gives a value."""
        return bool(self.rows[condition].get(key)) or key in self.table

    def value(self, key: str, condition: str) -> float | str | None:
        """A number, or the name of an estimated parameter; None where nothing has the id."""
        row = self.rows[condition]
        if text := row.get(key):
            return self.entry(text, row, key)
        return self._elsewhere(key)

    def entry(self, text: str, row: Row, column: str) -> float | str:
        """What one entry of a table says: a number or the id of a parameter."""
        found = number_in(text)
        found = self._elsewhere(text) if found is None else found
        if found is None:
            raise row.error(column, f"`{text}` is no number and no parameter", closest(text, self._ids()))
        return found

    def theta(self, condition: str) -> list[float | str]:
        """The model's parameters in a condition, shape (parameters,)."""
        ids = {name: key for key, name in self.sbml.outputs.items()}
        flagged = {flag: key for key, flag in self.overridden.flags.items()}
        set_by = {holder: key for key, holder in self.overridden.values.items()}
        found: list[float | str] = []
        for name, declared in self.sbml.model.parameters.items():
            key = ids.get(name, "")
            if key in flagged:
                found.append(float(self.sets(flagged[key], condition)))
            elif key in set_by:
                value = self.value(set_by[key], condition) if self.sets(set_by[key], condition) else 0.0
                found.append(0.0 if value is None else value)
            else:
                value = self.value(key, condition) if key else None
                found.append(declared.value if value is None else value)
        return found

    def _elsewhere(self, key: str) -> float | str | None:
        if key in self.table:
            return self.table[key]
        if key in self.sbml.numbers:
            return self.sbml.numbers[key]
        name = self.sbml.outputs.get(key)
        return self.sbml.model.parameters[name].value if name in self.sbml.model.parameters else None

    def _ids(self) -> list[str]:
        return [*self.table.names, *self.table.fixed, *self.sbml.numbers, *self.sbml.outputs]
