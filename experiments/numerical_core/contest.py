"""One workload against all peers: preparation, turns, errors, and the figures that only qspx has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from qspx.integrate.lowering import Lowered

from .compiled import rates_and_jacobian
from .measure import Entry, Others, Row, clocked, enter, group_use, load_per_core, queue_use, take_turns
from .peers import (
    AbstractPeer,
    Amici,
    CvodeC,
    CvodeSundae,
    DiffraxVmapped,
    NumbaLsoda,
    QspxDiffrax,
    QspxNative,
    Roadrunner,
    ScipyLsoda,
)
from .problems import WORKLOADS, Problem, problem
from .reference import check_right_hand_side, errors, reference

COMPARED = 32  # patients whose states are compared with the reference
SPREAD = 0.5  # coefficient of variation at which the use of the lanes is stated

# Patients per chunk of the vmapped peers; `--tune` times 4, 16 and 64.
CHUNKS = {
    "Kvaerno5": {"tmdd3": 64, "tce12": 16, "casc48": 4, "hill_input": 16, "isb2001": 4},
    "Kvaerno3": {"tmdd3": 64, "tce12": 16, "casc48": 4, "hill_input": 16, "isb2001": 4},
    "Tsit5": {"tmdd3": 64, "tce12": 16, "casc48": 4, "hill_input": 64, "isb2001": 4},
    "Rodas5P": {"tmdd3": 64, "tce12": 16, "casc48": 16, "hill_input": 16, "isb2001": 16},
}
TUNED = (4, 16, 64)

Maker = Callable[[str], AbstractPeer]
PEERS: dict[str, Maker] = {
    "native": lambda w: QspxNative(1),
    "native2": lambda w: QspxNative(2),
    "tier3": lambda w: QspxDiffrax(CHUNKS["Rodas5P"][w]),
    "kvaerno5": lambda w: DiffraxVmapped("Kvaerno5", CHUNKS["Kvaerno5"][w]),
    "kvaerno3": lambda w: DiffraxVmapped("Kvaerno3", CHUNKS["Kvaerno3"][w]),
    "tsit5": lambda w: DiffraxVmapped("Tsit5", CHUNKS["Tsit5"][w]),
    "cvode": lambda w: CvodeC("dense"),
    "cvode-klu": lambda w: CvodeC("KLU"),
    "cvode-system": lambda w: CvodeC("dense", system=True),
    "cvode-klu-system": lambda w: CvodeC("KLU", system=True),
    "sundae": lambda w: CvodeSundae(),
    "numbalsoda": lambda w: NumbaLsoda(),
    "scipy": lambda w: ScipyLsoda(),
    "roadrunner": lambda w: Roadrunner(),
    "amici": lambda w: Amici(),
}


@dataclasses.dataclass
class Settings:
    """What a run of the benchmark measures. `budget`: CPU seconds per turn that a peer's patients are chosen for."""

    workloads: Sequence[str]
    peers: Sequence[str]
    patients: int
    repeats: int
    budget: float


@dataclasses.dataclass
class Contest:
    """Results of one workload. `lowering`: seconds from the model to its scalar programs; `functions`: seconds for the
    compiled rates and Jacobian that scikit-sundae, SciPy and the reference share; `load`: per core, before and after;
    `others`: share of the cores that other processes used meanwhile."""

    workload: str
    size: dict[str, int]
    rows: dict[str, Row]
    right_hand_side: float
    lowering: float
    functions: float
    lanes: dict[str, float]
    load: tuple[float, float]
    others: float
    equal_error: list[dict[str, object]] = dataclasses.field(default_factory=list)

    def ratio(self, peer: str, to: str = "native") -> float:
        """CPU time of `peer` over that of `to`, medians, per patient."""
        if peer not in self.rows or to not in self.rows:
            return float("nan")
        return self.rows[peer].cpu_median / self.rows[to].cpu_median


def hold(name: str, settings: Settings, say: Callable[[str], None]) -> tuple[Contest, Problem, dict[str, Entry]]:
    before, others = load_per_core(), Others()
    workload = WORKLOADS[name]
    p = problem(workload, settings.patients)
    low, _, lowering = clocked(lambda: p.lowered)
    assert isinstance(low, Lowered)
    rows: dict[str, Row] = {}
    entries: dict[str, Entry] = {}
    _, _, functions = clocked(lambda: rates_and_jacobian(p))
    for key in settings.peers:
        entry, rows[key] = enter(PEERS[key](name), p, settings.budget, workload.rtol, workload.atol)
        if entry:
            entries[key] = entry
        row = rows[key]
        say(f"  {row.peer}: {row.note or f'ready after {row.compile:.2f} s, {row.patients} patients'}")
    difference = check_right_hand_side(p)
    expected = reference(p, min(COMPARED, settings.patients))
    take_turns(list(entries.values()), settings.repeats, settings.budget, workload.rtol, workload.atol)
    for entry in entries.values():
        judge(entry, expected, workload.atol)
    found = Contest(
        name, low.statistics(), rows, difference, lowering, functions, {}, (before, load_per_core()), others.share()
    )
    if "native" in entries:
        found.lanes = lane_use(name, entries["native"], settings)
    return found, p, entries


def judge(entry: Entry, expected: np.ndarray, atol: float) -> None:
    """Errors, steps and failures of the last answer."""
    row, answer = entry.row, entry.answer
    assert answer is not None
    row.compared = min(len(answer.states), len(expected))
    row.worst, row.median_error = errors(answer.states, expected, atol)
    row.failed = int(np.isnan(answer.states).any(axis=(1, 2)).sum())
    if answer.steps is not None:
        row.steps = float(np.mean(answer.steps))


def lane_use(name: str, native: Entry, settings: Settings) -> dict[str, float]:
    """Useful over executed lane-steps, replayed from the steps of every patient: of this population and of a wider
    one; and what groups in lock-step would use."""
    assert isinstance(native.peer, QspxNative) and native.answer is not None
    workload = WORKLOADS[name]
    lanes = int(native.peer.integrator(1e-6, 1e-9).settings["lanes"])  # type: ignore[arg-type]
    wide = problem(workload, settings.patients, cv=SPREAD)
    wide_steps = native.peer.prepare(wide)(settings.patients, workload.rtol, workload.atol).steps
    own = native.answer.steps
    assert own is not None and wide_steps is not None
    return {
        "lanes": lanes,
        "queue": queue_use(own, lanes),
        f"queue, CV {SPREAD:.0%}": queue_use(wide_steps, lanes),
        "groups": group_use(own, lanes),
    }


def tune(name: str, settings: Settings, say: Callable[[str], None]) -> None:
    """Print the cost per patient of every chunk of the vmapped peers."""
    workload = WORKLOADS[name]
    p = problem(workload, max(TUNED))
    for solver in CHUNKS:
        for chunk in TUNED:
            peer = QspxDiffrax(chunk) if solver == "Rodas5P" else DiffraxVmapped(solver, chunk)
            solve = peer.prepare(p)
            _, cpu, wall = clocked(lambda s=solve, c=chunk: s(c, workload.rtol, workload.atol))
            say(f"{name} {solver} chunk {chunk}: {cpu / chunk * 1e6:.0f} µs CPU, {wall / chunk * 1e6:.0f} µs wall")
            if wall > 20:  # a larger chunk takes longer still
                break
