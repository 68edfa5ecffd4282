"""The tangents of one accepted step, and of looks at the solution inside it, as LLVM code.

With the step size held fixed, W U_i = r_i the stages of the step, and a dot for the change in one direction:

    W Udot_i = rdot_i + Jdot U_i,    Ydot_i = ydot + sum_j a_ij Udot_j,
    rdot_i = f_y(Y_i) Ydot_i + f_theta(Y_i) thetadot + udot + (1 / h) sum_j c_ij Udot_j + h gamma_i (f_t)dot

and ydot at the end is Ydot_s + Udot_s. The factors of W, the stages and all partial derivatives are found once and
serve every direction. This is the transpose of `qspx.integrate.reverse_step`, term by term.
"""

from __future__ import annotations

from qspx.integrate.forward_tangents import Forward
from qspx.integrate.lowering import Lowered
from qspx.integrate.native_code import Array, Function, Value
from qspx.integrate.native_look import time_at
from qspx.integrate.native_step import combined, curve, dense_output
from qspx.integrate.observed import states_read
from qspx.integrate.tangent_memory import Direction, TangentMemory


def printed_turn(low: Lowered, ahead: Forward, lanes: int) -> str:
    """A function `turn`: right-hand side += (change of the Jacobian) stage."""
    f = Function("turn", 3, lanes)
    changes, stage, right = (Array(f, a, f.vector) for a in f.arguments)
    rows: dict[int, Value] = {}
    for k, entry in enumerate(ahead.entries):
        row, column = low.pattern[entry]
        term = changes[k] * stage[column]
        rows[row] = rows[row] + term if row in rows else term
    for row, total in rows.items():
        right[row] = right[row] + total
    return f.text()


class StepTangents(TangentMemory):
    """Writes the tangents of a step."""

    def _push_step(self) -> None:
        """From tangents of the state at the start to those of its end and of the dense rows."""
        f, s, table = self.f, self.s, self.table
        self._again()
        width = s.end[0] - s.t[0]
        time = f.variable(f.times, 0.0)
        for i in range(table.stages):
            time[0] = self._time_of_stage(i, width)
            inputs = time, self._state_of_stage(i), s.theta, s.fixed, self.more
            f.call("rates_points", *inputs, self.stage_points[i])
        f.call("system_points", s.t, s.y, s.theta, s.fixed, self.more, self.system_points)
        with f.loop(self.integers["directions"]) as number:
            self._push_direction(self.direction(number), width, time)

    def _time_of_stage(self, i: int, width: Value) -> Value:
        return self.s.t[0] + self.table.alpha[i] * width if i else self.s.t[0]

    def _state_of_stage(self, i: int) -> Array:
        return self.inside[i - 1] if i else self.s.y

    def _push_direction(self, d: Direction, width: Value, time: Array) -> None:
        f, s, table, n = self.f, self.s, self.table, self.n
        inverse, drifts = 1.0 / width, self.low.drift is not None
        changed = (d.theta, d.fixed)
        place = s.t, s.y, s.theta, s.fixed, self.more, self.system_points
        f.call("system_dots", *place, d.state, *changed, self.jacobian_dot, self.drift_dot)
        for i in range(table.stages):
            inside = d.state
            if i:
                inside = self.inside_dot
                with f.loop(n) as q:
                    moved = combined(table.A[i], [dot[q] for dot in self.stage_dots[:i]])
                    inside[q] = d.state[q] + moved if moved is not None else d.state[q]
            time[0] = self._time_of_stage(i, width)
            place = time, self._state_of_stage(i), s.theta, s.fixed, self.more, self.stage_points[i]
            f.call("rates_dots", *place, inside, *changed, self.right_dot)
            with f.loop(n) as q:
                right = self.right_dot[q] + d.infusion[q]
                pulled = combined(table.C[i], [dot[q] for dot in self.stage_dots[:i]])
                if pulled is not None:
                    right = right + inverse * pulled
                if drifts and table.gamma_i[i]:
                    right = right + (table.gamma_i[i] * width) * self.drift_dot[q]
                self.right_dot[q] = right
            f.call("turn", self.jacobian_dot, s.stages[i], self.right_dot)
            f.call("solve", s.factors, self.right_dot, s.theta, s.fixed, self.stage_dots[i])
        with f.loop(n) as q:
            stages = [dot[q] for dot in self.stage_dots]
            d.end[q] = self.inside_dot[q] + stages[-1]
            if self.samples or self.levels:
                for row, weights in zip(d.rows, table.H, strict=True):
                    row[q] = combined(weights, stages)

    # looks ----------------------------------------------------------------------------------------------------------

    def _look(self, name: str, share: Value | None) -> None:
        """What all directions share of a look at samples or levels, at a `share` of the step or at `s.y`."""
        f, s, k = self.f, self.s, self.k
        program = self.seen.samples if name == "samples" else self.seen.levels
        k.time[0] = s.t[0] if share is None else time_at(s, share)
        for q in states_read(program):
            k.y[q] = s.y[q] if share is None else curve(f, s, q, share)[0]
        f.call(f"{name}_points", k.time, k.y, s.theta, s.seen_fixed, self.look_points)

    def _look_along(self, name: str, d: Direction, share: Value | None) -> None:
        """Tangents into `look_dot` of what `_look` looked at."""
        f, s, k = self.f, self.s, self.k
        program = self.seen.samples if name == "samples" else self.seen.levels
        for q in states_read(program):
            self.y_dot[q] = d.state[q] if share is None else self._curve_along(d, q, share)[0]
        place = k.time, k.y, s.theta, s.seen_fixed, self.look_points
        f.call(f"{name}_dots", *place, self.y_dot, d.theta, d.seen_fixed, self.look_dot)

    def _look_at_slopes(self) -> None:
        """What all directions share of the slopes at `k.time`, `k.y` and `k.dy`."""
        s, k = self.s, self.k
        self.f.call("slopes_points", k.time, k.y, k.dy, s.theta, s.seen_fixed, self.look_points)

    def _slopes_along(self, d: Direction, share: Value) -> None:
        """Tangents of the slopes at a fixed share of the step, into `look_dot`."""
        f, s, k = self.f, self.s, self.k
        for q in states_read(self.seen.slopes):
            self.y_dot[q], self.dy_dot[q] = self._curve_along(d, q, share, 1)
        place = k.time, k.y, k.dy, s.theta, s.seen_fixed, self.look_points
        f.call("slopes_dots", *place, self.y_dot, self.dy_dot, d.theta, d.seen_fixed, self.look_dot)

    def _curve_along(self, d: Direction, q: int, share: Value, derivatives: int = 0) -> list[Value]:
        width = self.s.end[0] - self.s.t[0]
        return dense_output(self.f, d.state[q], d.end[q], [row[q] for row in d.rows], width, share, derivatives)
