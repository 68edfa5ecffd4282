"""A small experiment as files that a test may change."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[1] / "data" / "experiment"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes model and experiment, with pieces of the experiment replaced; returns the path of the experiment."""

    def written(*changes: tuple[str, str]) -> Path:
        text = (DATA / "tiny.toml").read_text()
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} is in the experiment {text.count(old)} times"
            text = text.replace(old, new)
        shutil.copy(DATA / "tiny.py", tmp_path)
        path = tmp_path / "tiny.toml"
        path.write_text(text)
        return path

    return written
