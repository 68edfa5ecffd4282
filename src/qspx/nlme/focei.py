"""First-order conditional estimation with interaction (FOCEI).

Laplace's approximation around ẑ with the expected instead of the exact second derivative:

    OFV_i = Σ_j [log R_ij + (y_ij - f_ij)² / R_ij] + |ẑ|² + log |H|,   H = I + Σ_j ∂f ∂fᵀ [1/R + ½ (R'/R)²]

which in η = L z is that of Wang, J Pharmacokinet Pharmacodyn 2007;34:575-593 (doi:10.1007/s10928-007-9060-6).
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from qspx.nlme.base import AbstractMethod
from qspx.nlme.expansion import Expansion, expand, log_determinant


@dataclasses.dataclass(frozen=True)
class FOCEI(AbstractMethod):
    """See the top of the file."""

    name: ClassVar[str] = "FOCEI"

    def local(self, individuals):
        def contribution(x, z, near, row):
            e = Expansion(individuals, row, near, None)
            z = e.implicit(x, z)
            return e.joint(x, z) + log_determinant(e.expected_curvature(x, z))

        return contribution

    def evaluate(self, objective, x, z):
        found, _, (near, _), status = expand(objective, x, z)
        return objective.evaluated(x, found, status, (found.z, near, objective.individuals.rows))
