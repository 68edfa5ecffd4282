"""The HTML writer: one self-contained file, with its tables as CSV, its figures as SVG and the rationale as JSON."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from .blocks import Block, Figure, Heading, ReportError, Table, anchor_of, number_blocks
from .common import find_leaf
from .layout import default_title, layout
from .tables import csv_text


def write_report(rationale: Any, out: str | Path, *, title: str | None = None, sections: Sequence[Block] = ()) -> Path:
    """Write the report on a `DoseRationale` into the folder `out` and return the path of its `report.html`.

    Written: `report.html` (one file: styles and figures inside, nothing is fetched from anywhere),
    `rationale.json` (everything the report says, unrounded; NaN as null), `tables/*.csv`, `figures/*.svg`.
    The same rationale gives the same bytes. The report shows every estimate and picks none: a recommendation appears
    only where `rationale.proposal` records the user's. Figures and tables of an earlier report in `out` are removed.

    `sections` are blocks of your own (see `qspx.report.sections`), printed and numbered before the conclusion: how the
    model was calibrated, for example. They begin with a `Heading`.

    Raises ReportError when the rationale contradicts itself, for example when its ledger does not add up.
    """
    folder = Path(out)
    blocks = layout(rationale, sections)
    record = json_text(rationale.to_dict())
    page = html_page(
        blocks,
        title or default_title(rationale),
        subtitle=_subtitle(rationale),
        fingerprint=_fingerprint(record),
        software=_software(rationale),
    )
    _remove_earlier(folder)
    for name in ("tables", "figures"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _write(folder / "rationale.json", record)
    for block in blocks:
        if isinstance(block, Table):
            _write(folder / "tables" / f"{block.name}.csv", csv_text(block))
        elif isinstance(block, Figure):
            _write(folder / "figures" / f"{block.name}.svg", f'<?xml version="1.0" encoding="utf-8"?>\n{block.svg}')
    path = folder / "report.html"
    _write(path, page)
    return path


_WRITTEN = re.compile(r'<(?:table|figure) id="(table|figure)-([A-Za-z0-9_-]+)"')


def _remove_earlier(folder: Path) -> None:
    """Remove the figures and tables that an earlier report in `folder` names, so that none outlives its report. Files
    that no report of ours names are left alone."""
    earlier = folder / "report.html"
    if not earlier.is_file():
        return
    for kind, name in _WRITTEN.findall(earlier.read_text(encoding="utf-8", errors="replace")):
        (folder / f"{kind}s" / f"{name}.{'csv' if kind == 'table' else 'svg'}").unlink(missing_ok=True)


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8", newline="\n")


def _fingerprint(record: str) -> str:
    return hashlib.sha256(record.encode()).hexdigest()[:12]


def _subtitle(rationale: Any) -> str:
    c = rationale.context
    return " · ".join(part for part in (str(c.indication or "").strip(), str(c.route or "").strip()) if part)


def _software(rationale: Any) -> str:
    version = find_leaf(rationale.provenance, "qspx")
    return f"Computed with qspx {version}" if version else ""


def jsonable(value: Any) -> Any:
    """`value` with NumPy scalars and arrays as plain Python, tuples as lists, and NaN and infinities as null."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Sequence):
        return [jsonable(item) for item in value]
    raise ReportError(f"The rationale's dictionary must hold numbers and text, but it holds a {type(value).__name__}.")


def json_text(record: Any) -> str:
    """`record` as JSON text with sorted keys."""
    return json.dumps(jsonable(record), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def css_string(words: str) -> str:
    """`words` as a CSS string, quotes included. Everything but letters, digits and blanks is escaped by code point (the
    blank after it belongs to the escape), so that no text can end the string or the style element."""
    return '"' + "".join(c if c.isascii() and (c.isalnum() or c == " ") else f"\\{ord(c):06x} " for c in words) + '"'


def html_page(
    blocks: Sequence[Block],
    title: str,
    *,
    kind: str = "Dose rationale",
    subtitle: str = "",
    fingerprint: str = "",
    software: str = "",
) -> str:
    """The whole HTML document. All text is escaped; only our own style sheet and drawings are inserted as they are."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    labels = number_blocks(blocks)
    here = files("qspx.report")
    environment = Environment(
        loader=FileSystemLoader(str(here)),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["anchor"] = anchor_of
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["markup"] = Markup
    environment.filters["css_string"] = lambda words: Markup(css_string(words))
    return environment.get_template("template.html.j2").render(
        title=title,
        kind=kind,
        subtitle=subtitle,
        fingerprint=fingerprint,
        software=software,
        style=Markup(here.joinpath("style.css").read_text(encoding="utf-8")),
        blocks=blocks,
        labels=labels,
        headings=[block for block in blocks if isinstance(block, Heading)],
        tables=[block for block in blocks if isinstance(block, Table)],
        figures=[block for block in blocks if isinstance(block, Figure)],
    )
