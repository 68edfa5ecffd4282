"""What a report is made of: headings, text, facts, tables, figures, callouts; and the numbering of them.

A report is a tuple of blocks. Blocks hold content and know nothing of HTML; a writer (`html.py`) turns them into a
file. Tables and figures have a `name` that is unique in the report: it is their file name, their anchor, and what a
`Ref` points to. Numbers ("Table 3") exist only after `number_blocks`, so a section can be moved without renumbering.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from qspx._errors import QspxError

if TYPE_CHECKING:
    import pandas as pd


class ReportError(QspxError):
    """A rationale that contradicts itself, or a report whose blocks do not fit together."""


@dataclass(frozen=True)
class Ref:
    """A pointer to a block by its HTML id (`table-<name>`, `figure-<name>`, `section-<anchor>`), printed as number."""

    target: str


@dataclass(frozen=True)
class Strong:
    """Words in bold."""

    text: str


Inline = str | Ref | Strong


@dataclass(frozen=True)
class Heading:
    """Level 1 opens a section (numbered 1, 2, … or, in the appendix, A, B, …); level 2 a subsection."""

    text: str
    anchor: str
    level: int = 1
    appendix: bool = False


@dataclass(frozen=True)
class Text:
    """One paragraph. `missing` marks a sentence that says what was not supplied."""

    parts: tuple[Inline, ...]
    missing: bool = False


@dataclass(frozen=True)
class Items:
    """A bulleted list, one string per item."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Pairs of term and value (a definition list)."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Callout:
    """A framed remark. `label` is the word in its margin: "Advisory", "Warning" or "Note". `rows` are printed between
    the title and the body: (term, statement, remark in brackets)."""

    label: str
    title: str
    body: tuple[str, ...] = ()
    rows: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Decision:
    """The recorded proposal, or the statement that there is none."""

    title: str
    figures: tuple[tuple[str, str], ...]
    body: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """One table cell: what is printed, and the unrounded number behind it where there is one."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Head:
    """A column's heading: title, unit beneath it, numeric (right-aligned) or not, and an optional width in percent.
    Neighbours of the same `group` share a heading above theirs."""

    title: str
    unit: str = ""
    numeric: bool = False
    monospace: bool = False
    width: float | None = None
    group: str = ""


@dataclass(frozen=True)
class Table:
    """A numbered table. `data` is the unrounded frame that goes to `tables/<name>.csv`; `muted` lists greyed rows."""

    name: str
    caption: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    data: pd.DataFrame = field(compare=False, repr=False)
    notes: tuple[str, ...] = ()
    muted: frozenset[int] = frozenset()

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Runs of columns under one group heading, as (heading, number of columns); empty when there is none."""
        runs = tuple((name, len(list(run))) for name, run in groupby(head.group for head in self.heads))
        return runs if any(name for name, _ in runs) else ()


@dataclass(frozen=True)
class Figure:
    """A numbered figure; `svg` is a complete `<svg>` element, `alt` says in words what it shows."""

    name: str
    caption: str
    svg: str = field(repr=False)
    alt: str = ""


@dataclass(frozen=True)
class Equation:
    """`svg` is the picture of `latex`; without one `plain` is printed, and without either the LaTeX source."""

    name: str
    latex: str
    svg: str | None = field(default=None, repr=False)
    plain: str = ""


@dataclass(frozen=True)
class Equations:
    rows: tuple[Equation, ...]


@dataclass(frozen=True)
class PageBreak:
    """Start a new page when printed."""


@dataclass(frozen=True)
class Contents:
    """Where the table of contents is printed."""


Block = Heading | Text | Items | Facts | Callout | Decision | Table | Figure | Equations | PageBreak | Contents


def text(*parts: Inline) -> Text:
    """One paragraph from strings, `Ref`s and `Strong`s."""
    return Text(tuple(parts))


def missing(sentence: str) -> Text:
    """The sentence that stands where data was not supplied."""
    return Text((sentence,), missing=True)


def anchor_of(block: Heading | Table | Figure) -> str:
    """The HTML id of a block that can be pointed to."""
    if isinstance(block, Heading):
        return f"section-{block.anchor}"
    return f"{'table' if isinstance(block, Table) else 'figure'}-{block.name}"


def number_blocks(blocks: Iterable[Block]) -> dict[str, str]:
    """Numbers in reading order: HTML id -> label, e.g. "Table 3", "7.2", "A".

    Raises ReportError when two blocks share a name: they would overwrite each other's files.
    """
    labels: dict[str, str] = {}
    section, subsection, letter, tables, figures = 0, 0, 0, 0, 0
    current = ""
    for block in blocks:
        if isinstance(block, Heading):
            if block.level > 1:
                subsection += 1
                label = f"{current}.{subsection}"
            else:
                section, letter = (section, letter + 1) if block.appendix else (section + 1, letter)
                current = chr(ord("A") + letter - 1) if block.appendix else str(section)
                subsection = 0
                label = current
        elif isinstance(block, Table):
            tables += 1
            label = f"Table {tables}"
        elif isinstance(block, Figure):
            figures += 1
            label = f"Figure {figures}"
        else:
            continue
        anchor = anchor_of(block)
        if anchor in labels:
            raise ReportError(f"Blocks of a report must have unique ids, but `{anchor}` occurs twice. Rename one.")
        labels[anchor] = label
    return labels
