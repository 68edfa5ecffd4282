"""What an objective computes, as digests: by them a fit that is resumed or loaded knows its problem again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx._model_hash import program_bytes
from qspx.calibrate.objective import Objective
from qspx.integrate import AbstractIntegrator


def identity(objective: Objective) -> dict[str, Any]:
    """Digests of the parts of an objective: equal parts, equal numbers."""
    o = objective
    return {
        "estimated": [f"{e.name}: {e.bounds[0]!r} to {e.bounds[1]!r} on {e.scale}" for e in o.estimated],
        "prior": [f"{e.name}: {e.prior!r} on {e.prior_on}" for e in o.estimated if e.prior is not None]
        + ([] if o.joint is None else [f"together: {o.joint!r}"]),
        "model": [phase.runs.model.hash for phase in o.phases],
        "runs": digest_of(a for phase in o.phases for a in _arrays_of_phase(phase)),
        "measurements": digest_of([o.run, o.column, o.time, o.value, o.censored]),
        "formulas": _of_formulas(o),
        "integrator": settings_of(o.integrator),
    }


def settings_of(integrator: AbstractIntegrator) -> dict[str, str | int | float]:
    """Settings in a form that files hold."""
    return {k: v if isinstance(v, str | int | float) else str(v) for k, v in integrator.settings.items()}


def _arrays_of_phase(phase: Any) -> list[Any]:
    runs = phase.runs
    window = [runs.request.t0, runs.request.t1, phase.steady]
    given = [] if phase.start is None else [phase.given, phase.start.constant, phase.start.index]
    follows = [] if phase.follows is None else [phase.follows]
    return [*runs.events, *runs.samples, phase.theta.constant, phase.theta.index, *given, *follows, *window]


def digest_of(arrays: Iterable[Any]) -> str:
    """Of shapes, types and numbers."""
    digest = hashlib.sha256()
    for a in arrays:
        array = np.ascontiguousarray(a)
        digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _of_formulas(o: Objective) -> str:
    """Of the groups: rows, local parameters, noise, and the traced formulas with their constants."""
    digest = hashlib.sha256()
    species, parameters = (len(o.phases[-1].model.species), len(o.phases[-1].model.parameters)) if o.phases else (0, 0)
    for g in o.groups:
        digest.update(digest_of([g.rows, g.local.constant, g.local.index]).encode() + repr(g.noise).encode())
        if o.phases:
            closed = jax.make_jaxpr(g.formula)(
                1.0, jnp.ones(species), jnp.ones(parameters), g.local(jnp.ones(len(o.estimated)))[0]
            )
            digest.update(program_bytes(closed))
    return digest.hexdigest()
