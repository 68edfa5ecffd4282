"""The unit of each id of an SBML model, as text for its declaration."""

from __future__ import annotations

from qspx.interchange.sbml_system import Kind, System


class Quantities:
    """Units by id. With `declared` False every unit is "" (a pure number), and `noted` says what the file gives."""

    def __init__(self, system: System, declared: bool):
        self.system, self.declared = system, declared

    @property
    def time(self) -> str:
        return (self.system.document.time_unit or "1") if self.declared else "1"

    def of(self, key: str) -> str:
        """Unit of what an id stands for."""
        return self._known(key) or "" if self.declared else ""

    def holder(self, key: str) -> str:
        """Unit of the state behind an id."""
        if not self.declared or self.system.kinds[key] is not Kind.BY_AMOUNT:
            return self.of(key)
        return self.system.document.species[key].unit or ""

    def given(self, key: str) -> str:
        """Unit of the number that the file gives for an id."""
        if key in self.system.document.species and self.system.gives_amount(key) and self.declared:
            return self.system.document.species[key].unit or ""
        return self.of(key)

    def noted(self, key: str) -> str:
        """The unit as the file has it, for a comment; "" where it has none."""
        unit = self._known(key)
        return f"in {unit}" if unit else ""

    def _known(self, key: str) -> str | None:
        d = self.system.document
        if key in d.compartments:
            return d.compartments[key].unit
        if key in d.parameters:
            return d.parameters[key].unit
        if key in d.reactions:
            return _over(d.extent_unit, d.time_unit)
        if key not in d.species:
            return None
        s = d.species[key]
        return s.unit if s.is_amount else _over(s.unit, d.compartments[s.compartment].unit)


def _over(above: str | None, below: str | None) -> str | None:
    if above is None or below is None:
        return None
    if not below:
        return above
    compound = any(c in below for c in "*/^ ")
    return f"{above or '1'}/({below})" if compound else f"{above or '1'}/{below}"
