"""The base of every method that finds patients, and the counting of what that costs."""

from __future__ import annotations

import abc
import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from qspx._random import KeyLike
from qspx._status import Ledger, Status
from qspx.steady_state import in_blocks
from qspx.vpop.outputs import Outputs
from qspx.vpop.problem import PopulationProblem


class Evaluator:
    """Simulates drawn parameters and counts the patients."""

    def __init__(self, problem: PopulationProblem):
        self.problem = problem
        self.evaluations = 0

    def __call__(self, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (n, outputs) and status (n,) of drawn parameters (n, drawn)."""
        self.evaluations += len(drawn)
        theta = np.tile(self.problem.model_theta, (len(drawn), 1))
        theta[:, self.problem.columns] = drawn
        values, status = in_blocks(self.problem.simulator.compiled, theta)
        return values, status

    def columns(self, values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        """Some of the outputs."""
        return values[:, [self.problem.simulator.names.index(n) for n in names]]


class AbstractSampler(abc.ABC):
    """Finds patients. A new one is a class with `find`, in the package or outside it."""

    @abc.abstractmethod
    def find(
        self, problem: PopulationProblem, n: int, key: KeyLike, evaluate: Evaluator
    ) -> tuple[np.ndarray, Mapping[str, Any]]:
        """Drawn parameters (found, drawn) of about `n` patients that the method takes for plausible, simulated with
        `evaluate`; and what there is to say. `details["ledger"]`, where given, counts all that were tried, and
        `details["missing"]` those that were asked for and never found."""

    def sample(self, problem: PopulationProblem, n: int, *, key: KeyLike, strict: bool = True) -> Outputs:
        """Patients with their outputs. With `strict`, those outside the bounds are marked IMPLAUSIBLE; without, they
        stay, as in publications whose scores tolerate some violation. The share that is strictly plausible is in
        `details` either way, with the number of model evaluations, the one of each patient that was found included,
        and seconds."""
        evaluate, started = Evaluator(problem), time.perf_counter()
        drawn, details = self.find(problem, n, key, evaluate)
        seconds = time.perf_counter() - started
        name = type(self).__name__
        cohort = problem.cohort(drawn, f"{len(drawn)} found by {name}", key)
        found = problem.simulator(cohort)
        checked = problem.plausibility.apply(found)
        ledger = details.get("ledger")
        about = {
            "sampler": name,
            "evaluations": evaluate.evaluations,
            "found_seconds": seconds,
            "strictly_plausible": float(checked.usable.sum() / max(found.usable.sum(), 1)),
            **{k: v for k, v in details.items() if k not in ("ledger", "missing")},
        }
        # who was found has just been simulated once more
        about |= {k: about[k] + len(drawn) for k in ("evaluations", "needed_evaluations") if k in about}
        missing = details.get("missing", Ledger({}))
        return dataclasses.replace(checked if strict else found, screened=ledger, details=about, missing=missing)


def violation_score(problem: PopulationProblem, values: np.ndarray) -> np.ndarray:
    """Sum over bounds of max(0, [(m - h)² - (m - l)²] / m²), m the middle (Allen 2016): zero inside, shape (n,); inf
    where the solve failed. `values` are those of all outputs.

    With d how far h is outside and w = (u - l)/2 that is (d² + 2 w d) / m². The publications bound what cannot be
    negative, so that m >= w; for bounds around zero m² says nothing of their size, and w² takes its place. Where one
    bound is infinite w is the size of the other, or 1 where that is zero: d/w is `Plausibility.violation`."""
    names = problem.plausibility.names
    low, high = problem.plausibility.limits.T
    known = np.where(np.isfinite(high), np.abs(high), np.where(np.isfinite(low), np.abs(low), 1.0))
    both = np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        width = np.where(both, 0.5 * (high - low), np.where(known > 0, known, 1.0))
        scale = np.where(both, np.maximum(np.abs(0.5 * (low + high)), width), width)
    h = values[:, [problem.simulator.names.index(k) for k in names]]
    with np.errstate(invalid="ignore"):  # an event that never comes is not above a bound that there is not
        outside = np.maximum(0.0, np.maximum(np.where(h <= high, 0.0, h - high), low - h))
    score = ((outside**2 + 2 * width * outside) / scale**2).sum(axis=1)
    return np.where(np.isfinite(score), score, np.inf)


def ledger_of(outputs: Outputs) -> Ledger:
    """Of all patients, with reasons."""
    return Ledger.of(outputs.cohort.status, outputs.cohort.reasons)


def plausible_rows(outputs: Outputs) -> np.ndarray:
    return outputs.cohort.status == Status.OK


def back_inside(places: np.ndarray, walls: np.ndarray) -> np.ndarray:
    """Points (n, drawn) near the unit cube, back inside: on the wall where there are `walls` (drawn,), else reflected,
    which keeps uniform points uniform."""
    reflected = 1 - np.abs(1 - np.abs(places))
    return np.where(walls, np.clip(places, 0.0, 1.0), np.clip(reflected, 2.0**-53, 1 - 2.0**-53))
