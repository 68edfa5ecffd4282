"""Memory of the native loop: what it reads and writes, and what each lane is at."""

from __future__ import annotations

from qspx.integrate.lowering import Lowered
from qspx.integrate.native_code import DOUBLE, INTEGER, POINTER, Array, Function
from qspx.integrate.native_look import Look, Windows
from qspx.integrate.native_step import Lanes, Workspace
from qspx.integrate.observed import Observed
from qspx.integrate.tableaux import RosenbrockTableau

# arguments of the run, by position in their blocks
INTEGERS = ("first", "last", "max_steps", "events", "stops", "times", "summaries", "room")
REALS = ("t0", "t1", "rtol")
DOSES = ("start", "end", "species", "jump", "rate", "mark", "kind", "interval", "turn", "whole", "part")
SUMMARIES = ("columns", "windows", "signs", "thresholds", "threshold_of")
READ = ("theta", *DOSES, "stop", "time", "before", "unsigned", "atol", *SUMMARIES)
WRITTEN = ("values", "endpoints", "status", "steps", "end_time", "records")
TAPE = ("tape", "tape_first")  # records of the run, and the number of the first record of each row, of `room` at most
_ARE_INTEGERS = {"species", "kind", "columns", "threshold_of", "status", "steps", "tape_first"}

START, EDGE = 1, 2  # why a lane needs a first step
IDLE, RUNNING, WANTING = 0, 1, 2


class LaneMemory:
    """Memory of a run. `vectors` of the workspace it needs, but for those of doubles per summary, `EMPTY`."""

    def __init__(
        self,
        low: Lowered,
        seen: Observed,
        table: RosenbrockTableau,
        kinds: frozenset[str],
        parameters: int,
        lanes: int,
        real: str,
        marks: bool,
        tape: bool,
    ):
        self.parameters, self.marks, self.tape = parameters, marks, tape
        self.low, self.seen, self.table, self.kinds = low, seen, table, kinds
        self.f = f = Function("run", 4, lanes, real, exported=True)
        self.n = n = len(low.rates.outputs["rates"])
        self.samples = len(seen.samples.outputs["samples"])
        self.levels = len(seen.levels.outputs["levels"])
        self.integers = {k: Array(f, "%a1", INTEGER)[i] for i, k in enumerate(INTEGERS)}
        self.reals = {k: Array(f, "%a2", DOUBLE)[i] for i, k in enumerate(REALS)}
        self.t0, self.t1 = (f.splat(self.reals[k]) for k in ("t0", "t1"))
        self.rtol = f.splat(self.reals["rtol"].to(real))
        self.memory = {k: self._block(i, k) for i, k in enumerate(READ + WRITTEN + (TAPE if tape else ()))}
        work = Workspace(f, "%a3")
        sizes = {
            "theta": self.parameters,
            "fixed": len(low.prologue.outputs["fixed"]),
            "seen_fixed": len(seen.prologue.outputs["fixed"]),
            "shift": 1,
            "factors": len(low.factor.outputs["factors"]),
            "guard": 1,
        }
        self.s = Lanes.of(work, n, table.stages, len(table.H), sizes)
        self.k = Look.of(work, n, self.levels, self.samples)
        clocks = [work.vectors(1, times=True) for _ in range(6)]
        self.h, self.stop, self.next_time, self.next_before, self.gap, self.records = clocks
        self.origin, self.previous, self.saved = (work.vectors(n) for _ in range(3))
        lane_numbers = [work.vectors(1, integers=True) for _ in range(11)]
        (self.state, self.fresh, self.status, self.steps, self.row) = lane_numbers[:5]
        (self.stop_number, self.sample_number, self.mask) = lane_numbers[5:8]
        (self.run_in, self.final, self.later) = lane_numbers[8:]
        given = {k: self.memory[k] for k in SUMMARIES}
        self.windows = Windows(
            self.integers["summaries"], **given, ends=work.vectors(1, times=True), record=self.records
        )
        self.vectors = work.used
        self.running = f.variable(INTEGER, 0)
        self.queue = f.variable(INTEGER, self.integers["first"])

    def _block(self, i: int, name: str) -> Array:
        pointer = Array(self.f, "%a0", POINTER)[i]
        return Array(self.f, pointer.name, INTEGER if name in _ARE_INTEGERS else DOUBLE)
