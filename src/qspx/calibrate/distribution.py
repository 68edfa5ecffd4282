"""A calibrated set of parameters as a distribution, for `sample_cohort` and `compare_doses`."""

from __future__ import annotations

import numpy as np

from qspx._errors import CalibrationError
from qspx.calibrate.draws import of_model
from qspx.calibrate.information import Information, fisher_information
from qspx.calibrate.objective import Objective
from qspx.distributions import Joint, LogitNormal, LogNormal, Normal
from qspx.distributions.base import AbstractDistribution

_LARGEST = 1 - 1e-9


def distribution(objective: Objective, x: np.ndarray, *, run: int | None = None) -> Joint:
    """How well the estimated parameters of the model are known, as a joint distribution: normal on the estimation scale
    with the covariance of the Fisher information (log-normal, normal and logit-normal marginals).

    This is uncertainty about one system. It is the `distribution` of `fih.TypicalValueUncertainty`, and may be sampled
    by `sample_cohort` to see what the uncertainty does; it is not the spread between patients, which a population fit
    (`qspx.nlme`) estimates. Unlike draws of Laplace's approximation it is not cut off at the bounds. Estimated values
    that are no parameter of the model (noise, scaling) are left out, and those at a bound are taken as known. Values
    that the calibration held fixed are the model's own for `sample_cohort`, unless given there as `parameters`.

    Args:
        objective: the log-posterior.
        x: the optimum, estimation scale, shape (estimated,).
        run: the run of the calibration whose parameters are meant, where runs differ.

    Raises:
        CalibrationError: where a parameter is not identifiable, or none of the model's was estimated.
    """
    info = fisher_information(objective, x)
    model = objective.phases[-1].model
    row, _ = of_model(objective, run)
    kept = {name: int(i) for name, i in zip(model.parameters, row, strict=True) if i >= 0 and info.free[i]}
    if not kept:
        raise CalibrationError(f"every estimated parameter of {model.name} is at a bound, so there is no distribution.")
    if len(set(kept.values())) < len(kept):
        raise CalibrationError(
            f"several of {', '.join(kept)} are one estimated value, and parameters that are always equal have no joint "
            "density. Use draws: `laplace(...).sample(...).cohort()`."
        )
    if lost := [name for name, i in kept.items() if not info.determined[i]]:
        raise CalibrationError(
            f"there is no distribution of {', '.join(lost)}: not identifiable from these data (see `identifiability`). "
            "Fix one of them, give it a prior, or use draws of `sample_posterior`, where the bounds decide."
        )
    names, correlation = list(kept), info.correlation
    pairs = {
        (a, b): float(np.clip(correlation[kept[a], kept[b]], -_LARGEST, _LARGEST))
        for k, a in enumerate(names)
        for b in names[k + 1 :]
        if abs(correlation[kept[a], kept[b]]) > 1e-12
    }
    return Joint({name: _marginal(info, i) for name, i in kept.items()}, pairs)


def _marginal(info: Information, i: int) -> AbstractDistribution:
    e, value, se = info.objective.estimated[i], float(np.asarray(info.objective.natural(info.x))[i]), float(info.se[i])
    if e.scale == "lin":
        return Normal(value, se)
    if e.scale == "logit":
        return LogitNormal(value, se, *e.bounds)
    return LogNormal.from_omega(value, se * (np.log(10.0) if e.scale == "log10" else 1.0))
