"""First-order method (FO): the model made linear in the random effects at zero.

    OFV_i = log |C| + rᵀ C⁻¹ r,   C = diag R(f(0)) + F Fᵀ,   F = ∂f/∂z at 0,   r = y - f(0)

Beal & Sheiner, Crit Rev Biomed Eng 1982;8:195-222. Random effects are estimated afterwards, as in FOCEI.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from qspx.nlme.base import AbstractMethod
from qspx.nlme.expansion import Expansion, log_determinant
from qspx.nlme.taylor import around


@dataclasses.dataclass(frozen=True)
class FO(AbstractMethod):
    """See the top of the file."""

    name: ClassVar[str] = "FO"

    def local(self, individuals):
        zero = np.zeros(len(individuals.problem.omega))

        def contribution(x, near, row):
            e = Expansion(individuals, row, near, None)
            f = e.predicted(x, zero)
            slope = jnp.where(row.seen[:, None], jax.jacfwd(e.predicted, argnums=1)(x, zero), 0.0)
            covariance = jnp.diag(e.variance(x, f)) + slope @ slope.T
            residual = jnp.where(row.seen, row.value - f, 0.0)
            return log_determinant(covariance) + residual @ jnp.linalg.solve(covariance, residual)

        return contribution

    def evaluate(self, objective, x, z):
        u, typical = objective.typical(x)
        factor = np.asarray(objective.problem.factor(x))
        directions = np.tile(factor, (len(u), 1, 1))
        near, status = around(objective.individuals.many_jets, u, typical, directions, None)
        found = objective.estimates(x, z, None)
        return objective.evaluated(x, found, status, (near, objective.individuals.rows))
