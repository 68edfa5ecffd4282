"""Memory of the tangent sweep: what it reads and writes, and the tangents of each lane in each direction."""

from __future__ import annotations

from dataclasses import dataclass

from qspx.integrate.forward_tangents import Forward, ObservedForward
from qspx.integrate.lowering import Lowered
from qspx.integrate.native_code import Array, Value
from qspx.integrate.native_step import Workspace
from qspx.integrate.observed import Observed
from qspx.integrate.sweep_looks import EndpointReader
from qspx.integrate.sweep_memory import INTEGERS, READ, TAPE
from qspx.integrate.tableaux import RosenbrockTableau

NUMBERS = (*INTEGERS, "directions")
DOTS = ("theta_dot", "start_dot", "end_dot", "jump_dot", "rate_dot", "turn_dot", "part_dot")
WRITTEN = ("values_dot", "summaries_dot")
ARRAYS = READ + TAPE + DOTS + WRITTEN
PER_SUMMARY = 2  # vectors of workspace: where the endpoint was found (time and record); one per direction follows


@dataclass(frozen=True)
class Programs:
    """All programs of a tangent sweep."""

    low: Lowered
    seen: Observed
    ahead: Forward
    seen_ahead: ObservedForward


@dataclass(frozen=True)
class Direction:
    """Memory of one direction: tangents of the state, of the end and the dense rows of a step, of the infusions, of the
    initial state, of the state before a steady state that is added to it, and of what is known once per subject."""

    number: Value
    state: Array
    end: Array
    rows: list[Array]
    infusion: Array
    origin: Array
    saved: Array
    theta: Array
    fixed: Array
    seen_fixed: Array


class TangentMemory(EndpointReader):
    """Memory of a sweep. The workspace it needs is `vectors`, `per_direction` for each direction, and for each summary
    `PER_SUMMARY` and one for each direction."""

    def __init__(
        self, programs: Programs, table: RosenbrockTableau, kinds: frozenset[str], parameters: int, lanes: int
    ):
        low, seen, more = programs.low, programs.seen, len(programs.ahead.more.outputs["more"])
        block = (low, seen, table, kinds, parameters, lanes)
        super().__init__("tangent", *block, integers=NUMBERS, arrays=ARRAYS, more=more)
        self.programs = programs
        work, n, ahead, seen_ahead = self.work, self.n, programs.ahead, programs.seen_ahead
        # shared by all directions: partial derivatives at the stages of a step, at its start, and where it is looked at
        self.stage_points = [work.vectors(ahead.rates.size) for _ in range(table.stages)]
        self.system_points = work.vectors(ahead.system.size)
        looks = (seen_ahead.samples, seen_ahead.levels, seen_ahead.slopes)
        self.look_points = work.vectors(max(look.size for look in looks))
        self.once_points = work.vectors(max(x.size for x in (ahead.prologue, seen_ahead.prologue, seen_ahead.initial)))
        # of one direction at a time: arguments of a stage, its right-hand side, stages, changes of the Jacobian
        self.inside_dot, self.right_dot, self.drift_dot = (work.vectors(n) for _ in range(3))
        self.stage_dots = [work.vectors(n) for _ in range(table.stages)]
        self.jacobian_dot = work.vectors(len(ahead.entries))
        self.y_dot, self.dy_dot, self.look_dot = (work.vectors(k) for k in (n, n, max(self.levels, self.samples)))
        self.vectors = work.used
        directions, self._first = self.integers["directions"], work.vectors(1)
        self.per_direction = self._block_of(self._first, directions)[1]
        self.ends = self._first.at(directions * self.per_direction)
        self.per_summary = directions + PER_SUMMARY

    def _block_of(self, place: Array, number: Value) -> tuple[Direction, int]:
        """The arrays of a direction from `place` on, and how many vectors they are."""
        work, n = Workspace(self.f, place.pointer), self.n
        vectors = {k: work.vectors(n) for k in ("state", "end", "infusion", "origin", "saved")}
        rows = [work.vectors(n) for _ in self.table.H]
        sizes = {"theta": self.parameters, "fixed": self.fixed_count, "seen_fixed": self.seen_count}
        rest = {k: work.vectors(size) for k, size in sizes.items()}
        return Direction(number=number, rows=rows, **vectors, **rest), work.used

    def direction(self, d: Value) -> Direction:
        """Number d."""
        return self._block_of(self._first.at(d * self.per_direction), d)[0]

    def summary_dot(self, i: Value, d: Direction) -> Array:
        """Tangent of summary i in direction d, a vector."""
        return self.ends.at(i * self.per_summary).at(d.number + PER_SUMMARY)

    def dot_of(self, name: str, lane: Value, d: Direction, size: int | Value) -> Array:
        """What belongs to the lane's subject and direction d in an array (rows, directions, size)."""
        row = self.row.lane(0, lane)[0] * self.integers["directions"] + d.number
        return self.memory[name].at(row * size)

    def dose_dot(self, lane: Value, d: Direction, e: Value) -> dict[str, Value]:
        """Tangents of dose e."""
        events = self.integers["events"]
        return {k.removesuffix("_dot"): self.dot_of(k, lane, d, events)[e] for k in DOTS if k != "theta_dot"}
