"""Fits in files: a directory with `manifest.json` and `state.npz`, the same that `fit(..., out=...)` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qspx._checks import shown
from qspx._errors import ConfigError
from qspx.calibrate.fit_result import Fit
from qspx.calibrate.fit_run import FitRun
from qspx.calibrate.fit_store import read_manifest, read_state
from qspx.calibrate.identity import identity
from qspx.calibrate.problem_of import objective_of
from qspx.store import check_same, to_json


def load_fit(path: str | Path, problem: Any) -> Fit:
    """The fit of `problem` that `Fit.save`, or `fit(..., out=path)`, wrote; one that was killed shows its starts so far
    as running.

    Raises `ConfigError` if there is none, or if it is a fit of another problem."""
    if not isinstance(path, str | Path):
        raise ConfigError(f"Argument `path` must be the directory of a fit, but {shown(path)} was given.")
    objective, path = objective_of(problem), Path(path)
    manifest = read_manifest(path)
    asked = json.loads(to_json(identity(objective)))
    check_same(path, {k: v for k, v in manifest["identity"].items() if k in asked}, asked)
    return Fit(objective, FitRun.of_arrays(read_state(path, manifest["identity"])), manifest)
