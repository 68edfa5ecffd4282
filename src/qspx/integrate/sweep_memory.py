"""Memory that both sweeps over a tape need, backward and forward: the tape, and what each lane is at."""

from __future__ import annotations

from collections.abc import Sequence

from qspx.integrate.lowering import Lowered
from qspx.integrate.native_code import DOUBLE, INTEGER, POINTER, Array, Function, Value
from qspx.integrate.native_look import Look, Windows
from qspx.integrate.native_memory import DOSES, SUMMARIES
from qspx.integrate.native_step import Lanes, Workspace
from qspx.integrate.native_tape import RECORD_HEAD
from qspx.integrate.observed import Observed
from qspx.integrate.tableaux import RosenbrockTableau

# arguments of a sweep, by position in their blocks
INTEGERS = ("first", "last", "events", "times", "summaries")
READ = ("rows", "theta", *DOSES, "time", "before", *SUMMARIES, "kinds", "found_at", "found_record")
TAPE = ("tape", "tape_first", "records")
_ARE_INTEGERS = {"rows", "species", "kind", "columns", "threshold_of", "kinds", "tape_first", "records"}

LARGEST, LARGEST_TIME, SMALLEST, AREA, LAST, BEYOND = range(6)  # kinds of endpoints
FRESH = 3  # state of a lane that has just taken a subject, beside those of `native_memory`


class SweepMemory:
    """A function of pointers to arrays, integers and workspace, with `arrays` and `integers` by name; `more` numbers
    are computed once per subject beside those of the prologues. What follows in `work` is the sweep's own; at its end
    are the vectors of the summaries, `per_summary` of each: where its extremum was found (time, record), and more."""

    ends: Array
    per_summary: int | Value

    def __init__(
        self,
        name: str,
        low: Lowered,
        seen: Observed,
        table: RosenbrockTableau,
        kinds: frozenset[str],
        parameters: int,
        lanes: int,
        *,
        integers: Sequence[str],
        arrays: Sequence[str],
        more: int,
    ):
        self.low, self.seen = low, seen
        self.table, self.kinds, self.parameters = table, kinds, parameters
        self.f = f = Function(name, 3, lanes, exported=True)
        self.n = n = len(low.rates.outputs["rates"])
        self.samples = len(seen.samples.outputs["samples"])
        self.levels = len(seen.levels.outputs["levels"])
        self.fixed_count, self.seen_count = (len(x.prologue.outputs["fixed"]) for x in (low, seen))
        self.integers = {k: Array(f, "%a1", INTEGER)[i] for i, k in enumerate(integers)}
        self.memory = {k: self._block(i, k) for i, k in enumerate(arrays)}
        self.work = work = Workspace(f, "%a2")
        sizes = {
            "theta": parameters,
            "fixed": self.fixed_count,
            "seen_fixed": self.seen_count,
            "shift": 1,
            "factors": len(low.factor.outputs["factors"]),
            "guard": 1,
        }
        self.s = Lanes.of(work, n, table.stages, len(table.H), sizes)
        self.k = Look.of(work, n, self.levels, self.samples)
        self.more = work.vectors(more)
        self.inside = [work.vectors(n) for _ in range(table.stages - 1)]
        # at a stop: the state before what is given, rates and levels and slopes on both sides, infusions before
        self.y_before, self.rates_before, self.rates_after, self.infusion_before = (work.vectors(n) for _ in range(4))
        sides = [work.vectors(self.levels) for _ in range(4)]
        self.levels_before, self.levels_after, self.slopes_before, self.slopes_after = sides
        self.stop_time, self.next_time, self.next_before = (work.vectors(1) for _ in range(3))
        numbers = [work.vectors(1, integers=True) for _ in range(10)]
        (self.state, self.row, self.record, self.sample, self.mask) = numbers[:5]
        (self.run_in, self.later, self.run_in_before, self.later_before, self.crossing) = numbers[5:]
        given = {k: self.memory[k] for k in SUMMARIES}
        # the endpoints are known: nothing is written to where the run would keep them
        self.windows = Windows(self.integers["summaries"], **given, ends=self.stop_time, record=self.stop_time)
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

    def found(self, i: Value) -> tuple[Array, Array]:
        """Where the extremum of summary i is: (time, record), vectors."""
        place = self.ends.at(i * self.per_summary)
        return place.at(0), place.at(1)
