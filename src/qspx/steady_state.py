"""Steady states of many subjects: a run towards rest, then Newton steps on the rates, with exact derivatives.

    0 = f(x, theta),   dx/dtheta = -(df/dx)^-1 df/dtheta

The run chooses the steady state (there may be several) and need not end exactly there; the Newton steps take it to
rounding. Derivatives are those of the root (implicit function theorem), so that they cost one linear solve and not a
differentiated run.

Where amounts are conserved (a receptor that is only bound and released, say), the root is isolated once their totals
are given. One rate per conserved sum is then replaced by that sum, which is that of the initial values:

    0 = f_free(x, theta),   x_dependent - N x_free = x0_dependent - N x0_free
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import ModelError, SolveError
from qspx._precision import require_x64
from qspx._status import Status
from qspx.conservation import Conservation
from qspx.dose_events import no_events
from qspx.integrate import AbstractIntegrator, AutomaticIntegrator, SolveRequest
from qspx.model import AbstractModel
from qspx.start_states import AbstractStart, Started

NEWTON_STEPS = 12
CONVERGED = 1e-9  # last Newton step, relative
BLOCK = 8192  # subjects of one compiled call


@dataclasses.dataclass(frozen=True, eq=False)
class SteadyState(AbstractStart):
    """Where a model comes to rest without doses, from its initial values. Amounts that the model keeps have the totals
    of the initial values, see `conserved`.

    Args:
        model: its rates must not depend on time.
        within: length of the run towards rest, in the model's time unit: several times the slowest half-life.
        basin: a subject has status NOT_STEADY if the Newton steps change a state by more than this factor of the
            state, of the largest state times 1e-3 and of 1000 atol: the run had not come near rest.
        integrator: of the run; loose tolerances will do.

    Raises:
        ModelError: if rates depend on time, or the steady state of the typical subject is not isolated, though the
            conserved amounts are given: a species that nothing depends on grows for ever, or there is a continuum.
    """

    model: AbstractModel
    within: float
    basin: float = 0.5
    integrator: AbstractIntegrator = dataclasses.field(default_factory=lambda: AutomaticIntegrator(rtol=1e-5))
    _laws: Conservation = dataclasses.field(init=False, repr=False)

    def __post_init__(self):
        if not (np.isfinite(self.within) and self.within > 0):
            raise SolveError(f"Argument `within` must be a time > 0, but {self.within!r} was given.")
        require_x64()
        f, theta = self.model.rates_vector, self.model.theta
        near, status = self._run(jnp.asarray(theta)[None])
        y = near[0] if int(status[0]) == Status.OK else self.model.initial_vector(jnp.asarray(theta))
        early, late = np.asarray(f(0.0, y, theta)), np.asarray(f(self.within, y, theta))
        if not np.array_equal(early, late, equal_nan=True):
            raise ModelError(f"the rates of {self.model.name} depend on time, so it has no steady state.")
        object.__setattr__(self, "_laws", Conservation.of(self.model, np.asarray(theta), np.asarray(y)))
        self._require_isolated(y, theta)

    def _require_isolated(self, y: Any, theta: Any) -> None:
        theta = jnp.asarray(theta)
        ratios = self._laws.ratios(theta) if len(self._laws) else jnp.zeros((0, 0))
        jacobian = np.asarray(jax.jacfwd(lambda z: self._equations(z, y, ratios, theta))(y))
        scaled = jacobian / np.maximum(np.abs(jacobian).max(axis=1, keepdims=True), 1e-300)
        if not np.isfinite(scaled).all() or np.linalg.matrix_rank(scaled, tol=1e-10) == len(jacobian):
            return
        names = [*self.model.species]
        idle = [n for n, column in zip(names, np.abs(scaled).max(axis=0), strict=True) if column == 0]
        kept = f" Conserved, and given by the initial values: {'; '.join(self.conserved)}." if self.conserved else ""
        if idle:
            raise ModelError(
                f"{self.model.name} has no steady state: the rate of `{idle[0]}` is not zero at rest and nothing "
                f"depends on {idle}, as for an integral over time. Take such species out of the model, or into a model "
                f"of their own.{kept}"
            )
        raise ModelError(
            f"the steady state of {self.model.name} is not isolated: its equations are singular where the typical "
            f"subject is after {self.within:g}, so that many states are at rest side by side. Start from a state that "
            f"differs (a species that is zero and stays zero?), or run the model for a long time instead.{kept}"
        )

    @property
    def conserved(self) -> list[str]:
        """Sums of species that the rates leave alone, at the typical parameters, in words: `R + C`."""
        return self._laws.laws(self.model.theta)

    def _equations(self, y: Any, initial: Any, ratios: Any, theta: Any) -> Any:
        """What is zero at rest, shape (species,), for one subject that started at `initial`."""
        rates = self.model.rates_vector(0.0, y, theta)
        if not len(self._laws):
            return rates
        return rates.at[np.array(self._laws.dependent)].set(self._laws.residual(y - initial, ratios))

    def started(self, theta):
        states, status = self.traced(theta)
        return Started(jnp.where(status == Status.OK, 0.0, jnp.nan), states, status)

    def rows(self, theta):
        states, status = self.states(theta)
        return Started(np.where(status == Status.OK, 0.0, np.nan), states, status)

    @functools.cached_property
    def _request(self) -> SolveRequest:
        # one observable of no interest would do, but the states are what the Newton steps start from
        return SolveRequest(self.model, (float(self.within),), tuple(self.model.species), (), 0.0, float(self.within))

    def traced(self, theta: Any) -> tuple[Any, Any]:
        """States (subjects, species) and status (subjects,) for `theta` (subjects, parameters). A function of jax;
        states of a subject that failed are NaN, with derivatives of zero."""
        return _solved(self, theta)

    def states(self, theta: Any) -> tuple[np.ndarray, np.ndarray]:
        """The same, compiled once and in blocks, for any number of subjects."""
        states, status = in_blocks(self._compiled, theta)
        return states, status

    @functools.cached_property
    def _compiled(self) -> Any:
        return jax.jit(self.traced)

    def _run(self, theta: Any) -> tuple[Any, Any]:
        events = no_events(len(theta))
        found = self.integrator.solve_traced(self._request, theta, type(events)(*map(jnp.asarray, events)))
        return found[0][:, 0], found[2]


def in_blocks(function: Any, theta: Any, block: int = BLOCK) -> tuple[np.ndarray, ...]:
    """`function` of rows, which returns arrays of rows, applied to blocks of at most `block` rows. The last one is
    filled up to a power of two (64 or more), so that few shapes are compiled."""
    theta = np.asarray(theta, dtype=float)
    parts: list[tuple[np.ndarray, ...]] = []
    for first in range(0, len(theta), block):
        rows = theta[first : first + block]
        size = min(block, max(64, 1 << max(len(rows) - 1, 0).bit_length()))
        filled = np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
        parts.append(tuple(np.asarray(x)[: len(rows)] for x in function(jnp.asarray(filled))))
    return tuple(np.concatenate(x) for x in zip(*parts, strict=True))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _solved(at: SteadyState, theta: Any) -> tuple[Any, Any]:
    near, status = at._run(theta)
    ran = status == Status.OK
    start = jnp.where(ran[:, None], near, 1.0)
    # the conserved sums do not change between steps, nor does what they are
    initial = jax.vmap(at.model.initial_vector)(theta)
    ratios = jax.vmap(at._laws.ratios)(theta) if len(at._laws) else jnp.zeros((len(theta), 0, 0))
    value = jax.vmap(at._equations)
    slope = jax.vmap(jax.jacfwd(at._equations))

    def step(_, carried):
        y, _ = carried
        move = jnp.linalg.solve(slope(y, initial, ratios, theta), value(y, initial, ratios, theta)[..., None])[..., 0]
        return y - move, jnp.abs(move)

    root, last = jax.lax.fori_loop(0, NEWTON_STEPS, step, (start, jnp.zeros_like(start)))
    nothing = 1e3 * float(at.integrator.settings["atol"])  # type: ignore[arg-type]
    scale = jnp.abs(root) + 1e-3 * jnp.max(jnp.abs(root), axis=1, keepdims=True) + nothing
    signed = np.array([[s.signed for s in at.model.species.values()]])
    # a root below zero by rounding is zero; one further below is another root, which the run cannot have come to
    below = (root < -1e-9 * scale) & (start >= -1e-9 * scale) & ~signed
    rests = (last <= CONVERGED * scale).all(1) & (jnp.abs(root - start) <= at.basin * scale).all(1) & ~below.any(1)
    status = jnp.where(ran & ~rests, int(Status.NOT_STEADY), status)
    return jnp.where((status == Status.OK)[:, None], root, jnp.nan), status


@_solved.defjvp
def _solved_jvp(at: SteadyState, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (theta,), (theta_dot,) = primals, tangents
    states, status = _solved(at, theta)
    ok = (status == Status.OK)[:, None]
    y = jnp.where(ok, states, 1.0)
    theta = jnp.where(ok, theta, jnp.asarray(at.model.theta))  # derivatives that are not NaN, to be dropped

    def equations(y, p):
        ratios = at._laws.ratios(p) if len(at._laws) else jnp.zeros((0, 0))
        return at._equations(y, at.model.initial_vector(p), ratios, p)

    slope = jax.vmap(jax.jacfwd(equations))(y, theta)
    pushed = jax.vmap(lambda y, p, d: jax.jvp(lambda q: equations(y, q), (p,), (d,))[1])(y, theta, theta_dot)
    slope = jnp.where(ok[..., None], slope, jnp.eye(y.shape[1]))
    moved = -jnp.linalg.solve(slope, pushed[..., None])[..., 0]
    no_change = np.zeros(status.shape, dtype=jax.dtypes.float0)
    return (states, status), (jnp.where(ok, moved, 0.0), no_change)


def steady_states(
    model: AbstractModel, theta: Any = None, *, within: float, integrator: AbstractIntegrator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """States at rest (subjects, species) and status (subjects,) for parameters `theta` (subjects, parameters; default:
    one subject, the typical one). See `SteadyState`; a subject that does not come to rest has NaN and NOT_STEADY."""
    rows = model.theta[None] if theta is None else theta
    at = SteadyState(model, within)
    return (at if integrator is None else dataclasses.replace(at, integrator=integrator)).states(rows)
