"""What may be fitted."""

from __future__ import annotations

from typing import Any

from qspx._errors import CalibrationError
from qspx.calibrate.objective import Objective


def objective_of(problem: Any) -> Objective:
    """Of a `CalibrationProblem`, or an `Objective` itself. Raises `CalibrationError` for anything else, and where
    nothing is estimated."""
    found = problem if isinstance(problem, Objective) else getattr(problem, "objective", None)
    if not isinstance(found, Objective):
        raise CalibrationError(
            f"Argument `problem` must be a CalibrationProblem or an Objective, but is {type(problem).__name__}."
        )
    if not found.estimated:
        raise CalibrationError("Argument `problem` estimates no parameter, so there is nothing to fit.")
    return found
