"""The state of many subjects at the moment when a condition is first met: a tumour grown to its diameter, say.

    g(x(t*), theta) = 0;   dt* = -(g_x S + g_theta) dtheta / (g_x f),   dx* = S dtheta + f dt*

with S = dx/dtheta at fixed time and f the rates there. A subject that never gets there has status NOT_REACHED: that is
not a failure of the solver, and such patients are rejected (as in the tumour models of Wang, Sové and Popel).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import SolveError
from qspx._precision import require_x64
from qspx._status import Status
from qspx.dose_events import no_events
from qspx.integrate import AbstractIntegrator, AutomaticIntegrator, SolveRequest
from qspx.integrate.base import Samples
from qspx.model import AbstractModel
from qspx.start_states import AbstractStart, Started
from qspx.steady_state import in_blocks


@dataclasses.dataclass(frozen=True, eq=False)
class TriggeredStart(AbstractStart):
    """Runs from the model's initial values until a condition is met.

    Args:
        model: run without doses.
        condition: (states, parameters) -> a number that is negative before and zero when it is met, such as
            `lambda y, p: y.volume - p.target`.
        within: time after which a subject counts as one that never gets there.
        looks: how often the run is looked at; a condition that is met and lost between two looks is not seen.
        refinements: halvings of the interval where it is met, before the last step along the rates.
        integrator: of the runs.
    """

    model: AbstractModel
    condition: Callable[[Any, Any], Any]
    within: float
    looks: int = 65
    refinements: int = 30
    integrator: AbstractIntegrator = dataclasses.field(default_factory=lambda: AutomaticIntegrator(rtol=1e-9))

    def __post_init__(self):
        require_x64()
        if not (np.isfinite(self.within) and self.within > 0 and self.looks >= 2):
            raise SolveError(f"Argument `within` must be a time > 0 and `looks` >= 2, but {self.within!r} was given.")

    def _distance(self, y: Any, theta: Any) -> Any:
        return jnp.asarray(self.condition(self.model.states_of(y), self.model.values_of(theta)), float)

    def _at(self, theta: Any, times: Any) -> tuple[Any, Any]:
        """States (subjects, times, species) at `times` (subjects, times), and status."""
        n, k = times.shape
        common = tuple(float(t) for t in np.linspace(0.0, self.within, max(k, 2))[-k:])  # replaced by the samples
        request = SolveRequest(self.model, common, tuple(self.model.species), (), 0.0, float(self.within))
        events = no_events(n)
        samples = Samples(times, jnp.zeros((n, k), bool))  # type: ignore[arg-type]
        found = self.integrator.solve_traced(request, theta, type(events)(*map(jnp.asarray, events)), samples)
        return found[0], found[2]

    def traced(self, theta: Any) -> tuple[Any, Any, Any]:
        """Time (subjects,), states (subjects, species) and status (subjects,) for `theta` (subjects, parameters). A
        function of jax, with the derivatives above; NaN where the condition is not met."""
        theta = jnp.asarray(theta, float)
        still = jax.lax.stop_gradient(theta)
        distance = jax.vmap(self._distance)
        grid = jnp.broadcast_to(jnp.linspace(0.0, self.within, self.looks)[None], (len(theta), self.looks))
        states, ran = self._at(still, grid)
        seen = jax.vmap(distance, in_axes=(1, None), out_axes=1)(states, still)
        met = seen >= 0
        first = jnp.argmax(met, axis=1)
        reached = met.any(axis=1) & (first > 0)  # whoever starts beyond it did not grow to it
        high = jnp.take_along_axis(grid, first[:, None], axis=1)[:, 0]
        low = jnp.where(reached, high - self.within / (self.looks - 1), 0.0)

        def halve(_, interval):
            low, high = interval
            middle = 0.5 * (low + high)
            beyond = distance(self._at(still, middle[:, None])[0][:, 0], still) >= 0
            return jnp.where(beyond, low, middle), jnp.where(beyond, middle, high)

        low, high = jax.lax.fori_loop(0, self.refinements, halve, (low, high))
        time = jax.lax.stop_gradient(high)
        states, ended = self._at(theta, time[:, None])
        ok = (ran == Status.OK) & (ended == Status.OK) & reached
        y = jnp.where(ok[:, None], states[:, 0], 1.0)
        # one step along the rates: its value is rounding, its derivative that of the implicit function
        f = jax.vmap(lambda y, p: self.model.rates_vector(0.0, y, p))(y, theta)
        speed = jax.vmap(lambda y, p, f: jax.jvp(lambda z: self._distance(z, p), (y,), (f,))[1])(y, theta, f)
        speed = jnp.where(ok & (speed != 0), speed, 1.0)
        delay = -distance(y, theta) / jax.lax.stop_gradient(speed)
        moved = y + jax.lax.stop_gradient(f) * delay[:, None]
        status = jnp.where(ran != Status.OK, ran, jnp.where(reached, ended, int(Status.NOT_REACHED)))
        return jnp.where(ok, time + delay, jnp.nan), jnp.where(ok[:, None], moved, jnp.nan), status

    def started(self, theta):
        return Started(*self.traced(theta))

    def rows(self, theta):
        return Started(*self.states(theta))

    @functools.cached_property
    def _compiled(self) -> Any:
        return jax.jit(self.traced)

    def states(self, theta: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same, compiled once and in blocks, for any number of subjects."""
        time, states, status = in_blocks(self._compiled, theta)
        return time, states, status
