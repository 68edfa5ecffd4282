"""What to tell a user whose log-posterior is finite nowhere."""

from __future__ import annotations

from collections import Counter

import jax
import numpy as np

from qspx._status import STATUS_ADVICE, Status
from qspx.calibrate.information import named_values
from qspx.calibrate.search import Evaluator

LOOKED_AT = 32  # candidates


def why_no_start(evaluator: Evaluator, candidates: np.ndarray) -> str:
    """Message for candidates (places in the unit box) of which not one has a finite log-posterior: which runs fail how,
    and which measurements have no likelihood although their runs were solved."""
    o = evaluator.objective
    n = min(LOOKED_AT, len(candidates))
    lines = [f"Not one of {len(candidates)} candidates for a start has a finite log-posterior. Of the first {n}:"]
    x = evaluator.x(candidates[:n])
    status = np.asarray(o.predictions(x).status)
    failed = status[status != Status.OK]
    for code, count in Counter(failed.tolist()).most_common():
        name = Status(code).name.lower()
        lines.append(f"- {count} of {status.size} runs ended with {name}: {STATUS_ADVICE[Status(code)]}.")
    solved = np.flatnonzero((status == Status.OK).all(axis=1))
    if len(solved):
        lines += _of_solved(evaluator, x[solved])
    lines.append(
        f"Look at one of them, for example {named_values(o, x[0])}, with `predict` of the problem (status of each run, "
        "prediction and sd of each measurement); narrow the bounds of the parameters, or start where the model is "
        "known to run: StartsAround(n)."
    )
    return "\n".join(lines)


def _of_solved(evaluator: Evaluator, x: np.ndarray) -> list[str]:
    """Candidates whose runs were all solved."""
    o = evaluator.objective
    each = np.asarray(jax.jit(jax.vmap(o.log_likelihoods))(x))
    prior = np.asarray(jax.jit(jax.vmap(o.log_prior))(x))
    lines = []
    if (bad := ~np.isfinite(each)).any():
        rows = np.flatnonzero(bad.any(axis=0))
        shown = ", ".join(str(r) for r in rows[:5]) + (", ..." if len(rows) > 5 else "")
        lines.append(
            f"- {int(bad.any(axis=1).sum())} candidates: all runs solved, but {len(rows)} measurements (rows {shown}) "
            "have no finite likelihood. A prediction that is zero or negative has none under log-normal noise, and "
            "none has one where its sd is zero: offset the prediction, give the noise an additive part, or leave "
            "measurements before the first dose out."
        )
    if (bad := ~np.isfinite(prior)).any():
        lines.append(f"- {int(bad.sum())} candidates: a prior has no density there; make bounds and priors agree.")
    if not lines:
        lines.append(
            f"- {len(x)} candidates: the likelihood is finite, but its gradient or information is not; look for a "
            "square root, logarithm or power at zero in the rates or the observables."
        )
    return lines
