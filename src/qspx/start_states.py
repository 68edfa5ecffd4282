"""Where the runs of many subjects start: the initial values, a steady state, or the moment when a condition is met.

Every way is an object that computes one state per subject, with derivatives. A simulator of virtual populations takes
any of them, and `cohort` hands the same states to `simulate_cohort`.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qspx._status import Ledger, Status
from qspx.cohort import Cohort
from qspx.model import AbstractModel
from qspx.starting import starting_from


class Started(NamedTuple):
    """Per subject: `time` (subjects,) from the model's initial values to the start, `states` (subjects, species), and
    `status` (subjects,); time and states are NaN where the status is not OK."""

    time: Any
    states: Any
    status: Any


class AbstractStart(abc.ABC):
    """Where runs start. `model` is an attribute of a subclass."""

    model: AbstractModel

    @abc.abstractmethod
    def started(self, theta: Any) -> Started:
        """For `theta` (subjects, parameters). A function of jax, differentiable by theta."""

    def onward(self, theta: Any) -> tuple[Any, Started]:
        """Parameters of `starting_from(model)` (subjects, parameters + species), and the start. Where it failed the
        states are one, so that no derivative of a later run is NaN; give those subjects their status."""
        at = self.started(theta)
        ok = (at.status == Status.OK)[:, None]
        return jnp.concatenate([theta, jnp.where(ok, at.states, 1.0)], axis=1), at

    def cohort(self, cohort: Cohort) -> Cohort:
        """The same subjects for `simulate_cohort(starting_from(model), ...)`, where every run begins at the start.

        Subjects that have no start have its status, and whatever reasons there are stay in the ledger; those that were
        not OK before keep theirs. Inside jax (a cohort of traced parameters) a failed start cannot be looked at: its
        run goes on from ones.
        """
        model = starting_from(self.model)
        origin = f"{cohort.origin}, at {type(self).__name__}" if cohort.origin else f"at {type(self).__name__}"
        if cohort.is_traced:
            return dataclasses.replace(cohort, model=model, theta=self.onward(cohort.theta)[0], origin=origin)
        usable = np.flatnonzero(cohort.status == Status.OK)
        theta = np.concatenate([cohort.theta, np.ones((len(cohort), len(model.species)))], axis=1)
        status = np.array(cohort.status)
        if len(usable):
            found = self.rows(cohort.theta[usable])
            ok = found.status == Status.OK
            theta[usable[ok], cohort.theta.shape[1] :] = found.states[ok]
            status[usable] = found.status
        return dataclasses.replace(cohort, model=model, theta=theta, status=status, origin=origin)

    def rows(self, theta: Any) -> Started:
        """`started` of any number of subjects, as numbers."""
        return Started(*map(np.asarray, jax.jit(self.started)(jnp.asarray(theta, float))))

    def ledger(self, theta: Any) -> Ledger:
        """How many of `theta` (subjects, parameters) start, and why the others do not."""
        return Ledger.of(self.rows(theta).status)


@dataclasses.dataclass(frozen=True, eq=False)
class InitialState(AbstractStart):
    """The initial values of the model, as they are declared.

    Args:
        model: any without events.
    """

    model: AbstractModel

    def __post_init__(self):
        starting_from(self.model)  # raises where a run cannot start from a given state

    def started(self, theta):
        states = jax.vmap(self.model.initial_vector)(theta)
        bad = ~jnp.isfinite(states).all(axis=1)
        status = jnp.where(bad, int(Status.NONFINITE), int(Status.OK))
        return Started(jnp.where(bad, jnp.nan, 0.0), jnp.where(bad[:, None], jnp.nan, states), status)
