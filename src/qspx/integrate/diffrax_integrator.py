"""Cohorts through a diffrax solver: fixed-width groups of subjects, vmapped."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx

from qspx._errors import SolveError
from qspx._precision import require_x64
from qspx.dose_events import DoseEvents
from qspx.integrate.base import AbstractIntegrator, BatchSolution, Samples, SolveRequest
from qspx.integrate.rosenbrock import Rodas5P
from qspx.integrate.stepping import Settings, run
from qspx.integrate.tolerances import absolute_tolerances, checked_atol_of, require_positive, said_atol_of


@dataclasses.dataclass(frozen=True)
class DiffraxIntegrator(AbstractIntegrator):
    """Adaptive integration with any diffrax solver; Rodas5P (Steinebach 2023) by default.

    Args:
        solver: a diffrax adaptive solver, e.g. `diffrax.Kvaerno5()` or `diffrax.Tsit5()` for cross-checks.
        rtol, atol: error tolerances per step; `atol` is in the species' own units, so it must lie well under the
            smallest concentration that matters.
        atol_of: `atol` of single species, by name, where one number does not suit all: {"tumour_cells": 1e-3}.
        max_steps: attempted steps after which a subject gets status MAX_STEPS.
        lanes: subjects per vmapped group. Part of the definition of a run: results do not depend on the size of the
            cohort because every group has this width. Wide groups are cheaper per subject (64 took a quarter to a third
            less than 16 on models of 3 to 12 states), but a cohort that does not fill one pays for the whole.
        reverse: make reverse-mode differentiation (`jax.grad`) possible, at some cost in speed.
    """

    solver: Any = Rodas5P()
    rtol: float = 1e-6
    atol: float = 1e-12
    max_steps: int = 100_000
    lanes: int = 64
    reverse: bool = False
    atol_of: Mapping[str, float] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self):
        if not isinstance(self.solver, diffrax.AbstractAdaptiveSolver):
            raise SolveError(f"Argument `solver` must be a diffrax adaptive solver, but {self.solver!r} was given.")
        require_positive(self, "rtol", "atol", "max_steps", "lanes")
        checked_atol_of(self.atol_of)

    @property
    def settings(self) -> dict[str, object]:
        return {
            "integrator": type(self).__name__,
            "solver": type(self.solver).__name__,
            "rtol": self.rtol,
            "atol": self.atol,
            "max_steps": self.max_steps,
            "lanes": self.lanes,
            **said_atol_of(self.atol_of),
        }

    @property
    def reversible(self) -> bool:
        return self.reverse

    def solve_one(self, request: SolveRequest, theta, events: DoseEvents) -> tuple[Any, ...]:
        require_x64()
        return run(request, self._loop_settings, jnp.asarray(theta), DoseEvents(*map(jnp.asarray, events)))

    def solve_traced(
        self, request: SolveRequest, theta, events: DoseEvents, samples: Samples | None = None
    ) -> tuple[Any, ...]:
        require_x64()
        samples = Samples.common(request, len(theta)) if samples is None else samples
        one = functools.partial(run, request, self._loop_settings)
        return jax.vmap(one)(jnp.asarray(theta), DoseEvents(*map(jnp.asarray, events)), *map(jnp.asarray, samples))

    def chosen(self, request: SolveRequest) -> DiffraxIntegrator:
        absolute_tolerances(request.model, self.atol, checked_atol_of(self.atol_of))  # names species of this model
        return self

    def for_one(self) -> DiffraxIntegrator:
        return dataclasses.replace(self, lanes=1)

    @property
    def _loop_settings(self) -> Settings:
        own = checked_atol_of(self.atol_of)
        solver = _with_tolerances(self.solver, self.rtol, min([self.atol, *dict(own).values()]))
        return Settings(solver, self.rtol, self.atol, self.max_steps, self.reverse, own)

    def solve_batch(
        self, request: SolveRequest, theta: np.ndarray, events: DoseEvents, samples: Samples | None = None
    ) -> BatchSolution:
        require_x64()
        samples = Samples.common(request, len(theta)) if samples is None else samples
        rows = len(theta)
        compiled = _compiled(request, self._loop_settings)
        # one group at a time: concurrent executions of nested loops can exhaust XLA's CPU thread pool and deadlock
        parts = [_solve_group(compiled, theta, events, samples, group) for group in _groups(rows, self.lanes)]
        return BatchSolution(*(np.concatenate(part)[:rows] for part in zip(*parts, strict=True)))


def _with_tolerances(solver: Any, rtol: float, atol: float) -> Any:
    """An implicit solver's root finder takes the tolerances and the norm of the steps, as in `diffrax.diffeqsolve`."""
    if not isinstance(solver, diffrax.AbstractImplicitSolver):
        return solver
    unset = diffrax.Kvaerno5().root_finder.rtol  # what stands for "as the steps"
    for name, value in (("rtol", rtol), ("atol", atol), ("norm", optx.rms_norm)):
        if getattr(solver.root_finder, name) is unset:
            solver = eqx.tree_at(lambda s, name=name: getattr(s.root_finder, name), solver, value)
    return solver


def _groups(rows: int, lanes: int) -> np.ndarray:
    """Row numbers in groups of exactly `lanes`; the last row fills up the last group."""
    padded = -(-rows // lanes) * lanes
    return np.minimum(np.arange(padded), rows - 1).reshape(-1, lanes)


def _solve_group(compiled, theta, events, samples, rows) -> list[np.ndarray]:
    out = compiled(theta[rows], DoseEvents(*(field[rows] for field in events)), *(field[rows] for field in samples))
    return [np.asarray(x) for x in out]


@functools.lru_cache(maxsize=64)
def _compiled(request: SolveRequest, settings: Settings):
    """One compiled program per request and shape; models are compared by the hash of their content."""
    return jax.jit(jax.vmap(lambda theta, events, *samples: run(request, settings, theta, events, *samples)))
