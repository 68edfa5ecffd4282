"""What methods written by users return, checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qspx.vpop.outputs import PopulationError


def pair(found: Any, who: str, what: str) -> tuple[Any, Mapping[str, Any]]:
    """`found` as (numbers, details). Raises `PopulationError` where it is anything else."""
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Mapping)):
        raise PopulationError(
            f"{who} must return two things, the {what} and a mapping of details (`{{}}` for none), but returned a "
            f"{type(found).__name__}{f' of {len(found)}' if isinstance(found, tuple) else ''}."
        )
    return found


def number_array(found: Any, who: str) -> np.ndarray:
    """As an array of floats. Raises `PopulationError` where it is none."""
    try:
        return np.asarray(found, float)
    except (TypeError, ValueError):
        raise PopulationError(f"{who} must return an array of numbers, but returned {found!r:.200}.") from None
