"""`fit_population`: the verb of population fits.

points ──each: descents, between which random effects are searched afresh──► best ──differences of gradients──► errors
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path

import numpy as np

from qspx import progress as shown
from qspx._checks import numbers
from qspx._checks import shown as short
from qspx._errors import CalibrationError
from qspx._precision import require_x64
from qspx._status import STATUS_ADVICE, Status
from qspx.calibrate.fit_store import FitStore
from qspx.nlme.base import AbstractMethod, Evaluated, PopulationObjective
from qspx.nlme.checks import of_kind, positive, whole
from qspx.nlme.fit_run import PopulationRun
from qspx.nlme.focei import FOCEI
from qspx.nlme.identity import identity
from qspx.nlme.population_fit import PopulationFit
from qspx.nlme.problem import PopulationProblem
from qspx.nlme.search import advance, begin
from qspx.nlme.uncertainty import covariance_of


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
    out: str | Path | None = None,
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
        out: directory to save to after every step; the same call resumes what was killed there, with the same numbers,
            and returns at once what was done there.
        progress: show how many evaluations are done; None: a bar on a terminal, a line now and then elsewhere.

    Raises:
        CalibrationError: if an individual cannot be solved at any start; the message names it.
        ConfigError: if `out` holds another fit, or files that are damaged.
    """
    require_x64()
    of_kind(problem, PopulationProblem, "problem", "Make one from data and a model: PopulationProblem(data, ...).")
    if method is not None:
        of_kind(method, AbstractMethod, "method", "For example FOCEI(), or None.")
    for name, value, least in (("starts", starts, 1), ("key", key, 0), ("most", most, 1)):
        whole(value, least, name)
    positive(tolerance, "tolerance")
    if out is not None and not isinstance(out, str | Path):
        raise CalibrationError(f"Argument `out` must be a path, or None to save nothing, but {short(out)} was given.")
    objective = PopulationObjective(problem, method or FOCEI())
    centre = problem.start if x is None else np.array(numbers(x, "x", CalibrationError))
    points = _around(problem, centre, starts, key)
    with contextlib.ExitStack() as stack:
        store = None
        if out is not None:
            asked = identity(objective) | {"points": points.tolist(), "tolerance": tolerance, "most": most}
            store = stack.enter_context(FitStore(out, asked, "population fit"))
        saved = store.read() if store else None
        run = _searched(objective, points, tolerance, most, store, saved, progress)
        if uncertainty and run.matrices is None:
            with shown.report("standard errors, coordinates", len(centre), show=progress) as reporter:
                run = dataclasses.replace(run, matrices=covariance_of(objective, run.best.end, reporter.advance))
        if store:
            store.write(run.arrays())
            store.finish({})
    return PopulationFit(objective, run.best.end, run.searches, run.matrices if uncertainty else None)


def _searched(
    objective: PopulationObjective,
    points: np.ndarray,
    tolerance: float,
    most: int,
    store: FitStore | None,
    saved: dict[str, np.ndarray] | None,
    progress: bool | None,
) -> PopulationRun:
    """A search from each of the points (starts, coordinates), going on from what was saved."""
    run = PopulationRun() if saved is None else PopulationRun.of_arrays(saved)
    label = f"{objective.method.name}, evaluations (at most {len(points) * most})"
    try:
        with shown.report(label, None, run.evaluations, progress) as reporter:
            while run.running or len(run.searches) < len(points):
                if run.running:
                    last = run.searches[-1]
                    run = run.moved(advance(objective, last, tolerance=tolerance, most=most, report=reporter.advance))
                else:
                    search = begin(objective, points[len(run.searches)])
                    run = dataclasses.replace(run, searches=(*run.searches, search))
                if store:
                    store.write(run.arrays())
    except KeyboardInterrupt:
        _say_where_it_stands(run, len(points), store)
        raise
    if not np.isfinite(run.best.end.value):
        raise CalibrationError(_unsolved(objective.problem, run.searches[0].end))
    return run


def _say_where_it_stands(run: PopulationRun, starts: int, store: FitStore | None) -> None:
    done = len(run.searches) - run.running
    best = f", best objective value {run.best.end.value:.6g}" if run.searches else ""
    where = f"{store.path} holds it; the same call resumes." if store else "Give `out` to be able to resume."
    print(f"\ninterrupted: {done} of {starts} searches are done{best}. {where}", file=sys.stderr)


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
