"""Memory of the reverse sweep: what it writes, and the cotangents of each lane."""

from __future__ import annotations

from dataclasses import dataclass

from qspx.integrate.backward import Backward, ObservedBackward
from qspx.integrate.lowering import Lowered
from qspx.integrate.native_code import Array, Value
from qspx.integrate.observed import Observed
from qspx.integrate.sweep_looks import EndpointReader
from qspx.integrate.sweep_memory import INTEGERS, READ, TAPE
from qspx.integrate.tableaux import RosenbrockTableau

BARS = ("values_bar", "summaries_bar")
WRITTEN = ("theta_bar", "start_bar", "end_bar", "jump_bar", "rate_bar", "turn_bar", "part_bar")
ARRAYS = READ + BARS + TAPE + WRITTEN
PER_SUMMARY = 3  # vectors of workspace: where the endpoint was found (time and record), and its cotangent


@dataclass(frozen=True)
class Programs:
    """All programs of a reverse sweep."""

    low: Lowered
    seen: Observed
    back: Backward
    seen_back: ObservedBackward


class ReverseMemory(EndpointReader):
    """Memory of a sweep. `vectors` is the workspace it needs, but for `PER_SUMMARY` per summary."""

    def __init__(
        self, programs: Programs, table: RosenbrockTableau, kinds: frozenset[str], parameters: int, lanes: int
    ):
        low, seen, more = programs.low, programs.seen, len(programs.back.more.outputs["more"])
        block = (low, seen, table, kinds, parameters, lanes)
        super().__init__("reverse", *block, integers=INTEGERS, arrays=ARRAYS, more=more)
        self.programs = programs
        work, n = self.work, self.n
        counts = parameters, self.fixed_count, self.seen_count
        # cotangents: of the state, its two ends of a step, stages, dense rows, right-hand sides, Jacobian entries
        self.state_bar, self.start_bar, self.end_bar, self.inside_bar = (work.vectors(n) for _ in range(4))
        self.stage_bars = [work.vectors(n) for _ in range(table.stages)]
        self.row_bars = [work.vectors(n) for _ in table.H]
        self.right_bars = [work.vectors(n) for _ in range(table.stages)]
        self.jacobian_bar, self.drift_bar = work.vectors(len(low.pattern)), work.vectors(n)
        self.infusion_bar, self.saved_bar, self.origin_bar = (work.vectors(n) for _ in range(3))
        self.theta_bar, self.fixed_bar, self.seen_bar = (work.vectors(k) for k in counts)
        # of one look at the solution, before it is added where it counts
        self.look_bar = work.vectors(max(self.levels, self.samples))
        self.y_part, self.dy_part = work.vectors(n), work.vectors(n)
        self.theta_part, self.fixed_part, self.seen_part = (work.vectors(k) for k in counts)
        self.ends, self.per_summary = work.vectors(1), PER_SUMMARY
        self.vectors = work.used

    def summary_bar(self, i: Value) -> Array:
        """Cotangent of summary i, a vector."""
        return self.ends.at(i * PER_SUMMARY).at(2)
