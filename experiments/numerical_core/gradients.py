"""What the gradient of a weighted sum of all samples costs, beside the forward run of the same patients."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from qspx.dose_events import subject_doses
from qspx.integrate import SolveRequest
from qspx.integrate.base import Samples
from qspx.integrate.native_call import NativeSettings, forward
from qspx.integrate.reverse_call import pulled_back

from .problems import WORKLOADS
from .problems import problem as made

NAMES = ("tmdd3", "tce12", "casc48")


@dataclasses.dataclass(frozen=True)
class GradientCost:
    """CPU µs per patient on one thread (medians): the run alone, and the sweep back with the run that writes its tape;
    seconds to compile the latter; number of derivatives."""

    workload: str
    forward: float
    gradient: float
    compile: float
    derivatives: int

    @property
    def ratio(self) -> float:
        return self.gradient / self.forward


def measured(name: str, patients: int = 512, turns: int = 5) -> GradientCost:
    """By parameters, and by amount and time of every dose; cotangents at every sample of every state."""
    workload = WORKLOADS[name]
    model, given = workload.model, made(workload, patients)
    request = SolveRequest(model, workload.samples, tuple(model.species), (), 0.0, workload.days)
    settings = NativeSettings(workload.rtol, workload.atol, 100_000, None, 1)
    doses = subject_doses(model, given.theta, given.events(patients), np)
    samples = Samples.common(request, patients)
    bars = np.random.default_rng(0).standard_normal((patients, len(workload.samples), len(model.species)))
    none = np.zeros((patients, 0))

    def run() -> dict[str, np.ndarray]:
        return forward(request, settings, given.theta, doses, samples)

    def gradient(found: dict[str, np.ndarray]) -> None:
        pulled_back(request, settings, given.theta, doses, samples, found["records"], found["status"], bars, none)

    found = run()
    began = time.perf_counter()
    gradient(found)
    compilation = time.perf_counter() - began
    costs = {"run": [], "gradient": []}
    for _ in range(turns):
        for label, work in (("run", run), ("gradient", lambda: gradient(found))):
            began = time.process_time()
            work()
            costs[label].append((time.process_time() - began) / patients * 1e6)
    medians = [float(np.median(costs[label])) for label in ("run", "gradient")]
    return GradientCost(name, *medians, compilation, len(model.parameters) + 2 * doses.start.shape[1])
