"""The run directory: what lies in it, and that a killed run leaves nothing half-written behind."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest

from qspx._errors import ConfigError
from qspx.store import RunStore, write_atomic

IDENTITY = {"model": "M", "times": np.array([0.0, 1.0]), "shard": 2}
PATIENTS = pd.DataFrame({"subject": [0, 1, 2], "CL": [0.1, 0.2, 0.3]})


def opened(path, identity=IDENTITY, keep=False) -> RunStore:
    """An open store; `keep` leaves it locked against others."""
    store = RunStore(path, identity)
    store.open({"started": "now"}, PATIENTS)
    store.create_trajectories(("C",), (1, 3, 2), 2, {"C": "nM"})
    if not keep:
        store.close()
    return store


def write(store: RunStore, i: int, start: int, values) -> None:
    values = np.asarray(values, dtype=float)
    frame = pd.DataFrame({"subject": np.arange(start, start + values.shape[1]), "max(C)": values.max(axis=(0, 2))})
    store.write_shard(i, start, frame, {"C": values}, {"status": {"ok": len(frame)}})


def test_a_run_directory(tmp_path):
    store = opened(tmp_path / "run")
    write(store, 0, 0, [[[1, 2], [3, 4]]])
    write(store, 1, 2, [[[5, 6]]])
    manifest = store.finish({"ended": "later"})
    assert sorted(f.name for f in (tmp_path / "run").iterdir() if f.name != ".lock") == [
        "manifest.json", "metrics", "patients.parquet", "shards", "traj.zarr"]  # fmt: skip
    assert manifest["finished"] and manifest["started"] == "now" and manifest["ended"] == "later"
    assert json.loads((tmp_path / "run" / "manifest.json").read_text()) == manifest
    assert sorted(store.done()) == [0, 1]
    assert store.done()[1]["status"] == {"ok": 1}
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "run" / "patients.parquet"), PATIENTS)
    np.testing.assert_array_equal(store.trajectories()["C"][:], [[[1, 2], [3, 4], [5, 6]]])
    assert store.trajectories()["C"].attrs["units"] == "nM"
    assert store.read_metrics(0)["max(C)"].tolist() == [2.0, 4.0]


def test_only_shards_with_a_marker_count(tmp_path):
    store = opened(tmp_path / "run")
    write(store, 0, 0, [[[1, 2], [3, 4]]])
    (tmp_path / "run" / "shards" / "00000.json").unlink()
    (tmp_path / "run" / "shards" / ".00001.json.17.tmp").write_text("{")  # what a kill leaves
    assert store.done() == {}
    assert np.isnan(store.trajectories()["C"][:, 2]).all()


def test_equal_numbers_give_equal_digests(tmp_path):
    digests = []
    for name, values in (("a", [[[1, 2], [3, np.nan]]]), ("b", [[[1, 2], [3, np.nan]]]), ("c", [[[1, 2], [3, 5]]])):
        store = opened(tmp_path / name)
        write(store, 0, 0, values)
        digests.append(store.done()[0]["sha256"])
    assert digests[0] == digests[1] != digests[2]


def test_a_run_killed_before_its_manifest_exists_can_be_started_again(tmp_path):
    run = tmp_path / "run"
    opened(run)
    (run / "manifest.json").unlink()
    for f in (run / "traj.zarr").rglob("*"):
        if f.is_file():
            f.unlink()
    (run / "traj.zarr").rename(run / ".traj.17.zarr")
    (run / ".patients.parquet.17.tmp").write_text("half")
    assert opened(run).done() == {}


def test_other_content_and_another_run_are_refused(tmp_path):
    opened(tmp_path / "run")
    opened(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"`times` was \[0.0, 1.0\] and is now \[0.0, 2.0\] \(1 differences: times\)"):
        opened(tmp_path / "run", IDENTITY | {"times": np.array([0.0, 2.0])})
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="`out` must be a new or an empty directory"):
        opened(tmp_path / "else")


def test_one_process_at_a_time(tmp_path):
    first = opened(tmp_path / "run", keep=True)
    with pytest.raises(ConfigError, match="in use"):
        opened(tmp_path / "run")
    first.close()
    opened(tmp_path / "run")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "f.json"
    write_atomic(path, b"old")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
