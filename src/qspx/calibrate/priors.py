"""Which of the estimated parameters have a prior, and of what."""

from __future__ import annotations

import dataclasses

import numpy as np

from qspx.calibrate.objective import Objective


def has_prior(objective: Objective) -> np.ndarray:
    """Which have a prior, of their own or as part of a joint one, shape (estimated,)."""
    together = () if objective.joint is None else objective.joint.names
    return np.array([e.prior is not None or e.name in together for e in objective.estimated], dtype=bool)


def of_parameter(objective: Objective) -> np.ndarray:
    """Whose prior is a density of the parameter itself, not of its coordinate, shape (estimated,)."""
    together = () if objective.joint is None else objective.joint.names
    return np.array(
        [(e.prior is not None and e.prior_on == "natural") or e.name in together for e in objective.estimated],
        dtype=bool,
    )


def without_priors(objective: Objective) -> Objective:
    """The same likelihood without priors."""
    if not has_prior(objective).any():
        return objective
    bare = tuple(dataclasses.replace(e, prior=None) for e in objective.estimated)
    return dataclasses.replace(objective, estimated=bare, joint=None)
