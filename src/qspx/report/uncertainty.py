"""Section 11: advisories, alternative assumptions, what would change the dose, limitations."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .blocks import Block, Callout, Heading, Items, Ref, missing, text
from .common import capital
from .tables import Column, fold, signed, significant, table_from


def uncertainty(rationale: Any) -> Iterator[Block]:
    yield Heading("Uncertainty and limitations", "uncertainty")
    yield Heading("Advisories", "advisories", 2)
    yield from grouped_advisories(rationale.advisories) or (text("The methods raised no advisory."),)
    yield Heading("Alternative assumptions", "alternatives-considered", 2)
    if len(rationale.alternatives):
        yield table_from(
            rationale.alternatives,
            [
                Column("scenario", "Scenario", width=34),
                Column("dose_ug_per_kg", "Dose", significant, "µg/kg"),
                Column("fold_to_base", "Relative to base", fold),
                Column("note", "Note", width=38),
            ],
            name="alternatives",
            caption="The model-based dose under alternative structures, constants and populations.",
        )
    else:
        yield missing("Alternative assumptions (model structure, molar mass, wider population) were not examined.")
    yield Heading("What would change the dose", "what-would-change", 2)
    yield from _what_would_change(rationale)
    yield Heading("Assumptions", "assumptions", 2)
    yield from _assumptions(rationale)
    yield Heading("Limitations", "limitations", 2)
    yield Items(tuple(rationale.limitations)) if rationale.limitations else missing("No limitations were recorded.")


_ADVICE = re.compile(r"(?P<approach>[^:\[\]]+): (?P<conclusion>.+) \[(?P<evidence>[^\[\]]+)\]", re.DOTALL)


def grouped_advisories(lines: Sequence[str]) -> tuple[Callout, ...]:
    """The advisories as callouts: a line followed by rows "approach: conclusion [evidence]" is their title, the line
    after them closes them; a line without rows stands alone."""
    found: list[Callout] = []
    for k, line in enumerate(lines):
        row = _ADVICE.fullmatch(line)
        before = k > 0 and _ADVICE.fullmatch(lines[k - 1]) is not None
        after = k + 1 < len(lines) and _ADVICE.fullmatch(lines[k + 1]) is not None
        if row is not None:
            callout = found.pop() if found else Callout("Advisory", "")
            said = (capital(row["approach"]), capital(row["conclusion"]), row["evidence"])
            found.append(dataclasses.replace(callout, rows=(*callout.rows, said)))
        elif after:
            found.append(Callout("Advisory", line))
        elif before:
            found[-1] = dataclasses.replace(found[-1], body=(line,))
        else:
            found.append(Callout("Advisory", "", (line,)))
    return tuple(map(_short_remarks, found))


def _short_remarks(callout: Callout) -> Callout:
    """Remarks "recalled: check the source" cut to "recalled", with the whole of each said once in the body."""
    whole = dict.fromkeys(remark for *_, remark in callout.rows if ":" in remark)
    rows = tuple((term, statement, remark.split(":")[0]) for term, statement, remark in callout.rows)
    said = tuple("[{}]:{}.".format(*remark.split(":", 1)) for remark in whole)
    return dataclasses.replace(callout, rows=rows, body=(*said, *callout.body))


def _assumptions(rationale: Any) -> Iterator[Block]:
    if not rationale.assumptions:
        yield missing("No assumptions were recorded.")
        return
    by_method = {f"{e.method}: {words}" for e in rationale.estimates for words in (*e.assumptions, *e.notes)}
    others = [words for words in rationale.assumptions if words not in by_method]
    if len(others) < len(rationale.assumptions):
        yield text("The assumptions of each method are in ", Ref("table-method_notes"), ".",
                   "" if others else " No others were recorded.")  # fmt: skip
    if others:
        yield Items(tuple(_by_text(others, [e.method for e in rationale.estimates])))


def _by_text(assumptions: Sequence[str], methods: Sequence[str]) -> list[str]:
    """Assumptions "method: text" of the same text as one, with all their methods in brackets."""
    said: dict[str, list[str]] = {}
    for words in assumptions:
        method = max((name for name in methods if words.startswith(f"{name}: ")), key=len, default="")
        said.setdefault(words[len(method) + 2 :] if method else words, []).extend([method] if method else [])
    return [f"{capital(words)} ({'; '.join(names)})" if names else words for words, names in said.items()]


def _what_would_change(rationale: Any) -> Iterator[Block]:
    data = rationale.sensitivity
    if not len(data):
        yield missing("A sensitivity analysis of the dose was not supplied.")
        return
    largest = data.assign(size=data["elasticity_dose"].abs()).sort_values("size", ascending=False)
    largest = largest.drop_duplicates("parameter").head(5)
    weak = largest[largest["tag"].isin(["assumed", "estimated"])]
    yield text(f"The dose depends most on (elasticity): {'; '.join(map(_described, largest.to_dict('records')))}; see ",
               Ref("table-sensitivity"), ".")  # fmt: skip
    if len(weak):
        names = ", ".join(str(row["meaning"] or row["parameter"]) for row in weak.to_dict("records"))
        yield text(f"Of these, the following are estimated or assumed, not measured: {names}. New data on them would "
                   "move the dose in proportion to their elasticity.")  # fmt: skip


def _described(row: Mapping[str, Any]) -> str:
    return f"{row['meaning'] or row['parameter']} ({signed(row['elasticity_dose'])})"
