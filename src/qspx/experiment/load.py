"""Read an experiment file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from qspx._errors import ConfigError

from .messages import describe
from .schema import Experiment


@dataclass(frozen=True)
class ExperimentFile:
    """An experiment file that was read and checked: `content`, its `path`, and the `text` as it stands in the file."""

    path: Path
    text: str
    content: Experiment

    @property
    def model_path(self) -> Path:
        """The model file, found from the folder of the experiment file."""
        return (self.path.parent / self.content.model).resolve()


def load_experiment(path: str | Path) -> ExperimentFile:
    """The experiment in a TOML file, checked as far as it can be without its model.

    Raises `ConfigError` that names the key, the value and what is expected.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"the experiment file {str(path)!r} does not exist.")
    try:
        text = path.read_bytes().decode("utf-8")
        document = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read as TOML: {error}.") from error
    try:
        content = Experiment.model_validate(document)
    except ValidationError as error:
        mistakes = describe(error, document)
        head = f"{path.name}: " if len(mistakes) == 1 else f"{path.name} has {len(mistakes)} mistakes:\n  "
        raise ConfigError(head + "\n  ".join(mistakes)) from error
    return ExperimentFile(path, text, content)
