"""The directory of a fit: `manifest.json` says what was asked, `state.npz` where every start stands.

Both appear under their names by an atomic rename, so a fit that is killed at any moment goes on from the state saved
last, and computes the same numbers as one that was left alone. Population fits are kept in the same way.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qspx._errors import ConfigError
from qspx.provenance import environment, now
from qspx.store import check_same, exclusive, to_json, write_atomic

SCHEMA = 1
MANIFEST, STATE = "manifest.json", "state.npz"
_OF = "identity_of_the_fit"  # among the arrays: which fit they are of


class FitStore:
    """One directory of a `kind` of fit. Use as a context; no other process may write there meanwhile."""

    def __init__(self, path: str | Path, identity: Mapping[str, Any], kind: str = "fit"):
        self.path, self.kind = Path(path), kind
        self.identity = json.loads(to_json(identity))

    def __enter__(self) -> FitStore:
        """Raises `ConfigError` if the directory holds something else, or a fit that was asked for differently."""
        manifest = self.path / MANIFEST
        if manifest.exists():
            check_same(self.path, self._manifest()["identity"], self.identity)
        elif self.path.exists() and any(f.name[0] != "." for f in self.path.iterdir()):
            raise ConfigError(
                f"Argument `out` must be a new or an empty directory, or one of an earlier fit, but "
                f"{str(self.path)!r} holds other files. Choose another one."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = exclusive(self.path / ".lock")
        if not manifest.exists():
            details = {"started": now(), "environment": environment(), "finished": False}
            write_atomic(manifest, to_json({"schema": SCHEMA, "kind": self.kind, "identity": self.identity, **details}))
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def read(self) -> dict[str, np.ndarray] | None:
        """The arrays saved last, or None."""
        return read_state(self.path, self.identity) if (self.path / STATE).exists() else None

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Save arrays in place of those before."""
        buffer = io.BytesIO()
        np.savez(buffer, **arrays, **{_OF: _digest(self.identity)})  # type: ignore[arg-type]
        write_atomic(self.path / STATE, buffer.getvalue())

    def finish(self, details: Mapping[str, Any]) -> dict[str, Any]:
        """Mark the fit as complete, if it is not yet, and return its manifest."""
        manifest = self._manifest()
        if not manifest["finished"]:
            manifest |= {"ended": now()} | dict(details) | {"finished": True}
            write_atomic(self.path / MANIFEST, to_json(manifest))
        return manifest

    def _manifest(self) -> dict[str, Any]:
        return read_manifest(self.path, self.kind)


def read_manifest(path: Path, kind: str = "fit") -> dict[str, Any]:
    """What a directory of a `kind` of fit says about itself. Raises `ConfigError` if it is none."""
    try:
        found = json.loads((path / MANIFEST).read_text())
    except FileNotFoundError:
        raise ConfigError(f"{str(path)!r} holds no fit: there is no {MANIFEST} in it.") from None
    except ValueError:
        raise _damaged(path, MANIFEST) from None
    if not isinstance(found, dict):
        raise _damaged(path, MANIFEST)
    if found.get("kind") != kind:
        raise ConfigError(f"{str(path)!r} holds a {found.get('kind', 'run')}, not a {kind}.")
    if not (isinstance(found.get("identity"), dict) and "finished" in found):
        raise _damaged(path, MANIFEST)
    return found


def read_state(path: Path, identity: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of a directory of the fit of this identity. Raises `ConfigError` where there are none yet, they cannot
    be read, or are those of another fit."""
    if not (path / STATE).exists():
        raise ConfigError(
            f"{str(path)!r} holds a fit that has not saved anything yet; call fit(..., out={str(path)!r}) to go on."
        )
    try:
        with np.load(io.BytesIO((path / STATE).read_bytes()), allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (ValueError, KeyError, EOFError, OSError, RuntimeError, zipfile.BadZipFile):
        raise _damaged(path, STATE) from None
    if str(found.pop(_OF, "")) != _digest(identity):
        raise ConfigError(
            f"{str(path / STATE)!r} is not of the fit that {MANIFEST} beside it describes. Restore it from a copy, or "
            "delete the directory and fit again."
        )
    return found


def _digest(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(to_json(identity)).hexdigest()


def _damaged(path: Path, name: str) -> ConfigError:
    return ConfigError(
        f"{str(path / name)!r} is damaged: it ends too early, or is not what a fit writes. Restore it from a copy, or "
        "delete the directory and fit again."
    )
