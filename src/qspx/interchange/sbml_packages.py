"""Which package of SBML Level 3 a file uses in a way that changes what the model means."""

from __future__ import annotations

import io
import xml.sax
from typing import NamedTuple
from xml.sax.handler import feature_namespaces
from xml.sax.xmlreader import Locator

_CORE = "http://www.sbml.org/sbml/level3/version"


class Use(NamedTuple):
    line: int
    text: str


class _Handler(xml.sax.ContentHandler):
    """Packages with `required="true"` and the first element of each. One that is declared and not used is no harm."""

    def __init__(self) -> None:
        super().__init__()
        self.required: set[str] = set()
        self.found: Use | None = None
        self.locator: Locator | None = None

    def setDocumentLocator(self, locator: Locator) -> None:
        self.locator = locator

    def startElementNS(self, name, qname, attrs) -> None:
        space, title = name
        if title == "sbml" and not self.required:
            said = {ns: value for (ns, key), value in attrs.items() if key == "required" and ns is not None}
            self.required = {ns for ns, value in said.items() if value in ("true", "1")}
        if self.found is None and space in self.required:
            package = space.removeprefix(_CORE).split("/")[1] if space.startswith(_CORE) else space
            ids = [value for (_, key), value in attrs.items() if key == "id"]
            where = f"{title} `{ids[0]}`" if ids else title
            line = self.locator.getLineNumber() or 0 if self.locator is not None else 0
            self.found = Use(line, f"{where}: the package `{package}`, which the file requires, is not supported.")


def used_packages(content: bytes) -> Use | None:
    """The first element of a required package. A file that is no XML is left to libSBML to complain about."""
    handler, parser = _Handler(), xml.sax.make_parser()
    parser.setFeature(feature_namespaces, True)
    parser.setContentHandler(handler)
    try:
        parser.parse(io.BytesIO(content))
    except xml.sax.SAXParseException:
        return None
    return handler.found
