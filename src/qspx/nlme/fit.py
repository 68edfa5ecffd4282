"""`fit_population`: the verb of population fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from qspx import progress as shown
from qspx._checks import numbers
from qspx._errors import CalibrationError
from qspx._precision import require_x64
from qspx._status import STATUS_ADVICE, Status
from qspx.nlme.base import AbstractMethod, Evaluated, PopulationObjective
from qspx.nlme.checks import of_kind, positive, whole
from qspx.nlme.focei import FOCEI
from qspx.nlme.population_fit import PopulationFit
from qspx.nlme.problem import PopulationProblem
from qspx.nlme.search import Search, minimise
from qspx.nlme.uncertainty import covariance_of

TRIES = 4  # searches for every individual's random effects at the start and the end, besides the one that goes on
ROUNDS = 4  # how often a search goes on because one of them found something better


def fit_population(
    problem: PopulationProblem,
    method: AbstractMethod | None = None,
    *,
    starts: int = 1,
    key: int = 0,
    x: np.ndarray | None = None,
    tolerance: float = 1e-7,
    most: int = 500,
    uncertainty: bool = True,
    progress: bool | None = None,
) -> PopulationFit:
    """Typical values, covariate effects, residual errors and the covariance of random effects that make the data most
    likely.

    Args:
        problem: what is fitted to what.
        method: approximation of the likelihood; default `FOCEI()`.
        starts: number of searches: one from `x`, the others from points around it (sd 0.5 on logarithms, a tenth of the
            width between the bounds elsewhere).
        key: seed of these points.
        x: coordinates where the first search starts; default `problem.start`.
        tolerance: decrease of the objective, promised by its quadratic model, below which a search ends.
        most: evaluations of the objective per search.
        uncertainty: whether standard errors are computed, by differences of the gradient: two evaluations per
            coordinate.
        progress: show how many evaluations are done; None: a bar on a terminal, a line now and then elsewhere.

    Raises:
        CalibrationError: if an individual cannot be solved at any start; the message names it.
    """
    require_x64()
    of_kind(problem, PopulationProblem, "problem", "Make one from data and a model: PopulationProblem(data, ...).")
    if method is not None:
        of_kind(method, AbstractMethod, "method", "For example FOCEI(), or None.")
    for name, value, least in (("starts", starts, 1), ("key", key, 0), ("most", most, 1)):
        whole(value, least, name)
    positive(tolerance, "tolerance")
    objective = PopulationObjective(problem, method or FOCEI())
    centre = problem.start if x is None else np.array(numbers(x, "x", CalibrationError))
    points = _around(problem, centre, starts, key)
    searches: list[Search] = []
    label = f"{objective.method.name}, evaluations (at most {starts * most})"
    with shown.report(label, None, show=progress) as reporter:
        for point in points:
            searches.append(_searched(objective, point, tolerance, most, reporter.advance))
    best = min(searches, key=lambda s: s.end.value)
    if not np.isfinite(best.end.value):
        raise CalibrationError(_unsolved(problem, searches[0].end))
    matrices = covariance_of(objective, best.end) if uncertainty else None
    return PopulationFit(objective, best.end, tuple(searches), matrices)


def _searched(
    objective: PopulationObjective, point: np.ndarray, tolerance: float, most: int, report: Callable[[], None]
) -> Search:
    """One search. Where an individual turns out to have better random effects elsewhere, it goes on from there."""
    problem = objective.problem
    z, _ = objective.best_of_several(point, np.zeros((len(problem.data), len(problem.omega))), TRIES)
    now, spent = objective(point, z), 1
    search = Search(point, now, 1, np.inf, False)
    for key in range(ROUNDS):
        if not np.isfinite(now.value):
            break
        search = minimise(objective, point, now, tolerance=tolerance, most=most - spent + 1, report=report)
        spent += search.evaluations
        z, moved = objective.best_of_several(search.end.x, search.end.z, TRIES, key + 1)
        search = dataclasses.replace(search, evaluations=spent)
        if not moved.any() or spent >= most:
            break
        now = objective(search.end.x, z)
        search = dataclasses.replace(search, end=now, converged=False)  # unless the next round says otherwise
    return search


def _around(problem: PopulationProblem, centre: np.ndarray, starts: int, key: int) -> np.ndarray:
    """(starts, coordinates), the first being the centre."""
    logarithmic = [e.scale in ("log", "logit") for e in problem.estimated] + [True] * len(problem.omega.free)
    width = problem.box[:, 1] - problem.box[:, 0]
    sd = np.where(logarithmic, 0.5, 0.1 * width)
    shift = np.random.default_rng(key).normal(size=(starts, len(centre))) * sd
    shift[0] = 0.0
    return np.clip(centre + shift, problem.box[:, 0], problem.box[:, 1])


def _unsolved(problem: PopulationProblem, first: Evaluated) -> str:
    failed = np.flatnonzero(first.status != Status.OK)
    status = [Status(int(s)) for s in first.status[failed]]
    named = ", ".join(f"{problem.data.ids[i]} ({s.name})" for i, s in list(zip(failed, status, strict=True))[:8])
    advice = [f"{s.name}: {STATUS_ADVICE[s]}." for s in dict.fromkeys(status)]
    if Status.NONFINITE in status:
        advice.append(
            "NONFINITE is also a measurement without a likelihood: a prediction of zero under a proportional error or "
            "on a logarithm."
        )
    return (
        f"no search could start: at the first start {len(failed)} of {len(problem.data)} individuals have no finite "
        f"likelihood: {named}{', ...' if len(failed) > 8 else ''}. {' '.join(advice)} Or start elsewhere (`value` of "
        "Estimated, `sd` of RandomEffect)."
    )
