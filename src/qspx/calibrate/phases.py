"""Runs one after the other: run-ins to a steady state, then the runs that are measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx._status import Status
from qspx.calibrate.assigned import Assigned
from qspx.calibrate.runs import Runs
from qspx.integrate import AbstractIntegrator
from qspx.model import AbstractModel
from qspx.starting import StartingFrom, starting_from


@dataclasses.dataclass(frozen=True, eq=False)
class Phase:
    """Runs that start together.

    Args:
        runs: the runs. Of `starting_from(model)` where one of the next three is given.
        theta: parameters of the model itself, shape (runs, parameters).
        follows: which run of the phase before each one continues, -1 for none, shape (runs,).
        given: whether each species starts at a value of its own, shape (runs, species); this goes before what is
            continued, and that before the initial values of the model.
        start: those values, shape (runs, species).
        steady: whether runs must have come to rest at their end; then the last two samples are compared.
    """

    runs: Runs
    theta: Assigned
    follows: np.ndarray | None = None
    given: np.ndarray | None = None
    start: Assigned | None = None
    steady: bool = False

    @property
    def model(self) -> AbstractModel:
        model = self.runs.model
        return model.base if isinstance(model, StartingFrom) else model


def settling(model: AbstractModel, theta: Assigned, *, within: float, **start: Any) -> Phase:
    """Runs to a steady state without doses, one per row of `theta`, which must be reached `within` a time; `start`:
    `given` and `start` of a Phase."""
    own = starting_from(model) if start else model
    runs = Runs.of(own, [None] * len(theta), [[(0.1 * within, False), (within, False)]] * len(theta))
    return Phase(runs, theta, steady=True, **start)


def run_phases(phases: Sequence[Phase], values: Any, integrator: AbstractIntegrator) -> tuple[Any, Any, Any]:
    """Of the last phase: states (runs, times, species), parameters (runs, parameters) and status (runs,), which is that
    of the first phase that failed."""
    states, status = None, None
    for phase in phases:
        theta = phase.theta(values)
        at_start = _start(phase, theta, values, None if states is None else states[:, -1])
        before = None if status is None or phase.follows is None else _picked(status, phase.follows, Status.OK)
        full = theta if at_start is None else jnp.concatenate([theta, at_start], axis=1)
        states, status = phase.runs.states(full, integrator)
        if phase.steady:
            status = jnp.where((status == Status.OK) & ~_at_rest(states, integrator), Status.NOT_STEADY, status)
        if before is not None:
            status = jnp.where(before == Status.OK, status, before)
    return states, theta, status


def _start(phase: Phase, theta: Any, values: Any, ended: Any) -> Any:
    """Initial states (runs, species), or None for those of the model."""
    if not isinstance(phase.runs.model, StartingFrom):
        return None
    start = jax.vmap(phase.model.initial_vector)(theta)
    if phase.follows is not None:
        assert ended is not None
        ended = jnp.where(jnp.isfinite(ended), ended, 1.0)  # of a run that failed, which the status says
        start = jnp.where((phase.follows >= 0)[:, None], ended[np.maximum(phase.follows, 0)], start)
    if phase.given is not None and phase.start is not None:
        start = jnp.where(phase.given, phase.start(values), start)
    return start


def _picked(x: Any, which: np.ndarray, otherwise: Any) -> Any:
    return jnp.where(which >= 0, x[np.maximum(which, 0)], otherwise)


def _at_rest(states: Any, integrator: AbstractIntegrator) -> Any:
    """Whether nothing changed between the last two samples, as far as the tolerances tell, shape (runs,)."""
    rtol, atol = (float(integrator.settings[k]) for k in ("rtol", "atol"))  # type: ignore[arg-type]
    earlier, later = states[:, -2], states[:, -1]
    return (jnp.abs(later - earlier) <= 1e3 * (rtol * jnp.abs(later) + atol)).all(axis=1)
