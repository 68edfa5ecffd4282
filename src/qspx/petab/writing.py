"""Estimates back into PEtab files."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from qspx.interchange.errors import InterchangeError
from qspx.petab.problem import PetabProblem
from qspx.petab.tables import Row, files_of


def write_petab_parameters(problem: PetabProblem, values: Any, path: str | Path) -> Path:
    """Writes the parameter table with estimates as nominal values; every other column stays as it was read.

    Args:
        problem: whose table it is.
        values: a `Fit` of the problem, or values by id in their own units, or coordinates (estimated,).
        path: the new file, tab separated.

    Raises:
        CalibrationError: for ids that are not estimated.
    """
    path = Path(path)
    _write(path, problem, list(problem.tables.parameters.values()), _by_id(problem, values))
    return path


def write_petab(problem: PetabProblem, values: Any, folder: str | Path) -> Path:
    """Writes the whole problem with estimates as nominal values, and gives its YAML file. All other files are copied.

    Args:
        problem: what was read.
        values: as for `write_petab_parameters`.
        folder: where to; other than where the problem is. It is made where there is none.

    Raises:
        InterchangeError: if the folder is that of the problem, or the problem names files outside its own.
    """
    folder, source = Path(folder), problem.tables.yaml.parent
    if folder.resolve() == source.resolve():
        raise InterchangeError(f"Argument `folder` must be another one than that of the problem, but is {folder}.")
    found = _by_id(problem, values)
    rows: dict[str, list[Row]] = {}
    for row in problem.tables.parameters.values():
        rows.setdefault(row.file, []).append(row)
    for name in [problem.tables.yaml.name, *files_of(problem.tables.yaml)]:
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()):
            raise InterchangeError(f"{problem.tables.yaml.name} names {name!r}, which is outside its folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        if name in rows:
            _write(target, problem, rows[name], found)
        else:
            shutil.copyfile(source / name, target)
    return folder / problem.tables.yaml.name


def _by_id(problem: PetabProblem, values: Any) -> dict[str, float]:
    """Every estimated parameter in its own unit."""
    x = problem.coordinates(getattr(values, "parameters", values))
    return dict(zip(problem.objective.names, np.asarray(problem.objective.natural(x)).tolist(), strict=True))


def _write(path: Path, problem: PetabProblem, rows: list[Row], values: dict[str, float]) -> None:
    columns = problem.tables.columns["parameter"]
    columns = columns if "nominalValue" in columns else (*columns, "nominalValue")
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="," if path.suffix.lower() == ".csv" else "\t", lineterminator="\n")
        table.writerow(columns)
        for row in rows:
            cells = dict(row.cells)
            if row["parameterId"] in values:
                cells["nominalValue"] = repr(values[row["parameterId"]])
            table.writerow([cells.get(column, "") for column in columns])
