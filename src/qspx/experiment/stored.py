"""A dose rationale as one JSON file, unrounded: what a report is rebuilt from without simulating again."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qspx._errors import ConfigError
from qspx.fih import DoseEstimate, DoseRationale, Proposal, RationaleContext
from qspx.fih.rationale import Threshold
from qspx.store import write_atomic

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1


def save_rationale(rationale: DoseRationale, path: str | Path, title: str = "") -> None:
    """Write the rationale and the title of its report."""
    fields = {f.name: _plain(getattr(rationale, f.name)) for f in dataclasses.fields(rationale)}
    fields["estimates"] = [e.to_dict() for e in rationale.estimates]
    record = {"schema": SCHEMA, "title": title, "rationale": fields}
    write_atomic(Path(path), (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())


def load_rationale(path: str | Path) -> tuple[DoseRationale, str]:
    """(rationale, title) that `save_rationale` wrote. Raises `ConfigError` for a file that it did not write."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{str(path)!r} does not exist: the run is not finished, or this is no folder of `qspx fih`.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        schema = record["schema"]
        if schema != SCHEMA:
            raise ConfigError(f"{str(path)!r} has format {schema}, but this qspx reads {SCHEMA}. Run `qspx fih` again.")
        _check_fields(record["rationale"], path)
        fields = {name: _restored(value) for name, value in record["rationale"].items()}
        fields["context"] = RationaleContext(**fields["context"])
        fields["proposal"] = fields["proposal"] and _proposal(fields["proposal"])
        fields["estimates"] = tuple(DoseEstimate.from_dict(e) for e in fields["estimates"])
        fields["thresholds"] = [Threshold(**t) for t in fields["thresholds"]]
        fields["dose_times"] = [tuple(pair) for pair in fields["dose_times"]]
        fields["equations"] = [tuple(pair) for pair in fields["equations"]]
        return DoseRationale(**fields), record["title"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{str(path)!r} is not a stored rationale: {type(error).__name__}: {error}.") from error


def _check_fields(found: Mapping[str, Any], path: Path) -> None:
    different = sorted(set(found) ^ {f.name for f in dataclasses.fields(DoseRationale)})
    if different:
        raise ConfigError(
            f"{str(path)!r} is of another version of qspx (`{different[0]}` differs). Run `qspx fih` again."
        )


def _proposal(fields: Mapping[str, Any]) -> Proposal:
    lists = {name: tuple(fields[name]) for name in ("fractions", "days")}
    return Proposal(**{**fields, **lists})


def _plain(value: Any) -> Any:
    if hasattr(value, "columns") and hasattr(value, "dtypes"):  # a DataFrame, without importing pandas
        return {"table": {str(name): [str(value[name].dtype), _plain(value[name].tolist())] for name in value.columns}}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, str | bool) or value is None:
        return value
    if hasattr(value, "tolist") and not isinstance(value, type):
        return _plain(value.tolist())
    if isinstance(value, Sequence):
        return [_plain(v) for v in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if isinstance(value, int | float) else str(value)


def _restored(value: Any) -> Any:
    return _frame(value["table"]) if isinstance(value, dict) and set(value) == {"table"} else value


def _frame(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values, dtype=dtype) for name, (dtype, values) in columns.items()})
