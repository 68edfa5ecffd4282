"""The lines of one function of a written model: each quantity that a formula needs, after what it needs itself."""

from __future__ import annotations

import math
import textwrap

from qspx.interchange.errors import InterchangeError
from qspx.interchange.expression import Expr, divide, name, number, refolded
from qspx.interchange.python_math import Printer, literal
from qspx.interchange.sbml_names import Names
from qspx.interchange.sbml_system import Kind, System

WIDTH = 110


def assignment(variable: str, text: str) -> str:
    """One statement; a long one over several lines."""
    return f"{variable} = {folded_text(text, len(variable) + 3)}"


def folded_text(text: str, before: int, indent: str = "") -> str:
    """A formula as it is, or over several lines in parentheses where it would reach too far to the right."""
    if len(text) + before <= WIDTH - 8:
        return text
    parts = textwrap.wrap(text, WIDTH - 16, break_long_words=False, break_on_hyphens=False)
    inner = "".join(f"\n{indent}    {part}" for part in parts)
    return f"({inner}\n{indent})"


class Lines:
    """Lines of Python in order, and the text by which each id is read.

    Args:
        system, names: what ids mean, and their names.
        moment: "start" for values at the start; "running" for values at `t`; "after" for a function that has the
            running quantities of `observables` in `now`.
    """

    def __init__(self, system: System, names: Names, moment: str):
        self.system, self.names, self.moment = system, names, moment
        self.lines: list[str] = []
        self.constants: dict[str, None] = {}  # names of the parameters that stand for numbers given at the start
        self.needs_start = self.needs_now = False
        self._known: dict[str, str] = {}
        self._open: list[str] = []
        self.printer = Printer(self._reference)

    def text(self, e: Expr) -> str:
        return self.printer.number(self._with_numbers(e))

    def truth(self, e: Expr) -> str:
        return self.printer.truth(self._with_numbers(e))

    def _with_numbers(self, e: Expr) -> Expr:
        """The formula with numbers for ids that are numbers at all times, and 0 for the time at the start."""

        def known(leaf: Expr) -> Expr | None:
            if leaf.op == "time" and self.moment == "start":
                return number(0.0)
            value = self.system.number_of(str(leaf.value)) if leaf.op == "name" else None
            return None if value is None else number(value)

        return refolded(e.replaced(known))

    def of(self, key: str) -> str:
        """Text for the value of an id."""
        return self._reference(name(key))

    def define(self, key: str, variable: str, formula: Expr) -> str:
        """Gives a quantity a line of its own."""
        if key not in self._known:
            if key in self._open:
                circle = " -> ".join([*self._open[self._open.index(key) :], key])
                raise InterchangeError(f"{self.system.document.file}: formulas need each other: {circle}.")
            self._open.append(key)
            text = self.text(formula)
            self._open.pop()
            if formula.args:
                self.lines.append(assignment(variable, text))
            self._known[key] = variable if formula.args else text
        return self._known[key]

    def _reference(self, leaf: Expr) -> str:
        key = str(leaf.value)
        if leaf.op == "holder":
            return self._known[f"holder({key})"]
        if leaf.op == "given":
            return self._given(key)
        if leaf.op == "rateOf":
            return self.define(f"rateOf({key})", self.names[f"rate_{key}"], self.system.rate(key))
        if key not in self.system.kinds:
            raise InterchangeError(
                f"{self.system.document.file}: a formula reads `{key}`, which the model does not hold."
            )
        kind, variable = self.system.kinds[key], self.names[key]
        if kind is Kind.PARAMETER:
            return f"p.{variable}"
        if kind is Kind.LITERAL:
            return literal(self.system.number_given(key))[0]
        if self.moment == "start":
            return self._at_start(key)
        if kind is Kind.STATE:
            return f"y.{variable}"
        if self.moment == "after":
            self.needs_now = True
            return f'now["{variable}"]'
        return self.define(key, variable, self._running(key))

    def _running(self, key: str) -> Expr:
        system, kind = self.system, self.system.kinds[key]
        if kind is Kind.ASSIGNED:
            return system.document.assigned[key]
        if kind is Kind.REACTION:
            return system.reaction_rate(key)
        if kind is Kind.BY_AMOUNT:
            return divide(self._alias(key), system.size(key))
        return self._alias(key)

    def _alias(self, key: str) -> Expr:
        """The holder of an id as a leaf whose text is set here."""
        variable = self.names[self.system.holder(key)]
        if self.system.is_state(key):
            text = f"y.{variable}"
        else:
            self.needs_start = True
            text = f'start["{variable}"]'
        self._known[f"holder({key})"] = text
        return Expr("holder", value=key)

    def _at_start(self, key: str) -> str:
        system = self.system
        if system.kinds[key] is Kind.BY_AMOUNT and key not in system.document.initial and system.gives_amount(key):
            return self.define(key, self.names[key], divide(Expr("given", value=key), system.size(key)))
        return self.define(key, self.names[key], system.start(key))

    def _given(self, key: str) -> str:
        value = self.system.number_given(key)
        if value == 0 or not math.isfinite(value):
            return literal(value)[0]
        if self.system.kinds[key] is Kind.PARAMETER:
            return f"p.{self.names[key]}"
        self.constants[key] = None
        return f"p.{self.names[f'{key}_0']}"
