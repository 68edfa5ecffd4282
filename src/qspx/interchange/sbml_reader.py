"""SBML Level 2 and 3 core, read with libSBML. What qspx does not take is refused by element, line and reason."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import libsbml

from qspx.interchange import sbml_parts as parts
from qspx.interchange.errors import InterchangeError, NotSupported
from qspx.interchange.expression import Expr, name, number
from qspx.interchange.sbml_math import Function, read_function, read_math
from qspx.interchange.sbml_packages import used_packages
from qspx.interchange.sbml_units import Units


def read_document(path: str | Path, *, ordinary_fast: bool = False) -> parts.Document:
    """What the file says.

    Args:
        path: an SBML file, Level 1 to 3.
        ordinary_fast: treat reactions marked `fast` (in equilibrium at all times) as ordinary ones.

    Raises:
        InterchangeError: if the file cannot be read.
        NotSupported: for algebraic rules, `delay`, fast reactions and packages that change the meaning of the model.
    """
    path = Path(path)
    if not path.is_file():
        raise InterchangeError(f"Argument `path` must name an SBML file, but {str(path)!r} does not exist.")
    content = path.read_bytes()
    found = libsbml.readSBMLFromString(content.decode("utf-8-sig", errors="replace"))
    errors = [found.getError(i) for i in range(found.getNumErrors())]
    if (package := used_packages(content)) is not None:
        raise NotSupported(f"{path.name}, line {package.line}: {package.text}")
    worst = [e for e in errors if e.getSeverity() >= libsbml.LIBSBML_SEV_ERROR]
    if worst or found.getModel() is None:
        said = f"line {worst[0].getLine()}: {' '.join(worst[0].getMessage().split())}" if worst else "it has no model"
        raise InterchangeError(f"{path.name} cannot be read as SBML: {said}")
    if found.getLevel() == 1 and not found.setLevelAndVersion(2, 4, False):
        raise InterchangeError(f"{path.name} is SBML Level 1, and libSBML cannot turn it into Level 2.")
    return _Reader(path.name, found, ordinary_fast).document()


class _Reader:
    def __init__(self, file: str, found: Any, ordinary_fast: bool):
        self.file, self.found, self.ordinary_fast = file, found, ordinary_fast
        self.model = found.getModel()
        self.units = Units(self.model)
        self.notes: list[str] = []
        self.functions: dict[str, Function | NotSupported] = {}
        self.local: dict[str, parts.Parameter] = {}
        self.references: dict[str, float | None] = {}
        self.taken = {e.getId() for e in self.model.getListOfAllElements() if e.isSetId()}

    def refused(self, element: Any, reason: str) -> NotSupported:
        title = element.getElementName()
        # the id of a rule or an assignment is that of what it sets
        of = element.getIdAttribute() or getattr(element, "getVariable", str)() or getattr(element, "getSymbol", str)()
        where = f"{title} `{of}`" if of else title
        return NotSupported(f"{self.file}, line {element.getLine()}, {where}: {reason}.")

    def math(self, element: Any, replaced: dict[str, Expr] | None = None) -> Expr | None:
        """The formula of an element, None where it has none (Level 3 Version 2 allows that)."""
        node = element.getMath() if element is not None and element.isSetMath() else None
        if node is None:
            return None
        formula = read_math(node, self.functions, lambda reason: self.refused(element, reason))
        return formula.with_names(replaced) if replaced else formula

    # the model ----------------------------------------------------------------------------------------------------

    def document(self) -> parts.Document:
        m = self.model
        self._read_functions()
        for rule in m.getListOfRules():
            if rule.isAlgebraic() and rule.isSetMath():
                raise self.refused(rule, "algebraic rules (equations that hold at all times) are not supported")
        assigned = self._formulas(r for r in m.getListOfRules() if r.isAssignment())
        rated = self._formulas(r for r in m.getListOfRules() if r.isRate())
        initial = self._formulas(m.getListOfInitialAssignments())
        reactions = {r.getId(): self._reaction(r) for r in m.getListOfReactions()}
        events = tuple(e for i, raw in enumerate(m.getListOfEvents()) if (e := self._event(raw, i)) is not None)
        if self.model.getNumConstraints():
            self.notes.append("constraints are not checked")
        return parts.Document(
            self.file,
            m.getId(),
            m.getName(),
            self.found.getLevel(),
            self.found.getVersion(),
            {c.getId(): self._compartment(c) for c in m.getListOfCompartments()},
            {s.getId(): self._species(s) for s in m.getListOfSpecies()},
            {p.getId(): self._parameter(p) for p in m.getListOfParameters()} | self.local,
            self.references,
            reactions,
            assigned,
            rated,
            initial,
            events,
            m.getConversionFactor() or None if self.found.getLevel() >= 3 else None,
            self.units.time,
            self.units.extent,
            tuple(self.notes),
        )

    def _read_functions(self) -> None:
        """Definitions in an order in which each uses only earlier ones (Level 3 does not ask for one)."""
        left = {f.getId(): f for f in self.model.getListOfFunctionDefinitions() if f.isSetMath()}
        while left:
            ready = [k for k, f in left.items() if not _calls(f.getMath()) & set(left)]
            if not ready:
                first = next(iter(left.values()))
                raise self.refused(first, "the function calls itself")
            for key in ready:
                f = left.pop(key)
                try:
                    self.functions[key] = read_function(
                        f.getMath(), self.functions, lambda reason, f=f: self.refused(f, reason)
                    )
                except NotSupported as error:  # counts where the function is called
                    self.functions[key] = error

    def _formulas(self, elements: Any) -> dict[str, Expr]:
        found = {}
        for element in elements:
            target = element.getSymbol() if hasattr(element, "getSymbol") else element.getVariable()
            if (formula := self.math(element)) is not None:
                found[target] = formula
        return found

    def _compartment(self, c: Any) -> parts.Compartment:
        size = float(c.getSize()) if c.isSetSize() else None
        return parts.Compartment(c.getId(), c.getName(), size, self.units.of_compartment(c))

    def _species(self, s: Any) -> parts.Species:
        home = self.model.getCompartment(s.getCompartment())
        no_size = home.getSpatialDimensionsAsDouble() == 0
        return parts.Species(
            s.getId(),
            s.getName(),
            s.getCompartment(),
            float(s.getInitialAmount()) if s.isSetInitialAmount() else None,
            float(s.getInitialConcentration()) if s.isSetInitialConcentration() else None,
            s.getHasOnlySubstanceUnits() or no_size,
            s.getBoundaryCondition(),
            s.getConstant(),
            (s.getConversionFactor() or None) if self.found.getLevel() >= 3 else None,
            self.units.of_substance(s),
        )

    def _parameter(self, p: Any, key: str | None = None) -> parts.Parameter:
        value = float(p.getValue()) if p.isSetValue() else None
        return parts.Parameter(key or p.getId(), p.getName(), value, self.units.named(p.getUnits()))

    # reactions ------------------------------------------------------------------------------------------------------

    def _reaction(self, r: Any) -> parts.Reaction:
        if r.isSetFast() and r.getFast() and not self.ordinary_fast:
            raise self.refused(
                r, "fast reactions are not supported; with fast reactions as ordinary ones the file can be read"
            )
        law = r.getKineticLaw()
        local: dict[str, Expr] = {}
        if law is not None:
            for p in [*law.getListOfParameters(), *law.getListOfLocalParameters()]:
                if p.getId() not in local:
                    key = self._fresh(f"{r.getId()}_{p.getId()}")
                    self.local[key] = self._parameter(p, key)
                    local[p.getId()] = name(key)
        sides = [(p, -1) for p in r.getListOfReactants()] + [(p, 1) for p in r.getListOfProducts()]
        participants = tuple(parts.Participant(p.getSpecies(), sign, self._stoichiometry(p)) for p, sign in sides)
        return parts.Reaction(r.getId(), r.getName(), participants, self.math(law, local))

    def _fresh(self, key: str) -> str:
        while key in self.taken:
            key += "_"
        self.taken.add(key)
        return key

    def _stoichiometry(self, p: Any) -> Expr:
        level = self.found.getLevel()
        if level < 3 and p.isSetStoichiometryMath():
            formula = self.math(p.getStoichiometryMath())
            if formula is not None:
                return formula
        value = float(p.getStoichiometry())
        if level < 3:
            return number(value)
        if p.getId():
            self.references[p.getId()] = None if math.isnan(value) else value
            return name(p.getId())
        if math.isnan(value):
            raise self.refused(p, f"the stoichiometry of `{p.getSpecies()}` is not given, and nothing can set it")
        return number(value)

    # events ---------------------------------------------------------------------------------------------------------

    def _event(self, e: Any, position: int) -> parts.Event | None:
        key = e.getId() or self._fresh(f"event_{position + 1}")
        trigger = e.getTrigger()
        formula = self.math(trigger)
        if formula is None:
            self.notes.append(f"event `{key}` has no trigger and never happens")
            return None
        new = self.found.getLevel() >= 3
        assignments = self._formulas(e.getListOfEventAssignments())
        return parts.Event(
            key,
            e.getName(),
            formula,
            self.math(e.getDelay()),
            self.math(e.getPriority()) if new else None,
            assignments,
            trigger.getPersistent() if new else True,
            trigger.getInitialValue() if new else True,
            e.getUseValuesFromTriggerTime(),
        )


def _calls(node: Any) -> set[str]:
    own = {node.getName()} if node.getType() == libsbml.AST_FUNCTION else set()
    return own.union(*(_calls(node.getChild(i)) for i in range(node.getNumChildren())))
