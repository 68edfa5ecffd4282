"""What happens before an arm begins: the model comes to rest."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from qspx._checks import mapping, number
from qspx._errors import CalibrationError
from qspx.calibrate.names import Number


@dataclasses.dataclass(frozen=True)
class PreEquilibration:
    """Arms begin at the steady state that the model reaches without doses, from its initial values, so that conserved
    amounts stay what they are. Its derivatives are those of the integration, exact to the tolerances.

    Args:
        within: time, in the model's unit, by which the steady state is reached. The run goes on to ten times that;
            where a state still changes (by more than a thousand times the tolerances), the status is NOT_STEADY, and
            the likelihood -inf. The model's rates should not depend on time.
        parameters: of the time before only, where they differ from those of the arm: a number, or the name of one.
    """

    within: float
    parameters: Mapping[str, Number] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        number(self.within, "within` of `PreEquilibration", CalibrationError)
        mapping(self.parameters, "parameters` of `PreEquilibration", CalibrationError)
        if not (self.within > 0 and math.isfinite(self.within)):
            raise CalibrationError(
                f"Argument `within` of PreEquilibration must be a time > 0, but {self.within} was given."
            )
        object.__setattr__(self, "parameters", dict(self.parameters))
