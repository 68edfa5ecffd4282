"""Timing: peers take turns in one process; CPU time and wall time of each repeat, and the load of the machine."""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from collections.abc import Callable, Sequence

import numpy as np

from .peers.base import AbstractPeer, Answer, Solve
from .problems import Problem


@dataclasses.dataclass
class Row:
    """What one peer did on one workload. Times in seconds; per-patient figures in microseconds."""

    peer: str
    settings: str
    note: str = ""
    compile: float = float("nan")
    patients: int = 0
    cpu: list[float] = dataclasses.field(default_factory=list)
    wall: list[float] = dataclasses.field(default_factory=list)
    steps: float = float("nan")
    worst: float = float("nan")
    median_error: float = float("nan")
    compared: int = 0
    failed: int = 0

    def per_patient(self, times: Sequence[float], reduce: Callable) -> float:
        return reduce(times) / self.patients * 1e6 if times else float("nan")

    @property
    def cpu_median(self) -> float:
        return self.per_patient(self.cpu, np.median)

    @property
    def cpu_least(self) -> float:
        return self.per_patient(self.cpu, min)

    @property
    def wall_median(self) -> float:
        return self.per_patient(self.wall, np.median)

    @property
    def wall_least(self) -> float:
        return self.per_patient(self.wall, min)

    def as_dict(self) -> dict[str, object]:
        shown = ("cpu_median", "cpu_least", "wall_median", "wall_least")
        return dataclasses.asdict(self) | {f"{k}_us": getattr(self, k) for k in shown}


@dataclasses.dataclass
class Entry:
    """A peer that takes part."""

    peer: AbstractPeer
    solve: Solve
    row: Row
    answer: Answer | None = None


def clocked(action: Callable) -> tuple[object, float, float]:
    """(result, CPU seconds of the process with all its threads, wall seconds)."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = action()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def enter(peer: AbstractPeer, problem: Problem, budget: float, rtol: float, atol: float) -> tuple[Entry | None, Row]:
    """Prepare a peer and choose how many patients it gets: as many as fit `budget` CPU seconds per turn."""
    row = Row(peer.name, peer.settings)
    if reason := peer.missing():
        row.note = reason
        return None, row
    try:
        solve, _, row.compile = clocked(lambda: peer.prepare(problem))
    except Exception as error:  # one peer that breaks does not end the run of the others; it is in the table
        row.note = f"failed: {type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"
        return None, row
    group, most = peer.group, len(problem.theta)
    tried = min(max(group, 4), most)
    seconds = min(clocked(lambda: solve(tried, rtol, atol))[1] for _ in range(2))
    fits = int(tried * budget / max(seconds, 1e-6))
    row.patients = min(most, max(group, fits // group * group))
    return Entry(peer, solve, row), row


def take_turns(entries: Sequence[Entry], repeats: int, budget: float, rtol: float, atol: float) -> None:
    """Every peer once, then every peer again, so that a slow minute of the machine hits all of them. A peer whose
    repeats take longer than three budgets gets three of them."""
    for turn in range(repeats):
        for e in entries:
            if turn >= 3 and e.row.cpu[0] > 3 * budget:
                continue
            e.answer, cpu, wall = clocked(lambda e=e: e.solve(e.row.patients, rtol, atol))
            e.row.cpu.append(cpu)
            e.row.wall.append(wall)


def queue_use(steps: np.ndarray, lanes: int) -> float:
    """Share of the executed lane-steps that advance a patient, when a lane that is done takes the next patient: the
    queue replayed from the numbers of steps."""
    busy = np.zeros(lanes)
    for s in steps:
        busy[busy.argmin()] += s
    return float(steps.sum() / (lanes * busy.max()))


def group_use(steps: np.ndarray, lanes: int) -> float:
    """The same when groups of `lanes` patients advance together until the last of them is done."""
    whole = steps[: len(steps) // lanes * lanes].reshape(-1, lanes)
    return float(whole.sum() / (lanes * whole.max(axis=1).sum()))


def machine() -> dict[str, object]:
    """The machine in words."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            found = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        model = found.get("model name", model)
        features = found.get("flags", "").split()
    except OSError:
        features = []
    vector = next((name for name in ("avx512f", "avx2", "sse2") if name in features), "unknown vector unit")
    return {"processor": model, "vector unit": vector, "cores": os.cpu_count(), "system": platform.system()}


class Others:
    """How much of the machine other processes use, from its making on. A load average counts this process too."""

    def __init__(self):
        self._start = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """(busy seconds of the cores, those of this process and its children, wall seconds), None without /proc."""
        try:
            with open("/proc/stat") as lines:
                user, nice, system, _idle, _wait, irq, soft, steal = map(float, lines.readline().split()[1:9])
        except OSError:
            return None
        busy = (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
        return busy, sum(os.times()[:4]), time.perf_counter()

    def share(self) -> float:
        """Share of all cores, NaN where it cannot be told."""
        now = self._now()
        if now is None or self._start is None:
            return float("nan")
        busy, own, wall = (b - a for a, b in zip(self._start, now, strict=True))
        return max(0.0, busy - own) / (wall * (os.cpu_count() or 1))


def load_per_core() -> float:
    """Load average of the last minute over the number of cores."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)
