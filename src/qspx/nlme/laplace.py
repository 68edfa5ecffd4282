"""Laplace's approximation with the exact second derivative of the joint function.

    OFV_i = J(ẑ) + log |½ ∂²J/∂z²|,   J(z) = Σ_j deviance(y_ij, f_ij(z), R_ij) + |z|²

Tierney & Kadane, J Am Stat Assoc 1986;81:82-86 (doi:10.1080/01621459.1986.10478240). Takes censored values.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import ClassVar

import jax

from qspx.nlme.base import AbstractMethod
from qspx.nlme.compiling import compiled
from qspx.nlme.expansion import Expansion, expand, log_determinant


@dataclasses.dataclass(frozen=True)
class Laplace(AbstractMethod):
    """See the top of the file."""

    name: ClassVar[str] = "Laplace"
    takes_censored: ClassVar[bool] = True

    def local(self, individuals):
        def contribution(x, z, near, row):
            e = Expansion(individuals, row, near, None)
            z = e.implicit(x, z)
            return e.joint(x, z) + log_determinant(e.half_curvature(x, z))

        return contribution

    def evaluate(self, objective, x, z):
        found, _, (near, _), status = expand(objective, x, z, _curvatures(objective.individuals))
        return objective.evaluated(x, found, status, (found.z, near, objective.individuals.rows))


@functools.lru_cache(maxsize=8)
def _curvatures(individuals):
    def one(x, z, near, row):
        return Expansion(individuals, row, near, None).half_curvature(x, z)

    return compiled(jax.vmap(one, in_axes=(None, 0, 0, 0)))
