"""The reverse of one accepted step, and of looks at the solution inside it, as LLVM code.

With the step size held fixed, and lambda the cotangent of the state at its end (Hairer & Wanner IV.7 for the step):

    for i = s .. 1:   b_i = W^-T Ubar_i,   (Ybar_i, theta_bar) from b_i . f(t_i, Y_i),   J_bar += b_i U_i^T,
                      Ubar_j += (c_ij / h) b_i + a_ij Ybar_i   (j < i),   y_bar += Ybar_i

starting from Ubar_s = lambda, with lambda also added to Ybar_s because y1 = Y_s + U_s; then y_bar and theta_bar from
J_bar . J and from the drift.
"""

from __future__ import annotations

from qspx.integrate.lowering import Lowered
from qspx.integrate.native_code import Array, Function, Value
from qspx.integrate.native_look import look_at
from qspx.integrate.native_step import combined, curve
from qspx.integrate.observed import states_read
from qspx.integrate.reverse_memory import ReverseMemory


def printed_outer(low: Lowered, stages: int, lanes: int) -> str:
    """A function `outer`: sum over stages of (right-hand side bar) x (stage), on the pattern of the Jacobian."""
    f, n = Function("outer", 3, lanes), len(low.rates.outputs["rates"])
    bars, values, out = (Array(f, a, f.vector) for a in f.arguments)
    for k, (row, column) in enumerate(low.pattern):
        total = bars[row] * values[column]
        for i in range(1, stages):
            total = total + bars[i * n + row] * values[i * n + column]
        out[k] = total
    return f.text()


