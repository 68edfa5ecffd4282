"""The rows of a comparison on disk: one file per method, size and seed, written when it is there."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from qspx.model import AbstractModel
from qspx.store import check_same, to_json, write_atomic


def digest(thing: Any) -> str:
    """Of everything that an object is made of: numbers, arrays, models by their hash, objects by class and fields."""
    return hashlib.sha256(to_json(_described(thing))).hexdigest()[:16]


def _described(x: Any) -> Any:
    if x is None or isinstance(x, bool | int | float | str):
        return x
    if isinstance(x, AbstractModel):
        return [type(x).__name__, x.hash]
    if isinstance(x, Mapping):
        return [[str(k), _described(v)] for k, v in x.items()]
    if isinstance(x, list | tuple | set | frozenset):
        return [_described(v) for v in x]
    if hasattr(x, "__array__"):
        array = np.asarray(x)
        return [str(array.dtype), array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()]
    kind = f"{type(x).__module__}.{type(x).__qualname__}"
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return [kind, {f.name: _described(getattr(x, f.name)) for f in dataclasses.fields(x) if f.compare}]
    if isinstance(x, FunctionType):
        numbers = [c for c in x.__code__.co_consts if isinstance(c, int | float | str)]
        return [x.__module__, x.__qualname__, hashlib.sha256(x.__code__.co_code).hexdigest(), numbers]
    own = {k: v for k, v in getattr(x, "__dict__", {}).items() if not k.startswith("_")}
    return [kind, _described(own)]


class ComparisonStore:
    """A directory of rows.

    Raises:
        ConfigError: if it holds rows of another problem, of other people, or of another method of the same name.
    """

    def __init__(self, path: str | Path, identity: Mapping[str, Any]):
        self.path = Path(path)
        self.rows = self.path / "rows"
        self.rows.mkdir(parents=True, exist_ok=True)
        about, asked = self.path / "comparison.json", json.loads(to_json(identity))
        before = json.loads(about.read_text()) if about.exists() else {}
        if before:  # methods may be added later; those that are there must be what they were
            known = {k: v for k, v in asked.items() if k in before}
            check_same(self.path, {k: before[k] for k in known}, known)
        write_atomic(about, to_json({**before, **asked}))

    def _place(self, method: str, size: int, seed: Any) -> Path:
        return self.rows / f"{hashlib.sha256(f'{method}|{size}|{seed}'.encode()).hexdigest()[:20]}.json"

    def read(self, method: str, size: int, seed: Any) -> dict[str, Any] | None:
        """The row, if it is there."""
        place = self._place(method, size, seed)
        return json.loads(place.read_text()) if place.exists() else None

    def write(self, row: Mapping[str, Any]) -> None:
        write_atomic(self._place(row["method"], row["size"], row["seed"]), to_json(dict(row)))

    def write_table(self, table: Any) -> None:
        """`table.csv`, all rows that are there."""
        write_atomic(self.path / "table.csv", table.to_csv(index=False).encode())
