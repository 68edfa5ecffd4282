"""One subject of a model with events: `simulate_events`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import SolveError
from qspx._status import Status
from qspx.integrate.event_loop import run_events
from qspx.model import AbstractModel
from qspx.simulation import Solution, check_times


def simulate_events(
    model: AbstractModel,
    times: Sequence[float] | np.ndarray,
    *,
    parameters: Mapping[str, float] | None = None,
    observables: Sequence[str] | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-14,
    longest_step: float | None = None,
) -> Solution:
    """Simulate one subject of a model with events, or of any other, from time 0 on.

    Args:
        model: the model.
        times: sampling times, increasing, none below 0, in the model's time unit, shape (times,). Where an event
            happens at exactly that time, the value is the one after it.
        parameters: values that replace the typical ones, by name.
        observables: what to return (default: every observable and species). Values may be inf or nan.
        rtol, atol: tolerances per step; `atol` is in the species' own units.
        longest_step: largest step; a condition that holds for less than 1/16 of it may be missed. By default the
            usual distance of the sampling times, or 1/50 of the run if that is less.

    Raises:
        QspxError: if an argument does not fit the model, and if the solve fails.
    """
    found, _ = check_times(times)
    if not found or found[0] < 0:
        raise SolveError(f"Argument `times` must hold times from 0 on, but {found[:3]} was given.")
    names = model.require_outputs(tuple(observables) if observables is not None else tuple(model.outputs))
    theta = model.theta_with(parameters)
    states, steps = run_events(model, theta, found, rtol=rtol, atol=atol, longest_step=longest_step)
    return Solution(model, np.array(found), names, observed(model, theta, found, states, names), {}, Status.OK, steps)


def observed(
    model: AbstractModel, theta: np.ndarray, times: Sequence[float], states: np.ndarray, names: Sequence[str]
) -> np.ndarray:
    """The named outputs of given states, shape (times, names)."""

    def at(t, y):
        return model.observables_vector(t, y, jnp.asarray(theta), names)

    return np.asarray(jax.jit(jax.vmap(at))(jnp.asarray(times, float), jnp.asarray(states)))