class StepReverser(ReverseMemory):
    """Writes the reverse of a step."""

    def _step_back(self, active: Value) -> None:
        """From the cotangents of the two ends and of the dense rows to that of the state at the start."""
        f, s, table, n = self.f, self.s, self.table, self.n
        width = s.end[0] - s.t[0]
        inverse = 1.0 / width
        with f.loop(n) as q:
            rows = [bar[q] for bar in self.row_bars]
            for j, stage_bar in enumerate(self.stage_bars):
                found = combined([h[j] for h in table.H], rows)
                stage_bar[q] = found if found is not None else f.number(0.0)
            self.stage_bars[-1][q] = self.stage_bars[-1][q] + self.end_bar[q]
        self.zero((self.drift_bar, n))
        time = f.variable(f.vector, 0.0)
        for i in reversed(range(table.stages)):
            right_bar = self.right_bars[i]
            f.call("solve_transposed", s.factors, self.stage_bars[i], s.theta, s.fixed, right_bar)
            self.zero((self.inside_bar, n))
            time[0] = s.t[0] + table.alpha[i] * width if i else s.t[0]
            y = self.inside[i - 1] if i else s.y
            f.call("rates_back", time, y, s.theta, s.fixed, self.more, right_bar, *self._bars())
            with f.loop(n) as q:
                b, inside = right_bar[q], self.inside_bar[q]
                if i == table.stages - 1:
                    inside = inside + self.end_bar[q]
                self.infusion_bar[q] = active.where(self.infusion_bar[q] + b, self.infusion_bar[q])
                if table.gamma_i[i]:
                    self.drift_bar[q] = self.drift_bar[q] + (table.gamma_i[i] * width) * b
                for j in range(i):
                    self._earlier(j, q, table.A[i][j], table.C[i][j], inside, inverse, b)
                self.start_bar[q] = self.start_bar[q] + inside
        f.call("outer", self.right_bars[0], s.stages[0], self.jacobian_bar)
        with f.loop(n) as q:
            self.inside_bar[q] = self.start_bar[q]
        bars = (self.jacobian_bar, self.drift_bar)
        f.call("system_back", s.t, s.y, s.theta, s.fixed, self.more, *bars, *self._bars())
        with f.loop(n) as q:
            self.state_bar[q] = active.where(self.inside_bar[q], self.state_bar[q])

    def _bars(self) -> tuple[Array, Array, Array]:
        return self.inside_bar, self.theta_bar, self.fixed_bar

    def _earlier(self, j: int, q: Value, a: float, c: float, inside: Value, inverse: Value, b: Value) -> None:
        bar = self.stage_bars[j]
        total = bar[q]
        if a:
            total = total + a * inside
        if c:
            total = total + (c * inverse) * b
        bar[q] = total

    # looks ----------------------------------------------------------------------------------------------------------

    def _look_back(self, name: str, due: Value, share: Value | None) -> None:
        """Pull `look_bar` back through samples or levels, where it is due: at a `share` of the step, or at `s.y`."""
        f, s, k = self.f, self.s, self.k
        program = self.programs.seen.samples if name == "samples" else self.programs.seen.levels
        y = s.y
        k.time[0] = s.t[0]
        if share is not None:
            y = k.y
            k.time[0] = s.t[0] + share * (s.end[0] - s.t[0])
            for q in states_read(program):
                k.y[q] = curve(f, s, q, share)[0]
        self._clear_parts()
        f.call(f"{name}_back", k.time, y, s.theta, s.seen_fixed, self.look_bar, *self._parts())
        self._count_parts(due)
        with f.loop(self.n) as q:
            part = due.where(self.y_part[q], f.number(0.0))
            if share is None:
                self.state_bar[q] = self.state_bar[q] + part
            else:
                self._curve_back(q, share, part)

    def _time_back(self, due: Value, share: Value) -> None:
        """Pull `look_bar` / bend back through the slopes: the reverse of the time of an extremum."""
        f, s, k = self.f, self.s, self.k
        look_at(f, s, k, "bends", self.programs.seen.bends, share, 2)
        with f.loop(self.levels) as j:
            bend = k.bends[j]
            self.look_bar[j] = -self.look_bar[j] / bend.equals(0.0).where(f.number(1.0), bend)
        self._clear_parts()
        f.call("slopes_back", k.time, k.y, k.dy, s.theta, s.seen_fixed, self.look_bar, *self._parts(), self.dy_part)
        self._count_parts(due)
        with f.loop(self.n) as q:
            self._curve_back(q, share, due.where(self.y_part[q], f.number(0.0)))
            self._slope_back(q, share, due.where(self.dy_part[q], f.number(0.0)))

    def _parts(self) -> tuple[Array, Array, Array]:
        return self.y_part, self.theta_part, self.seen_part

    def _clear_parts(self) -> None:
        sizes = (self.n, self.n, self.parameters, self.seen_count)
        self.zero(*zip((self.y_part, self.dy_part, self.theta_part, self.seen_part), sizes, strict=True))

    def _count_parts(self, due: Value) -> None:
        for total, part, size in (
            (self.theta_bar, self.theta_part, self.parameters),
            (self.seen_bar, self.seen_part, self.seen_count),
        ):
            if size:
                with self.f.loop(size) as q:
                    total[q] = due.where(total[q] + part[q], total[q])

    def _curve_back(self, q: Value, share: Value, bar: Value) -> None:
        """Of state q of the dense output: y = (1 - x) y0 + x (y1 + (1 - x) (K_1 + x (K_2 + ...)))."""
        rest = 1.0 - share
        self.start_bar[q] = self.start_bar[q] + rest * bar
        self.end_bar[q] = self.end_bar[q] + share * bar
        bend = share * rest * bar
        for row in self.row_bars:
            row[q] = row[q] + bend
            bend = bend * share

    def _slope_back(self, q: Value, share: Value, bar: Value) -> None:
        """Of the time derivative of state q of the dense output."""
        f, rest = self.f, 1.0 - share
        bar = bar / (self.s.end[0] - self.s.t[0])
        self.start_bar[q] = self.start_bar[q] - bar
        self.end_bar[q] = self.end_bar[q] + bar
        power, slope = f.number(1.0), f.number(0.0)  # x**l and l x**(l - 1)
        for i, row in enumerate(self.row_bars):
            row[q] = row[q] + bar * ((rest - share) * power + share * rest * slope)
            slope = float(i + 1) * power
            power = power * share
