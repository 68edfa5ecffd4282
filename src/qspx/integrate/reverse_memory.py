"""Memory of the reverse sweep: what it reads and writes, and what each lane is at."""

from __future__ import annotations

from dataclasses import dataclass

from qspx.integrate.backward import Backward, ObservedBackward
from qspx.integrate.lowering import Lowered
from qspx.integrate.native_code import DOUBLE, INTEGER, POINTER, Array, Function, Value
from qspx.integrate.native_look import Look, Windows
from qspx.integrate.native_memory import DOSES, SUMMARIES
from qspx.integrate.native_step import Lanes, Workspace
from qspx.integrate.native_tape import RECORD_HEAD
from qspx.integrate.observed import Observed
from qspx.integrate.tableaux import RosenbrockTableau

# arguments of the sweep, by position in their blocks
INTEGERS = ("first", "last", "events", "times", "summaries")
READ = ("rows", "theta", *DOSES, "time", "before", *SUMMARIES, "kinds", "found_at", "found_record")
BARS = ("values_bar", "summaries_bar")
TAPE = ("tape", "tape_first", "records")
WRITTEN = ("theta_bar", "start_bar", "end_bar", "jump_bar", "rate_bar", "turn_bar", "part_bar")
_ARE_INTEGERS = {"rows", "species", "kind", "columns", "threshold_of", "kinds", "tape_first", "records"}
PER_SUMMARY = 3  # vectors of workspace: cotangent, and where the endpoint was found (time and record)

LARGEST, LARGEST_TIME, SMALLEST, AREA, LAST, BEYOND = range(6)  # kinds of endpoints


@dataclass(frozen=True)
class Programs:
    """All programs of a reverse sweep."""

    low: Lowered
    seen: Observed
    back: Backward
    seen_back: ObservedBackward


class ReverseMemory:
    """Memory of a sweep. `vectors` is the workspace it needs, but for `PER_SUMMARY` per summary."""

    def __init__(
        self, programs: Programs, table: RosenbrockTableau, kinds: frozenset[str], parameters: int, lanes: int
    ):
        low, seen = programs.low, programs.seen
        self.programs, self.table, self.kinds, self.parameters = programs, table, kinds, parameters
        self.f = f = Function("reverse", 3, lanes, exported=True)
        self.n = n = len(low.rates.outputs["rates"])
        self.samples = len(seen.samples.outputs["samples"])
        self.levels = len(seen.levels.outputs["levels"])
        self.integers = {k: Array(f, "%a1", INTEGER)[i] for i, k in enumerate(INTEGERS)}
        self.memory = {k: self._block(i, k) for i, k in enumerate(READ + BARS + TAPE + WRITTEN)}
        work = Workspace(f, "%a2")
        fixed, seen_fixed = (len(x.prologue.outputs["fixed"]) for x in (low, seen))
        sizes = {
            "theta": parameters,
            "fixed": fixed,
            "seen_fixed": seen_fixed,
            "shift": 1,
            "factors": len(low.factor.outputs["factors"]),
            "guard": 1,
        }
        self.s = Lanes.of(work, n, table.stages, len(table.H), sizes)
        self.k = Look.of(work, n, self.levels, self.samples)
        self.more = work.vectors(len(programs.back.more.outputs["more"]))
        self.inside = [work.vectors(n) for _ in range(table.stages - 1)]
        # cotangents: of the state, its two ends of a step, stages, dense rows, right-hand sides, Jacobian entries
        self.state_bar, self.start_bar, self.end_bar, self.inside_bar = (work.vectors(n) for _ in range(4))
        self.stage_bars = [work.vectors(n) for _ in range(table.stages)]
        self.row_bars = [work.vectors(n) for _ in table.H]
        self.right_bars = [work.vectors(n) for _ in range(table.stages)]
        self.jacobian_bar, self.drift_bar = work.vectors(len(low.pattern)), work.vectors(n)
        self.infusion_bar, self.saved_bar, self.origin_bar = (work.vectors(n) for _ in range(3))
        self.theta_bar, self.fixed_bar, self.seen_bar = (work.vectors(k) for k in (parameters, fixed, seen_fixed))
        # of one look at the solution, before it is added where it counts
        self.look_bar = work.vectors(max(self.levels, self.samples))
        self.y_part, self.dy_part = work.vectors(n), work.vectors(n)
        self.theta_part, self.fixed_part, self.seen_part = (work.vectors(k) for k in (parameters, fixed, seen_fixed))
        # at a stop: the state before what is given, rates and levels and slopes on both sides, infusions before
        self.y_before, self.rates_before, self.rates_after, self.infusion_before = (work.vectors(n) for _ in range(4))
        sides = [work.vectors(self.levels) for _ in range(4)]
        self.levels_before, self.levels_after, self.slopes_before, self.slopes_after = sides
        self.stop_time, self.next_time, self.next_before = (work.vectors(1) for _ in range(3))
        numbers = [work.vectors(1, integers=True) for _ in range(10)]
        (self.state, self.row, self.record, self.sample, self.mask) = numbers[:5]
        (self.run_in, self.later, self.run_in_before, self.later_before, self.crossing) = numbers[5:]
        self.ends = work.vectors(1)
        given = {k: self.memory[k] for k in SUMMARIES}
        self.windows = Windows(self.integers["summaries"], **given, ends=self.ends, record=self.stop_time)
        self.vectors = work.used
        self.running = f.variable(INTEGER, 0)
        self.queue = f.variable(INTEGER, self.integers["first"])

    def _block(self, i: int, name: str) -> Array:
        pointer = Array(self.f, "%a0", POINTER)[i]
        return Array(self.f, pointer.name, INTEGER if name in _ARE_INTEGERS else DOUBLE)

    def zero(self, *arrays: tuple[Array, int], where: Value | None = None) -> None:
        """Arrays of so many vectors; only in the lanes `where` says."""
        for array, size in arrays:
            if size:
                with self.f.loop(size) as q:
                    array[q] = 0.0 if where is None else where.where(self.f.number(0.0), array[q])

    def record_of(self, lane: Value, number: Value) -> Array:
        """Record `number` of the lane's subject."""
        first = self.memory["tape_first"][self.row.lane(0, lane)[0]]
        return self.memory["tape"].at((first + number) * (RECORD_HEAD + self.n))

    def summary(self, i: Value) -> tuple[Array, Array, Array]:
        """(cotangent, time, record) of summary i, vectors."""
        place = self.ends.at(i * PER_SUMMARY)
        return place.at(0), place.at(1), place.at(2)
