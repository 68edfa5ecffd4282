"""The files of a PEtab v1 problem: the YAML file, and the tables that it names (https://petab.readthedocs.io, v1)."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qspx._checks import shown
from qspx._errors import closest
from qspx.interchange.errors import InterchangeError, NotSupported

_MISSING = {"", "NaN", "nan", "NA", "N/A", "n/a", "NULL", "null", "None", "<NA>", "#N/A"}  # as in pandas
_NEEDED = {
    "parameter": ("parameterId", "parameterScale", "estimate"),
    "condition": ("conditionId",),
    "observable": ("observableId", "observableFormula", "noiseFormula"),
    "measurement": ("observableId", "simulationConditionId", "time", "measurement"),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table: the texts of its cells by column, without those that are missing (empty or NaN)."""

    file: str
    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        if column not in self.cells:
            raise self.error(column, "it is missing")
        return self.cells[column]

    def get(self, column: str) -> str:
        """The text, "" where it is missing."""
        return self.cells.get(column, "")

    def number(self, column: str) -> float:
        """The cell as a number. Raises `InterchangeError` where it is none."""
        found = number_in(self[column])
        if found is None:
            raise self.error(column, f"it must be a number, but is {self[column]!r}")
        return found

    def error(self, column: str, reason: str, hint: str = "") -> InterchangeError:
        return InterchangeError(f"{self.file}, line {self.line}, `{column}`: {reason}.{hint}")

    def refused(self, column: str, reason: str) -> NotSupported:
        return NotSupported(f"{self.file}, line {self.line}, `{column}`: {reason}.")


@dataclasses.dataclass(frozen=True)
class Tables:
    """The files of one problem.

    Attributes:
        yaml: the YAML file.
        model: its SBML file.
        parameters, observables, conditions: rows by id.
        measurements: rows in the order of the files.
        columns: all columns of a kind of table ("measurement", ...), in order.
    """

    yaml: Path
    model: Path
    parameters: Mapping[str, Row]
    observables: Mapping[str, Row]
    conditions: Mapping[str, Row]
    measurements: tuple[Row, ...]
    columns: Mapping[str, tuple[str, ...]]


def number_in(text: str) -> float | None:
    """The number that a cell holds, None where it is none."""
    try:
        found = float(text)
    except ValueError:
        return None
    return None if math.isnan(found) else found


def read_tables(path: str | Path) -> Tables:
    """The tables of a problem.

    Args:
        path: the YAML file of a PEtab problem, format version 1.

    Raises:
        InterchangeError: naming file and line, where a file is missing or a table is not as PEtab says.
        NotSupported: for other versions, several problems in one file, and languages other than SBML.
    """
    if not isinstance(path, str | Path):
        raise InterchangeError(
            f"Argument `path` must name the YAML file of a PEtab problem, but {shown(path)} was given."
        )
    path = Path(path)
    said = _read_yaml(path)
    version = str(said.get("format_version", "1"))
    if version.split(".")[0] != "1":
        raise NotSupported(f"{path.name}, `format_version`: version {version} is not supported, only version 1.")
    problems = said.get("problems")
    if not isinstance(problems, list) or not problems:
        raise InterchangeError(f"{path.name}, `problems`: it must be a list with one problem.")
    if len(problems) > 1:
        raise NotSupported(f"{path.name}, `problems`: {len(problems)} problems in one file are not supported.")
    problem = problems[0]
    models = _files(problem, "sbml_files")
    if len(models) != 1:
        raise NotSupported(
            f"{path.name}, `sbml_files`: one SBML model is supported, but {len(models)} are named"
            f"{'; other languages are not' if not models else ''}."
        )
    columns: dict[str, tuple[str, ...]] = {}

    def table(kind: str, holder: Mapping[str, Any], key: str, *, keyed: bool) -> Any:
        rows, columns[kind] = _table(path, kind, _files(holder, key))
        return _by_id(rows, f"{kind}Id") if keyed else tuple(rows)

    return Tables(
        yaml=path,
        model=_existing(path, models[0]),
        parameters=table("parameter", said, "parameter_file", keyed=True),
        observables=table("observable", problem, "observable_files", keyed=True),
        conditions=table("condition", problem, "condition_files", keyed=True),
        measurements=table("measurement", problem, "measurement_files", keyed=False),
        columns=columns,
    )


def files_of(path: Path) -> list[str]:
    """The files that the YAML file of a problem names."""
    said = _read_yaml(path)
    kinds = ("sbml", "condition", "observable", "measurement", "visualization", "mapping")
    named = [_files(problem, f"{kind}_files") for problem in said["problems"] for kind in kinds]
    return [*_files(said, "parameter_file"), *(name for files in named for name in files)]


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise InterchangeError(
            'Reading PEtab needs PyYAML, which is not installed; install the extra: pip install "qspx[petab]"'
        ) from error
    if path.is_dir():
        inside = sorted(file.name for pattern in ("*.yaml", "*.yml") for file in path.glob(pattern))
        raise InterchangeError(
            f"Argument `path` must name the YAML file of a PEtab problem, but {path} is a folder; "
            f"{'it holds ' + ', '.join(inside) if inside else 'it holds no YAML file'}."
        )
    if not path.is_file():
        raise InterchangeError(
            f"Argument `path` must name the YAML file of a PEtab problem, but {path} does not exist."
        )
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InterchangeError(f"{path.name} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict):
        raise InterchangeError(f"{path.name}: it must be a mapping with `parameter_file` and `problems`.")
    return said


def _files(holder: Mapping[str, Any], key: str) -> list[str]:
    found = holder.get(key) or []
    return [found] if isinstance(found, str) else [str(name) for name in found]


def _existing(yaml: Path, name: str) -> Path:
    if not (found := yaml.parent / name).is_file():
        raise InterchangeError(f"{yaml.name} names the file {name!r}, which does not exist beside it.")
    return found


def _table(yaml: Path, kind: str, names: Sequence[str]) -> tuple[list[Row], tuple[str, ...]]:
    if not names:
        raise InterchangeError(f"{yaml.name} names no {kind} file.")
    rows: list[Row] = []
    columns: dict[str, None] = {}
    for name in names:
        with _existing(yaml, name).open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, delimiter="," if name.lower().endswith(".csv") else "\t"))
        head = [title.strip() for title in lines[0]] if lines else []
        for column in _NEEDED[kind]:
            if column not in head:
                raise InterchangeError(f"{name}: the {kind} table has no column `{column}`.{closest(column, head)}")
        columns |= dict.fromkeys(head)
        for number, cells in enumerate(lines[1:], start=2):
            texts = {title: cell.strip() for title, cell in zip(head, cells, strict=False)}
            if any(texts.values()):
                rows.append(Row(name, number, {k: v for k, v in texts.items() if v not in _MISSING}))
    return rows, tuple(columns)


def _by_id(rows: Sequence[Row], column: str) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in rows:
        if (key := row[column]) in found:
            raise row.error(column, f"`{key}` stands in line {found[key].line} already")
        found[key] = row
    return found
