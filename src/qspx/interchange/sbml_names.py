"""Names of Python for the ids of SBML."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

from qspx.model import RESERVED, AbstractModel

_TAKEN = {"t", "y", "p", "jnp", "qspx", "gammaln", "start", "now", "self", "par", "amount", "__class__"}


class Names:
    """One name of Python per id or per text derived from one, each used once. An id keeps its own spelling where it
    can; `_` is added where Python or a model has the name already."""

    def __init__(self, ids: Iterable[str]):
        self._of: dict[str, str] = {}
        self._used: set[str] = set()
        for key in ids:
            self._of[key] = self._free(key)

    def __getitem__(self, key: str) -> str:
        if key not in self._of:
            self._of[key] = self._free(key)
        return self._of[key]

    def _free(self, key: str) -> str:
        found = re.sub(r"\W", "_", key)
        if keyword.iskeyword(found) or found in _TAKEN | RESERVED or hasattr(AbstractModel, found):
            found += "_"
        if found.startswith("__"):
            found = f"x{found}"
        while found in self._used:
            found += "_"
        self._used.add(found)
        return found
