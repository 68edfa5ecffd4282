"""Maximise a log-posterior from many starts.

candidates ──finite ones──► starts ──method.advance, all running ones together──► best place of every start ──► Fit
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from qspx._checks import number, require_kind, shown
from qspx._errors import CalibrationError
from qspx._precision import require_x64
from qspx._random import KeyLike, as_key
from qspx.calibrate.fit_result import Fit
from qspx.calibrate.fit_run import FitRun
from qspx.calibrate.fit_status import FitStatus
from qspx.calibrate.fit_store import FitStore
from qspx.calibrate.identity import identity
from qspx.calibrate.kinks import across_kinks, has_kinks
from qspx.calibrate.no_start import why_no_start
from qspx.calibrate.objective import Objective
from qspx.calibrate.problem_of import objective_of
from qspx.calibrate.search import AbstractMethod, Evaluator, Search
from qspx.calibrate.starts import AbstractStarts, LatinHypercubeStarts
from qspx.calibrate.trust_region import TrustRegion
from qspx.progress import report
from qspx.provenance import environment


def fit(
    problem: Any,
    *,
    key: KeyLike,
    starts: AbstractStarts | int = 20,
    method: AbstractMethod | None = None,
    out: str | Path | None = None,
    save_every: int = 10,
    progress: bool | None = None,
) -> Fit:
    """Maximum of the log-posterior over the box of the bounds, searched from many starts.

    All starts advance together, in batches that shrink as searches end. Each has a status in `Fit.starts`; those that
    fail are counted and shown.

    Args:
        problem: a `CalibrationProblem`, or an `Objective`.
        key: seed of the starts.
        starts: how they are drawn; a number means `LatinHypercubeStarts(number)`.
        method: how each is searched; `TrustRegion()` by default.
        out: directory to save to; the same call resumes what was killed there, with the same numbers.
        save_every: after how many steps of all running starts.
        progress: True, False, or None for a bar on a terminal only.

    Raises:
        CalibrationError: if not one candidate has a finite log-posterior; it says which runs fail and how.
        ConfigError: if `out` holds another fit.
    """
    require_x64()
    objective = objective_of(problem)
    method = TrustRegion() if method is None else method
    require_kind(method, AbstractMethod, "method", "For example TrustRegion().", CalibrationError)
    if out is not None and not isinstance(out, str | Path):
        raise CalibrationError(f"Argument `out` must be a path, or None to save nothing, but {shown(out)} was given.")
    drawn = starts if isinstance(starts, AbstractStarts) else LatinHypercubeStarts(starts)
    if number(save_every, "save_every", CalibrationError) < 1:
        raise CalibrationError(f"Argument `save_every` must be at least 1, but is {save_every}.")
    seed = tuple(int(k) for k in np.asarray(jax.random.key_data(as_key(key))).ravel())
    asked = identity(objective) | {"starts": drawn.settings, "method": method.settings, "seed": list(seed)}
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(FitStore(out, asked)) if out is not None else None
        began = time.monotonic()
        run = _run(objective, drawn, method, seed, store, save_every, progress)
        details = {"seconds": round(time.monotonic() - began, 3)}
        manifest = {"identity": asked, "environment": environment(), **details}
        if store:
            manifest = store.finish(details)
    return Fit(objective, run, manifest)


def _run(
    objective: Objective,
    starts: AbstractStarts,
    method: AbstractMethod,
    seed: tuple[int, ...],
    store: FitStore | None,
    save_every: int,
    progress: bool | None,
) -> FitRun:
    evaluator = Evaluator(objective)
    saved = store.read() if store else None
    run = _begin(evaluator, starts, method, seed) if saved is None else FitRun.of_arrays(saved)
    if store and saved is None:
        store.write(run.arrays())
    steps = len(run.history) - 1
    done = int((~run.search.running).sum())
    try:
        with report("fitting", len(run.start_value), done, progress) as bar:
            while run.search.running.any():
                before = int(run.search.running.sum())
                run, steps = _step(run, evaluator, method), steps + 1
                bar.advance(before - int(run.search.running.sum()))
                if store and (steps % save_every == 0 or not run.search.running.any()):
                    store.write(run.arrays())
        if has_kinks(objective):
            run = _across_kinks(run, evaluator)
            if store:
                store.write(run.arrays())
    except KeyboardInterrupt:
        if store:
            store.write(run.arrays())
        _say_where_it_stands(run, store)
        raise
    return run


def _begin(evaluator: Evaluator, starts: AbstractStarts, method: AbstractMethod, seed: tuple[int, ...]) -> FitRun:
    """Evaluate candidates until there are enough finite ones."""
    candidates, n = starts.candidates(evaluator.objective, seed), starts.n
    place, found = candidates[:n].copy(), evaluator.evaluations(candidates[:n])
    tried, calls = n, np.ones(n, dtype=np.int64)
    while not found.ok.all() and tried < len(candidates):
        failed = np.flatnonzero(~found.ok)
        more = candidates[tried : tried + len(failed)]
        failed, tried = failed[: len(more)], tried + len(more)
        place[failed], calls[failed] = more, calls[failed] + 1
        again = evaluator.evaluations(more)
        for whole, part in zip(found, again, strict=True):
            whole[failed] = part
    if not found.ok.any():
        raise CalibrationError(why_no_start(evaluator, candidates[:tried]))
    search = Search(
        place,
        found.value,
        found.gradient,
        np.where(found.ok, FitStatus.RUNNING, FitStatus.FAILED_START),
        np.zeros(n, dtype=np.int64),
        calls,
        method.begin(evaluator, place, found),
    )
    return FitRun(search, found.value.copy(), found.value[None].copy(), tried - n)


def _step(run: FitRun, evaluator: Evaluator, method: AbstractMethod) -> FitRun:
    running = np.flatnonzero(run.search.running)
    return _moved(run, running, method.advance(evaluator, run.search.rows(running)))


def _across_kinks(run: FitRun, evaluator: Evaluator) -> FitRun:
    """With the starts at a kink that stand beside one: a search that a kink stops either notices, or takes it that
    nothing gets better."""
    beside = np.flatnonzero(np.isin(run.search.status, (FitStatus.STALLED, FitStatus.VALUE)))
    if not beside.size:
        return run
    found = across_kinks(evaluator, run.search.rows(beside))
    there = np.flatnonzero(found.status == FitStatus.AT_KINK)
    return _moved(run, beside[there], found.rows(there)) if there.size else run


def _moved(run: FitRun, rows: np.ndarray, found: Search) -> FitRun:
    search = run.search.merged(rows, found)
    return dataclasses.replace(run, search=search, history=np.concatenate([run.history, search.value[None]]))


def _say_where_it_stands(run: FitRun, store: FitStore | None) -> None:
    done, n = int((~run.search.running).sum()), len(run.start_value)
    best = run.search.value.max()
    where = f"{store.path} holds it; the same call resumes." if store else "Give `out` to be able to resume."
    print(f"\ninterrupted: {done} of {n} starts are done, best log-posterior {best:.6g}. {where}", file=sys.stderr)
