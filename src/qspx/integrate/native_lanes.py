"""The lanes of the native loop and their subjects, as LLVM code: memory, loading, doses, results."""

from __future__ import annotations

from qspx._status import Status
from qspx.integrate.lowering import Lowered
from qspx.integrate.native_code import DOUBLE, INTEGER, POINTER, Array, Function, Value
from qspx.integrate.native_endpoints import EMPTY
from qspx.integrate.native_look import Look, Windows
from qspx.integrate.native_step import Lanes, Workspace
from qspx.integrate.observed import Observed
from qspx.integrate.tableaux import RosenbrockTableau

# arguments of the run, by position in their blocks
INTEGERS = ("first", "last", "max_steps", "events", "stops", "times", "summaries")
REALS = ("t0", "t1", "rtol", "atol")
READ = ("theta", "start", "end", "species", "jump", "rate", "stop", "time", "unsigned")
READ += ("columns", "windows", "signs", "thresholds", "threshold_of")
WRITTEN = ("values", "endpoints", "status", "steps", "end_time")
_ARE_INTEGERS = {"species", "columns", "threshold_of", "status", "steps"}

START, EDGE = 1, 2  # why a lane needs a first step
IDLE, RUNNING, WANTING = 0, 1, 2


class LaneWriter:
    """Memory of a run and what happens to one lane. Beside `vectors` it needs those of `EMPTY` per summary."""

    def __init__(
        self,
        low: Lowered,
        seen: Observed,
        table: RosenbrockTableau,
        kinds: frozenset[str],
        parameters: int,
        lanes: int,
    ):
        self.parameters = parameters
        self.low, self.seen, self.table, self.kinds = low, seen, table, kinds
        self.f = f = Function("run", 4, lanes, exported=True)
        self.n = n = len(low.rates.outputs["rates"])
        self.samples = len(seen.samples.outputs["samples"])
        self.levels = len(seen.levels.outputs["levels"])
        self.integers = {k: Array(f, "%a1", INTEGER)[i] for i, k in enumerate(INTEGERS)}
        self.reals = {k: Array(f, "%a2", DOUBLE)[i] for i, k in enumerate(REALS)}
        self.t0, self.t1, self.rtol, self.atol = (f.splat(self.reals[k]) for k in REALS)
        self.memory = {k: self._block(i, k) for i, k in enumerate(READ + WRITTEN)}
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
        self.h, self.stop, self.next_time = (work.vectors(1) for _ in range(3))
        lane_numbers = [work.vectors(1, integers=True) for _ in range(8)]
        (self.state, self.fresh, self.status, self.steps, self.row) = lane_numbers[:5]
        (self.stop_number, self.sample_number, self.mask) = lane_numbers[5:]
        given = {k: self.memory[k] for k in ("columns", "windows", "signs", "thresholds", "threshold_of")}
        self.windows = Windows(self.integers["summaries"], **given, ends=work.vectors(1))
        self.vectors = work.used
        self.running = f.variable(INTEGER, 0)
        self.queue = f.variable(INTEGER, self.integers["first"])

    def _block(self, i: int, name: str) -> Array:
        pointer = Array(self.f, "%a0", POINTER)[i]
        return Array(self.f, pointer.name, INTEGER if name in _ARE_INTEGERS else DOUBLE)

    def _refill(self) -> None:
        """A subject for every lane that wants one; the last of the queue leaves lanes idle."""
        f, s = self.f, self.s
        with f.loop(f.lanes) as lane:
            state = self.state.lane(0, lane)
            with f.when(state[0].equals(WANTING)):
                more = self.queue[0] < self.integers["last"]
                row = more.where(self.queue[0], self.row.lane(0, lane)[0])
                self.row.lane(0, lane)[0] = row
                state[0] = more.where(f.integer(RUNNING), f.integer(IDLE))
                step = more.where(f.integer(1), f.integer(0))
                self.queue[0] = self.queue[0] + step
                self.running[0] = self.running[0] + step
                self.fresh.lane(0, lane)[0] = START
                theta = self.memory["theta"].at(row * self.parameters)
                with f.loop(self.parameters) as q:
                    s.theta.lane(q, lane)[0] = theta[q]
        f.call("prologue", s.theta, s.fixed)
        f.call("seen_prologue", s.theta, s.seen_fixed)
        f.call("initial", s.theta, s.seen_fixed, s.y1)
        with f.loop(f.lanes) as lane:
            with f.when(self.fresh.lane(0, lane)[0].equals(START)):
                self._load(lane)

    def _load(self, lane: Value) -> None:
        f, s = self.f, self.s
        with f.loop(self.n) as q:
            s.y.lane(q, lane)[0] = s.y1.lane(q, lane)[0]
        s.t.lane(0, lane)[0] = self.reals["t0"]
        for array, value in ((self.status, int(Status.OK)), (self.steps, 0), (self.sample_number, 0)):
            array.lane(0, lane)[0] = value
        self.stop_number.lane(0, lane)[0] = 0
        self._next_sample(lane)
        with f.loop(self.integers["summaries"]) as i:
            for kind, value in enumerate(EMPTY):
                self.windows.ends.at(i * len(EMPTY)).lane(kind, lane)[0] = value
        self._at_stop(lane)
        self.fresh.lane(0, lane)[0] = START
        self._reject_early_doses(lane)

    def _reject_early_doses(self, lane: Value) -> None:
        """A negative lag would lose the dose."""
        f = self.f
        first = self.row.lane(0, lane)[0] * self.integers["events"]
        with f.loop(self.integers["events"]) as e:
            early = self.memory["start"][first + e] >= self.reals["t0"]
            with f.when(~early):
                self.status.lane(0, lane)[0] = int(Status.NONFINITE)

    def _at_stop(self, lane: Value) -> None:
        """Next stop, boluses given now, and the infusions that run from now on."""
        f, s = self.f, self.s
        t, row = s.t.lane(0, lane)[0], self.row.lane(0, lane)[0]
        stops, number = self.memory["stop"].at(row * self.integers["stops"]), self.stop_number.lane(0, lane)
        with f.repeat() as leave:
            leave(stops[number[0]] > t)  # the last one is infinite
            number[0] = number[0] + 1
        self.stop.lane(0, lane)[0] = stops[number[0]]
        with f.loop(self.n) as q:
            s.infusion.lane(q, lane)[0] = 0.0
        edge, first = f.variable(INTEGER, 0), row * self.integers["events"]
        with f.loop(self.integers["events"]) as e:
            start, end = self.memory["start"][first + e], self.memory["end"][first + e]
            species = self.memory["species"][first + e]
            with f.when(start.equals(t)):
                y = s.y.lane(species, lane)
                y[0] = y[0] + self.memory["jump"][first + e]
                edge[0] = EDGE
            with f.when(end.equals(t)):
                edge[0] = EDGE
            with f.when((start <= t) & (t < end)):
                u = s.infusion.lane(species, lane)
                u[0] = u[0] + self.memory["rate"][first + e]
        self.fresh.lane(0, lane)[0] = edge[0]

    def _write(self, lane: Value) -> None:
        """Results of the lane's subject."""
        f = self.f
        row = self.row.lane(0, lane)[0]
        for name, array in (("status", self.status), ("steps", self.steps), ("end_time", self.s.t)):
            self.memory[name][row] = array.lane(0, lane)[0]
        count = self.integers["summaries"] * len(EMPTY)
        out = self.memory["endpoints"].at(row * count)
        with f.loop(count) as i:
            out[i] = self.windows.ends.lane(i, lane)[0]
        self.state.lane(0, lane)[0] = WANTING
        self.fresh.lane(0, lane)[0] = 0
        self.running[0] = self.running[0] - 1

    def _next_sample(self, lane: Value) -> None:
        # the last entry of `time` is infinite
        self.next_time.lane(0, lane)[0] = self.memory["time"][self.sample_number.lane(0, lane)[0]]
