"""What a population fit computes, as text and digests: by them one that is resumed knows its problem again."""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import jax.numpy as jnp

from qspx._model_hash import program_bytes
from qspx.calibrate.identity import digest_of, settings_of
from qspx.nlme.base import PopulationObjective


def identity(objective: PopulationObjective) -> dict[str, Any]:
    """Equal parts, equal numbers."""
    problem, data, rows = objective.problem, objective.problem.data, objective.individuals.rows
    runs, column = data.runs()
    measured = [column, data.individual, data.time, data.endpoint, data.value, data.censored]
    return {
        "estimated": [repr(e) for e in problem.estimated],
        "random_effects": [repr(e) for e in problem.random_effects],
        "correlated": [list(group) for group in problem.correlated],
        "covariate_effects": [repr(e) for e in problem.covariate_effects],
        "residuals": {name: repr(error) for name, error in problem.residuals.items()},
        "formulas": _of_residuals(objective),
        "model": problem.model.hash,
        "individuals": [str(i) for i in data.ids],
        "runs": digest_of([*runs.events, *runs.samples]),
        "parameters": digest_of([data.theta, rows.base, rows.covariates]),
        "measurements": digest_of(measured),
        "integrator": settings_of(problem.integrator),
        "method": objective.method.settings,
    }


def _of_residuals(objective: PopulationObjective) -> str:
    """Of the traced residual variance, which an error model of the user's own computes."""
    f = jnp.ones(len(objective.problem.data.endpoints))
    traced = jax.make_jaxpr(lambda x, f: objective.individuals.variance(x, f, jnp.arange(len(f))))(
        jnp.asarray(objective.problem.start), f
    )
    return hashlib.sha256(program_bytes(traced)).hexdigest()
