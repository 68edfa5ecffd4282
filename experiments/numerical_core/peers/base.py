"""What the benchmark asks of a solver. One peer is one file with one class."""

from __future__ import annotations

import abc
import dataclasses
import importlib.metadata
import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..problems import Problem


class Answer(NamedTuple):
    """states (patients, samples, states), NaN where a patient did not finish; steps (patients,) attempted, or None."""

    states: np.ndarray
    steps: np.ndarray | None


Solve = Callable[[int, float, float], Answer]
"""(number of patients, rtol, atol) -> the answer for the first so many patients of the problem."""


@dataclasses.dataclass(frozen=True)
class AbstractPeer(abc.ABC):
    """A solver with its best settings."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Short name, unique among the peers."""

    @property
    @abc.abstractmethod
    def settings(self) -> str:
        """What it is and how it was set up, in words."""

    def missing(self) -> str | None:
        """What is not installed, or None."""
        return None

    @property
    def group(self) -> int:
        """Patients that it solves at a time: numbers of patients are multiples of it."""
        return 1

    @abc.abstractmethod
    def prepare(self, problem: Problem) -> Solve:
        """Whatever is done once per model: tracing, code generation, compilation."""


def not_importable(*modules: str) -> str | None:
    absent = [m for m in modules if importlib.util.find_spec(m) is None]
    return f"{', '.join(absent)} not installed" if absent else None


def version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
