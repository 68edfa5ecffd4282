"""First-order conditional estimation without interaction (FOCE): as FOCEI, with residual variances at z = 0.

Lindstrom & Bates, Biometrics 1990;46:673-687 (doi:10.2307/2532087). For residual errors that do not depend on the
prediction it is FOCEI.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from qspx.nlme.base import AbstractMethod
from qspx.nlme.expansion import Expansion, expand, log_determinant


@dataclasses.dataclass(frozen=True)
class FOCE(AbstractMethod):
    """See the top of the file."""

    name: ClassVar[str] = "FOCE"
    interaction: ClassVar[bool] = False

    def local(self, individuals):
        def contribution(x, z, near, typical, row):
            e = Expansion(individuals, row, near, typical)
            z = e.implicit(x, z)
            return e.joint(x, z) + log_determinant(e.expected_curvature(x, z))

        return contribution

    def evaluate(self, objective, x, z):
        found, _, (near, typical), status = expand(objective, x, z)
        return objective.evaluated(x, found, status, (found.z, near, typical, objective.individuals.rows))
