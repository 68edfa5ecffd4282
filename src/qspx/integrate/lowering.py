"""From a model to the programs that an integrator runs.

    trace rates and observables -> derivatives -> W = shift I - J, with shared sums as unknowns of their own
    -> its factors -> split off what is per subject

All programs share one graph, so whatever depends on the parameters alone is found once for all of them: the `prologue`
computes it, per subject, into the input group `fixed`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qspx.integrate.condense import shared_sums
from qspx.integrate.derivatives import Entries, jacobian
from qspx.integrate.elimination import Factors, factorise, solve, solve_transposed
from qspx.integrate.graph import THETA, Graph
from qspx.integrate.operations import Op
from qspx.integrate.program import Program, frontier
from qspx.integrate.scalar_domain import trace_scalars
from qspx.model import AbstractModel


@dataclass(frozen=True)
class Lowered:
    """Programs of one model with n species, P parameters and the asked observables.

    Input groups: `t` (1), `y` (n), `theta` (P), `fixed` (results of the prologue), `shift` (1), `factors`, `b` (n).
    Infusions are not in: add their rates to `rates`.

    Attributes:
        prologue: theta -> fixed. Once per subject.
        rates: t, y, theta, fixed -> rates (n).
        drift: t, y, theta, fixed -> drift (n), the derivative of the rates by time; None where they do not use it.
        observables: t, y, theta, fixed -> observables.
        jacobian: t, y, theta, fixed -> entries, in the order of `pattern`.
        factor: t, y, theta, fixed, shift -> factors and guard (1), of W = shift I - J(t, y).
        solve, solve_transposed: factors, b, theta, fixed -> x (n), with W x = b or W^T x = b.
        pattern: (row, column) of the entries of the Jacobian.
        order: pivots, first to last; numbers from n on are shared sums (`qspx.integrate.condense`).
        lu_entries: entries of L + U, the diagonal counted once.
    """

    prologue: Program
    rates: Program
    drift: Program | None
    observables: Program
    jacobian: Program
    factor: Program
    solve: Program
    solve_transposed: Program
    pattern: tuple[tuple[int, int], ...]
    order: tuple[int, ...]
    lu_entries: int

    def statistics(self) -> dict[str, int]:
        """Numbers of operations and of entries."""
        return {
            "states": len(self.rates.outputs["rates"]),
            "shared sums": len(self.order) - len(self.rates.outputs["rates"]),
            "prologue operations": self.prologue.operations,
            "rates operations": self.rates.operations,
            "Jacobian entries": len(self.pattern),
            "Jacobian operations": self.jacobian.operations,
            "Jacobian and LU operations": self.factor.operations,
            "L + U entries": self.lu_entries,
            "solve operations": self.solve.operations,
        }


@functools.lru_cache(maxsize=64)
def lower(model: AbstractModel, observables: tuple[str, ...] = ()) -> Lowered:
    """The programs of `model`. Raises `NotTraceable` where a function of the model has no scalar program."""
    n, P = len(model.species), len(model.parameters)
    seen = functools.partial(model.observables_vector, names=observables)
    return lower_functions(model.rates_vector, seen if observables else None, n, P)


def lower_functions(rates: Callable, observables: Callable | None, n: int, P: int) -> Lowered:
    """The programs of rates(t, y, theta) -> (n,) and observables(t, y, theta) -> (m,)."""
    g = Graph()
    (t,), y, theta, (shift,) = g.inputs("t", 1), g.inputs("y", n), g.inputs(THETA, P), g.inputs("shift", 1)
    dy = trace_scalars(g, rates, t, y, theta)
    seen = trace_scalars(g, observables, t, y, theta) if observables else []
    J = jacobian(g, dy, y)
    drift = jacobian(g, dy, [t])
    sums = shared_sums(g, dy, y)
    size = n + len(sums)
    factors = factorise(g, size, system(g, n, size, jacobian(g, dy, y, sums), shift))

    stored = _stored(g, factors)
    held = dict(zip(stored, g.inputs("factors", len(stored)), strict=True))
    f = factors.replaced([held.get(k, k) for k in factors.nodes])
    b = [*g.inputs("b", n), *[g.constant(0.0)] * len(sums)]
    x, x_transposed = solve(g, f, b)[:n], solve_transposed(g, f, b)[:n]

    outputs: dict[str, dict[str, Sequence[int]]] = {
        "rates": {"rates": dy},
        "drift": {"drift": [drift.get((i, 0), g.constant(0.0)) for i in range(n)]},
        "observables": {"observables": seen},
        "jacobian": {"entries": list(J.values())},
        "factor": {"factors": stored, "guard": [factors.guard]},
        "solve": {"x": x},
        "solve_transposed": {"x": x_transposed},
    }
    once = frontier(g, (k for groups in outputs.values() for group in groups.values() for k in group))
    given = {k: ("fixed", position) for position, k in enumerate(once)}
    sizes = {"t": 1, "y": n, THETA: P, "fixed": len(once), "shift": 1, "factors": len(stored), "b": n}
    programs = {name: Program.of(g, sizes, groups, given) for name, groups in outputs.items()}
    return Lowered(
        prologue=Program.of(g, sizes, {"fixed": once}),
        rates=programs["rates"],
        drift=programs["drift"] if drift else None,
        observables=programs["observables"],
        jacobian=programs["jacobian"],
        factor=programs["factor"],
        solve=programs["solve"],
        solve_transposed=programs["solve_transposed"],
        pattern=tuple(J),
        order=factors.order,
        lu_entries=len(factors.nodes),
    )


def system(g: Graph, n: int, size: int, J: Entries, shift: int) -> Entries:
    """diag(shift, ..., shift, 1, ..., 1) - J, with `shift` for the n states and 1 for the unknowns after them."""
    W = {key: g.node(Op.NEG, node) for key, node in J.items()}
    diagonal = {i: shift if i < n else g.constant(1.0) for i in range(size)}
    return W | {(i, i): g.node(Op.SUB, d, J[i, i]) if (i, i) in J else d for i, d in diagonal.items()}


def _stored(g: Graph, factors: Factors) -> list[int]:
    """Entries of the factors that change from step to step, each once."""
    return list(dict.fromkeys(k for k in factors.nodes if not g.fixed[k]))
