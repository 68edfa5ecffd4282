"""Results into documents, so that a new run renews them without a hand."""

from __future__ import annotations

import datetime
import json
import math
import re
import sys
from pathlib import Path

import qspx

from .measure import machine
from .peers.base import version

PACKAGES = ("jax", "jaxlib", "diffrax", "numpy", "scipy", "llvmlite", "numba", "numbalsoda", "scikit-sundae")
PACKAGES += ("libroadrunner", "amici")


def environment() -> str:
    """Date, machine and versions, in words."""
    place = machine()
    versions = ", ".join(f"{p} {version(p)}" for p in PACKAGES)
    return (
        f"{datetime.date.today().isoformat()}, qspx {qspx.__version__}; {place['processor']}, {place['cores']} cores, "
        f"{place['vector unit']}, {place['system']}; Python {sys.version.split()[0]}, {versions}."
    )


def write_json(path: Path, data: object) -> None:
    """Data as JSON; what is not a finite number becomes null."""

    def clean(x: object) -> object:
        if isinstance(x, dict):
            return {str(k): clean(v) for k, v in x.items()}
        if isinstance(x, list | tuple):
            return [clean(v) for v in x]
        if isinstance(x, float):
            return float(x) if math.isfinite(x) else None
        return x

    path.write_text(json.dumps(clean(data), indent=1, allow_nan=False) + "\n")


def insert(document: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- name: begin -->` and `<!-- name: end -->`."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = document.read_text()
    if begin not in old or end not in old:
        raise ValueError(f"{document.name} must hold the markers `{begin}` and `{end}`.")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", flags=re.S)
    document.write_text(pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", old))
