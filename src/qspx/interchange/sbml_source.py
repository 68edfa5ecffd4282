"""An SBML model as a model file: readable Python with declared species, parameters and observables."""

from __future__ import annotations

import dataclasses
import json
import keyword
import re
import textwrap
from collections.abc import Mapping, Sequence

from qspx.interchange.sbml_lines import WIDTH, Lines, folded_text
from qspx.interchange.sbml_names import Names
from qspx.interchange.sbml_parts import Document
from qspx.interchange.sbml_quantities import Quantities
from qspx.interchange.sbml_system import Kind, System

_INDENT = " " * 8


@dataclasses.dataclass(frozen=True)
class Written:
    """A model file, and where each id of the SBML file is in it.

    Attributes:
        text: the Python source.
        outputs: name of the species, parameter or observable by SBML id.
        numbers: value by SBML id, for the few that are written out as numbers.
    """

    text: str
    outputs: Mapping[str, str]
    numbers: Mapping[str, float]


def write_source(document: Document, *, units: bool, note: str = "") -> Written:
    """The model file of an SBML model; `units` says whether to declare its units or none (all dimensionless)."""
    return _Writer(document, units, note).written()


class _Writer:
    def __init__(self, document: Document, units: bool, note: str):
        self.document, self.note = document, note
        self.system = System(document)
        self.names = Names(self.system.ids)
        self.units = Quantities(self.system, units)
        self.constants: dict[str, None] = {}

    def written(self) -> Written:
        initial, has_start = self._initial()
        observed = self._observables(has_start)
        body = [*initial, *self._rates(), *observed, *self._events()]
        unused = self._unused("\n".join(body))
        head = [*self._header(), *self._class_head(), *self._declarations(unused)]
        text = "\n".join([*head, *body]).rstrip("\n") + "\n"
        if "gammaln(" in text:
            text = text.replace("import qspx\n", "from jax.scipy.special import gammaln\n\nimport qspx\n", 1)
        if "jnp." not in "\n".join(body):
            text = text.replace("import jax.numpy as jnp\n", "", 1).replace('"""\n\n\nimport', '"""\n\nimport', 1)
            text = text.replace('"""\n\n\nfrom', '"""\n\nfrom', 1)
        kinds = self.system.kinds
        numbers = {k: self.system.number_given(k) for k, kind in kinds.items() if kind is Kind.LITERAL or k in unused}
        return Written(text, {k: self.names[k] for k in kinds if k not in numbers}, numbers)

    def _unused(self, body: str) -> set[str]:
        """Constants that no function reads: they are said in comments, since a model declares what it uses."""
        read = set(re.findall(r"\bp\.(\w+)", body))
        return {k for k, kind in self.system.kinds.items() if kind is Kind.PARAMETER and self.names[k] not in read}

    # the head -------------------------------------------------------------------------------------------------------

    def _header(self) -> list[str]:
        d = self.document
        title = _one_line(d.name or d.id or d.file)
        level = f"SBML Level {d.level} Version {d.version}"
        said = [f"Written from `{d.file}` ({level}, model id `{d.id or 'none'}`) by qspx."]
        said += [f"{note[:1].upper()}{note[1:]}." for note in (*d.notes, *([self.note] if self.note else []))]
        said.append("Names are those of the SBML file; reactions are observables, in extent per time.")
        quoted = [line.replace("\\", "\\\\").replace('"""', "'''") for line in (title, *said)]
        lines = [f'"""{quoted[0].rstrip(".")}.', ""]
        for sentence in quoted[1:]:
            lines += textwrap.wrap(sentence, WIDTH)
        return [*lines, '"""', "", "import jax.numpy as jnp", "", "import qspx", "", ""]

    def _class_head(self) -> list[str]:
        d = self.document
        words = re.sub(r"\W", "_", d.id or d.file.rsplit(".", 1)[0])
        plain = words[:1].isalpha() and not keyword.iskeyword(words) and words not in ("qspx", "jnp", "gammaln")
        title = words if plain else f"Model_{words}"
        return [f"class {title}(qspx.AbstractModel):", f"    time_unit = {_quoted(self.units.time)}", ""]

    # declarations ---------------------------------------------------------------------------------------------------

    def _declarations(self, unused: set[str]) -> list[str]:
        species, parameters, observables, comments = [], [], [], []
        for key, kind in self.system.kinds.items():
            if self.system.is_state(key):
                holder = self.system.holder(key)
                said = self._meaning(key, "amount" if holder != key else "")
                species.append(
                    f"{self.names[holder]} = qspx.Species({_quoted(self.units.holder(key))}{said}, signed=True)"
                )
            if key in unused:
                comments.append(f"# {key} = {self.system.number_given(key)!r} is read by no formula")
            elif kind is Kind.PARAMETER:
                parameters.append(self._parameter(self.names[key], key, self.units.of(key), ""))
            elif kind not in (Kind.STATE, Kind.LITERAL):
                said = self._meaning(key, "rate of the reaction" if kind is Kind.REACTION else "")
                observables.append(f"{self.names[key]} = qspx.Observable({_quoted(self.units.of(key))}{said})")
        for key in self.constants:
            unit = self.units.given(key)
            parameters.append(self._parameter(self.names[f"{key}_0"], key, unit, "at the start"))
        blocks = [[f"    {line}" for line in block] for block in (species, parameters, observables, comments) if block]
        return [line for block in blocks for line in (*block, "")]

    def _parameter(self, variable: str, key: str, unit: str, what: str) -> str:
        value = self.system.number_given(key)
        scale = "" if value > 0 else ', scale="lin"'
        return f"{variable} = qspx.Parameter({value!r}, {_quoted(unit)}{self._meaning(key, what)}{scale})"

    def _meaning(self, key: str, what: str) -> str:
        d = self.document
        found = next((m[key] for m in (d.compartments, d.species, d.parameters, d.reactions) if key in m), None)
        title = _one_line(found.name) if found is not None else ""
        title = title if title != key else ""
        where = "compartment" if key in d.compartments else ""
        renamed = f"SBML id {key}" if self.names[key] != key else ""
        unit = "" if self.units.declared else self.units.noted(key)
        parts = [part for part in (title, where, what, renamed, unit) if part]
        return f", {_quoted(', '.join(parts))}" if parts else ""

    # functions ------------------------------------------------------------------------------------------------------

    def _initial(self) -> tuple[list[str], bool]:
        """`initial`, with a method `start` before it where constants have formulas."""
        lines = Lines(self.system, self.names, "start")
        states, constants = {}, {}
        for key, kind in self.system.kinds.items():
            if kind is Kind.BY_AMOUNT:
                into = states if self.system.is_state(key) else constants
                variable = self.names[self.system.holder(key)]
                into[variable] = lines.define(f"amount of {key}", variable, self.system.start_amount(key))
            elif kind is Kind.STATE:
                states[self.names[key]] = lines.of(key)
            elif kind is Kind.START:
                constants[self.names[key]] = lines.of(key)
        self.constants |= lines.constants
        states = {k: v for k, v in states.items() if v != "0.0"}
        if not constants:
            return ([] if not states else _function("initial(self, p)", "", lines.lines, states)), False
        said = "Values at the start, of states and of constants that formulas give (SBML's initial assignments)."
        start = _function("start(self, p)", said, lines.lines, states | constants)
        if not states:
            return start, True
        picked = {k: f'start["{k}"]' for k in states}
        return [*start, *_function("initial(self, p)", "", ["start = self.start(p)"], picked)], True

    def _rates(self) -> list[str]:
        lines = Lines(self.system, self.names, "after")
        rates = {}
        for key in self.system.states:
            formula = self.system.holder_rate(key)
            if formula.known != 0:
                rates[self.names[self.system.holder(key)]] = lines.text(formula)
        return _function("rates(self, t, y, p)", "", [*_now(lines), *lines.lines], rates)

    def _observables(self, has_start: bool) -> list[str]:
        lines = Lines(self.system, self.names, "running")
        found = {}
        for key, kind in self.system.kinds.items():
            if kind is Kind.START:
                found[self.names[key]] = f'start["{self.names[key]}"]'
                lines.needs_start = True
                lines.lines.append(f'{self.names[key]} = start["{self.names[key]}"]')
                lines._known[key] = found[self.names[key]] = self.names[key]
        for key, kind in self.system.kinds.items():
            if kind in (Kind.ASSIGNED, Kind.REACTION, Kind.BY_AMOUNT):
                found[self.names[key]] = lines.of(key)
        if not found:
            return []
        first = ["start = self.start(p)"] if lines.needs_start else []
        return _function("observables(self, t, y, p)", "", [*first, *lines.lines], found)

    def _events(self) -> list[str]:
        if not self.document.events:
            return []
        lines = Lines(self.system, self.names, "after")
        entries = {}
        for e in self.document.events:
            entries[e.id] = self._event(e, lines)
        return _function("events(self, t, y, p)", "", [*_now(lines), *lines.lines], entries)

    def _event(self, e, lines: Lines) -> str:
        values, factors = {}, {}
        for key, formula in e.assignments.items():
            variable = self.names[self.system.holder(key)]
            values[variable] = lines.text(formula)
            if self.system.kinds[key] is Kind.BY_AMOUNT:  # the id is a concentration, the state an amount
                factors[variable] = lines.of(self.document.species[key].compartment)
        given = {"trigger": lines.truth(e.trigger), "assign": _mapping(values)}
        if factors:
            given["factors"] = _mapping(factors)
        if e.delay is not None:
            given["delay"] = lines.text(e.delay)
        if e.priority is not None:
            given["priority"] = lines.text(e.priority)
        flags = {"persistent": e.persistent, "initially": e.initially, "at_trigger": e.at_trigger}
        given |= {key: "False" for key, value in flags.items() if not value}
        text = ", ".join(f"{key}={value}" for key, value in given.items())
        if len(text) < WIDTH - 30:
            return f"qspx.Event({text})"
        at = _INDENT + "        "
        inner = "".join(f"\n{at}{key}={folded_text(value, len(at + key), at)}," for key, value in given.items())
        return f"qspx.Event({inner}\n{_INDENT}    )"


def _now(lines: Lines) -> list[str]:
    return ["now = self.observables(t, y, p)"] if lines.needs_now else []


def _mapping(entries: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'"{key}": {value}' for key, value in entries.items()) + "}"


def _function(signature: str, said: str, lines: Sequence[str], returned: Mapping[str, str]) -> list[str]:
    text = [f"    def {signature}:"]
    if said:
        text.append(f'{_INDENT}"""{said}"""')
    text += [f"{_INDENT}{part}" for line in lines for part in line.split("\n")]
    if not returned:
        return [*text, f"{_INDENT}return {{}}", ""]
    text.append(f"{_INDENT}return {{")
    for key, value in returned.items():
        shown = value if "\n" in value else folded_text(value, len(key) + 8, _INDENT + "    ")
        text.append(f'{_INDENT}    "{key}": {shown},')
    return [*text, f"{_INDENT}}}", ""]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())
