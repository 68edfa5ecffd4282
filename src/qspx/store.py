"""A run directory: what was asked (`manifest.json`), who was simulated (`patients.parquet`), what came out
(`metrics/part-NNNNN.parquet`, `traj.zarr`), and which shards are finished (`shards/NNNNN.json`, written last).

A shard is a block of subjects over all arms. It counts as done only when its marker exists, and every file appears
under its final name by an atomic rename, so a run that is killed at any moment resumes at the first shard not done.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
STARTED = {"shards", "metrics", "patients.parquet"}  # what a run leaves that is killed before its manifest exists


def write_atomic(path: Path, data: bytes) -> None:
    """Write so that `path` holds either the old or the new content, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def to_json(data: Any) -> bytes:
    return (json.dumps(data, indent=2, sort_keys=True, default=_plain, allow_nan=True) + "\n").encode()


def _plain(x: Any):
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, np.ndarray):
        return x.tolist()
    return str(x)


def check_same(path: Path, before: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if the run found in `path` is not the one that is asked for, and say what differs."""
    different = [k for k in sorted({*before, *asked}) if before.get(k) != asked.get(k)]
    if different:
        k = different[0]
        raise ConfigError(
            f"{str(path)!r} holds another run: `{k}` was {_short(before.get(k))} and is now {_short(asked.get(k))} "
            f"({len(different)} differences: {', '.join(different)}). Choose another `out`, or delete the old run."
        )


class RunStore:
    """One run directory. Raises `ConfigError` if it holds a run that was asked for differently."""

    def __init__(self, path: str | Path, identity: Mapping[str, Any]):
        self.path = Path(path)
        self.identity = json.loads(to_json(identity))
        self.manifest_path = self.path / "manifest.json"
        self._lock: Any = None

    def open(self, details: Mapping[str, Any], patients: pd.DataFrame) -> None:
        """Create the directory, or check that the one found belongs to the same run; no other process may run there."""
        if self.manifest_path.exists():
            check_same(self.path, json.loads(self.manifest_path.read_text()).get("identity", {}), self.identity)
            self._lock = exclusive(self.path / ".lock")
            return
        if self.path.exists() and any(f.name not in STARTED and f.name[0] != "." for f in self.path.iterdir()):
            raise ConfigError(
                f"Argument `out` must be a new or an empty directory, or one of an earlier run, but "
                f"{str(self.path)!r} holds other files. Choose another one."
            )
        for folder in ("shards", "metrics"):
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        self._lock = exclusive(self.path / ".lock")
        self._parquet(self.path / "patients.parquet", patients)
        write_atomic(
            self.manifest_path, to_json({"schema": SCHEMA, "identity": self.identity, "finished": False, **details})
        )

    def close(self) -> None:
        """Let other processes use the directory."""
        if self._lock is not None:
            self._lock.close()

    @staticmethod
    def _parquet(path: Path, frame: pd.DataFrame) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        frame.to_parquet(temporary, index=False)
        os.replace(temporary, path)

    def done(self) -> dict[int, dict[str, Any]]:
        """Markers of the finished shards."""
        markers = (self.path / "shards").glob("[0-9]*.json")
        return {int(f.stem): json.loads(f.read_text()) for f in markers}

    def create_trajectories(
        self, names: tuple[str, ...], shape: tuple[int, int, int], block: int, units: Mapping[str, str]
    ):
        """Arrays (arms, subjects, times) per observable, one chunk per shard."""
        if not names or (self.path / "traj.zarr").exists():
            return
        import zarr
        from zarr.codecs import BloscCodec

        temporary = self.path / f".traj.{os.getpid()}.zarr"
        group = zarr.open_group(str(temporary), mode="w")
        codec = BloscCodec(cname="zstd", shuffle="shuffle")
        for name in names:
            array = group.create_array(
                name,
                shape=shape,
                chunks=(shape[0], block, shape[2]),
                dtype="f8",
                fill_value=float("nan"),
                compressors=codec,
            )
            array.attrs["units"] = units[name]
        os.replace(temporary, self.path / "traj.zarr")

    def trajectories(self, mode: str = "r"):
        import zarr

        return zarr.open_group(str(self.path / "traj.zarr"), mode=mode)  # type: ignore[arg-type]

    def write_shard(
        self, i: int, start: int, metrics: pd.DataFrame, values: Mapping[str, np.ndarray], record: dict
    ) -> None:
        """Metrics and trajectories of one shard, then its marker."""
        digest = hashlib.sha256()
        if values:
            group = self.trajectories("r+")
            for name, block in values.items():
                group[name][:, start : start + block.shape[1]] = block  # type: ignore[index]
                digest.update(np.ascontiguousarray(block).tobytes())
        self._parquet(self.path / "metrics" / f"part-{i:05d}.parquet", metrics)
        digest.update(metrics.to_numpy(dtype=float, na_value=np.nan).tobytes())
        marker = {"shard": i, "sha256": digest.hexdigest(), **record}
        write_atomic(self.path / "shards" / f"{i:05d}.json", to_json(marker))

    def read_metrics(self, i: int) -> pd.DataFrame:
        import pandas as pd

        return pd.read_parquet(self.path / "metrics" / f"part-{i:05d}.parquet")

    def finish(self, details: Mapping[str, Any]) -> dict[str, Any]:
        """Mark the run as complete and return its manifest."""
        manifest = json.loads(self.manifest_path.read_text()) | dict(details) | {"finished": True}
        write_atomic(self.manifest_path, to_json(manifest))
        return manifest


def exclusive(path: Path) -> Any:
    """An open file that only one process can hold; the system lets go of it when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows: two writers repeat each other's work, which atomic renames make harmless
        return None
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise ConfigError(
            f"{str(path.parent)!r} is in use: another process is running there. Wait for it, or choose another `out`."
        ) from None
    return handle


def _short(x: Any) -> str:
    text = str(x)
    return text if len(text) <= 60 else text[:57] + "..."
