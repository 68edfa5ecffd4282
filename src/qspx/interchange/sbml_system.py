"""What each id of an SBML model is over time: a constant, a state, or a quantity computed from others.

SBML moves amounts; an id may stand for a concentration. A species in a compartment of constant size is a state in what
its id stands for. In a compartment whose size changes the amount is the state and the concentration is computed, but
for a concentration with a rate rule in a compartment whose size is computed, which is a state as it is.
"""

from __future__ import annotations

import enum
import functools
import math

from qspx.interchange import sbml_parts as parts
from qspx.interchange.errors import NotSupported
from qspx.interchange.expression import Expr, divide, name, number, plus, times


class Kind(enum.Enum):
    """What an id is."""

    PARAMETER = "a constant with a number of its own"
    LITERAL = "a number written out: not finite, or a stoichiometry that nothing reads or sets"
    START = "a constant that a formula gives at the start"
    STATE = "a state"
    BY_AMOUNT = "a concentration: a state or constant amount over a size that changes"
    ASSIGNED = "computed at all times"
    REACTION = "the rate of a reaction"


class System:
    """The meaning of a `Document`. Formulas are over its ids, all at one time."""

    def __init__(self, document: parts.Document):
        d = self.document = document
        self.set_by_events = {key for e in d.events for key in e.assignments}
        self.reacting = {
            p.species for r in d.reactions.values() if r.rate is not None for p in r.participants
            if not d.species[p.species].boundary and not d.species[p.species].constant
        }  # fmt: skip
        self.kinds = {key: self._kind(key) for key in self.ids}

    @functools.cached_property
    def ids(self) -> list[str]:
        """Everything that has a value, in the order of the file's lists."""
        d = self.document
        return [*d.compartments, *d.species, *d.parameters, *d.references, *d.reactions]

    @functools.cached_property
    def read(self) -> set[str]:
        """Ids that some formula reads."""
        d = self.document
        formulas = [*d.assigned.values(), *d.rated.values(), *d.initial.values()]
        formulas += [r.rate for r in d.reactions.values() if r.rate is not None]
        for e in d.events:
            formulas += [f for f in (e.trigger, e.delay, e.priority, *e.assignments.values()) if f is not None]
        return set().union(*(f.names() for f in formulas), set())

    # kinds --------------------------------------------------------------------------------------------------------

    def changes(self, key: str) -> bool:
        """Whether something other than an assignment rule changes the id after the start."""
        return key in self.document.rated or key in self.set_by_events or key in self.reacting

    def _kind(self, key: str) -> Kind:
        d = self.document
        if key in d.reactions:
            return Kind.REACTION
        if key in d.assigned:
            return Kind.ASSIGNED
        if self.is_concentration(key) and self.varies(d.species[key].compartment):
            computed = d.species[key].compartment in d.assigned and key in d.rated
            return Kind.STATE if computed else Kind.BY_AMOUNT
        if self.changes(key):
            return Kind.STATE
        if key in d.initial and not self._set_to_number(key):
            return Kind.START
        if key in d.references and key not in self.read:
            return Kind.LITERAL
        plain = self.given(key).op == "given" and math.isfinite(self.number_given(key))
        return Kind.PARAMETER if plain else Kind.START

    def varies(self, key: str) -> bool:
        return key in self.document.assigned or self.changes(key)

    def is_concentration(self, key: str) -> bool:
        """Whether the id is a species that stands for a concentration."""
        return key in self.document.species and not self.document.species[key].is_amount

    # names of states and parameters ---------------------------------------------------------------------------------

    def holder(self, key: str) -> str:
        """The name of the state, or of the constant, behind an id: its own, or its amount's."""
        return f"{key}_amount" if self.kinds[key] is Kind.BY_AMOUNT else key

    def is_state(self, key: str) -> bool:
        kind = self.kinds[key]
        return kind is Kind.STATE or (kind is Kind.BY_AMOUNT and self.changes(key))

    @functools.cached_property
    def states(self) -> list[str]:
        return [key for key in self.ids if self.is_state(key)]

    # formulas -------------------------------------------------------------------------------------------------------

    def size(self, species: str) -> Expr:
        """The size of a species' compartment; 1 where nothing says it."""
        key = self.document.species[species].compartment
        return name(key)

    def number_given(self, key: str) -> float:
        """The number that the file gives for an id (of a species the amount or the concentration); nan where none."""
        d = self.document
        if self._set_to_number(key):
            return float(d.initial[key].value)
        if key in d.compartments:
            size = d.compartments[key].size
            return 1.0 if size is None else size
        if key in d.species:
            s = d.species[key]
            value = s.concentration if s.amount is None else s.amount
        else:
            value = d.parameters[key].value if key in d.parameters else d.references[key]
        return math.nan if value is None else value

    def number_of(self, key: str) -> float | None:
        """The number that an id is at all times and for every subject, where it is one and no parameter."""
        kind, d = self.kinds.get(key), self.document
        if kind is Kind.ASSIGNED:
            return d.assigned[key].known
        return self.number_given(key) if kind is Kind.LITERAL else None

    def gives_amount(self, key: str) -> bool:
        """Whether that number is an amount."""
        s = self.document.species[key]
        return s.is_amount if self._set_to_number(key) else s.amount is not None

    def _set_to_number(self, key: str) -> bool:
        """Whether an initial assignment is a number: as good as an attribute."""
        formula = self.document.initial.get(key)
        return formula is not None and formula.known is not None

    def given(self, key: str) -> Expr:
        """The value of an id at the start where no formula sets it, over other ids at the start."""
        own = Expr("given", value=key)
        if key not in self.document.species or math.isnan(self.number_given(key)) or self.number_given(key) == 0:
            return own
        amount = self.document.species[key].is_amount
        if amount == self.gives_amount(key):
            return own
        return times(own, self.size(key)) if amount else divide(own, self.size(key))

    def start_amount(self, key: str) -> Expr:
        """The amount of a concentration at the start."""
        if (key not in self.document.initial or self._set_to_number(key)) and self.gives_amount(key):
            return Expr("given", value=key)
        return times(name(key), self.size(key))

    def amount_rate(self, key: str) -> Expr:
        """Rate of a species' amount by the reactions."""
        d = self.document
        terms = []
        for r in d.reactions.values():
            for p in r.participants:
                if p.species == key and r.rate is not None:
                    term = times(p.stoichiometry, name(r.id))
                    terms.append(term if p.sign > 0 else times(number(-1.0), term))
        total = plus(*terms)
        conversion = d.species[key].conversion or d.conversion
        return total if conversion is None or total.known == 0 else times(total, name(conversion))

    def holder_rate(self, key: str) -> Expr:
        """Time derivative of the state behind an id."""
        d = self.document
        if key in d.rated:
            rule = d.rated[key]
            if self.kinds[key] is not Kind.BY_AMOUNT:
                return rule
            size = self.size(key)
            return plus(times(rule, size), times(name(key), Expr("rateOf", value=d.species[key].compartment)))
        if key not in self.reacting:
            return number(0.0)
        rate = self.amount_rate(key)
        if self.is_concentration(key) and self.kinds[key] is Kind.STATE:
            return divide(rate, self.size(key))
        return rate

    def rate(self, key: str) -> Expr:
        """Time derivative of what an id stands for (`rateOf`)."""
        kind = self.kinds[key]
        if kind is Kind.ASSIGNED or kind is Kind.REACTION:
            raise NotSupported(
                f"{self.document.file}: `rateOf` is asked of `{key}`, which is {kind.value}; SBML does not allow it."
            )
        if kind is Kind.STATE:
            return self.holder_rate(key)
        if kind is not Kind.BY_AMOUNT:
            return number(0.0)
        d = self.document
        if key in d.rated:
            return d.rated[key]
        home = d.species[key].compartment
        if home in d.assigned:
            raise NotSupported(
                f"{d.file}: `rateOf` is asked of the concentration `{key}` in compartment `{home}`, whose size has an "
                "assignment rule; its derivative is not formed."
            )
        change = self.amount_rate(key) if key in self.reacting else number(0.0)
        shrinking = times(name(key), Expr("rateOf", value=home))
        return divide(plus(change, times(number(-1.0), shrinking)), self.size(key))

    def start(self, key: str) -> Expr:
        """Value of an id at the start, over ids at the start."""
        d = self.document
        if key in d.initial and not self._set_to_number(key):
            return d.initial[key]
        if key in d.assigned:
            return d.assigned[key]
        if key in d.reactions:
            return self.reaction_rate(key)
        return self.given(key)

    def reaction_rate(self, key: str) -> Expr:
        rate = self.document.reactions[key].rate
        return number(math.nan) if rate is None else rate
