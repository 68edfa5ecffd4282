"""Steady states of many subjects: a run towards rest, then Newton steps on the rates, with exact derivatives.

    0 = f(x, theta),   dx/dtheta = -(df/dx)^-1 df/dtheta

The run chooses the steady state (there may be several) and need not end exactly there; the Newton steps take it to
rounding. Derivatives are those of the root (implicit function theorem), so that they cost one linear solve and not a
differentiated run.
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
from qspx.dose_events import no_events
from qspx.integrate import AbstractIntegrator, AutomaticIntegrator, SolveRequest
from qspx.model import AbstractModel

NEWTON_STEPS = 12
CONVERGED = 1e-9  # last Newton step, relative
BLOCK = 8192  # subjects of one compiled call


@dataclasses.dataclass(frozen=True, eq=False)
class SteadyState:
    """Where a model comes to rest without doses, from its initial values.

    Args:
        model: its rates must not depend on time, and no amount may be conserved (the root would not be isolated).
        within: length of the run towards rest, in the model's time unit: several times the slowest half-life.
        basin: a subject has status NOT_STEADY if the Newton steps change a state by more than this factor of the
            state, of the largest state times 1e-3 and of 1000 atol: the run had not come near rest.
        integrator: of the run; loose tolerances will do.

    Raises:
        ModelError: if rates depend on time, or something is conserved at the typical parameters.
    """

    model: AbstractModel
    within: float
    basin: float = 0.5
    integrator: AbstractIntegrator = dataclasses.field(default_factory=lambda: AutomaticIntegrator(rtol=1e-5))

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
        jacobian = np.asarray(jax.jacfwd(lambda y: f(0.0, y, theta))(y))
        scaled = jacobian / np.maximum(np.abs(jacobian).max(axis=1, keepdims=True), 1e-300)
        if np.isfinite(scaled).all() and np.linalg.matrix_rank(scaled, tol=1e-10) < len(jacobian):
            raise ModelError(
                f"the Jacobian of {self.model.name} is singular: something is conserved, or a species does not act and "
                "is not acted upon. Such a model has no isolated steady state; run it for a long time instead."
            )

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
    f = at.model.rates_vector
    slope = jax.vmap(jax.jacfwd(lambda y, p: f(0.0, y, p)), in_axes=(0, 0))
    value = jax.vmap(lambda y, p: f(0.0, y, p))

    def step(_, carried):
        y, _ = carried
        move = jnp.linalg.solve(slope(y, theta), value(y, theta)[..., None])[..., 0]
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
    f = at.model.rates_vector
    slope = jax.vmap(jax.jacfwd(lambda y, p: f(0.0, y, p)))(y, theta)
    pushed = jax.vmap(lambda y, p, d: jax.jvp(lambda q: f(0.0, y, q), (p,), (d,))[1])(y, theta, theta_dot)
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
