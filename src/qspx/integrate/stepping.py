"""The adaptive run of one subject: doses, samples and endpoints inside a single loop.

The loop advances from stop to stop (dose times, ends of infusions, edges of summary windows), each reached exactly. The
method is any diffrax adaptive solver; only its `step` and its continuous output are used, so that state jumps cost no
restart of an outer solve. Step sizes carry no derivative, times do: derivatives with respect to lag, duration and dose
times flow through the steps that end at a stop.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import diffrax
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jax import lax

from qspx._status import Status
from qspx.dose_events import DoseEvents, subject_doses
from qspx.integrate.base import SolveRequest
from qspx.integrate.controller import error_norm, first_step, step_factor
from qspx.integrate.crossings import Thresholds
from qspx.integrate.endpoints import Endpoints, update
from qspx.integrate.lowered_term import model_term
from qspx.integrate.marks import RunIn, Tolerances, arrive, infusion, next_stop
from qspx.integrate.sampling import all_at_once, one_by_one
from qspx.integrate.tolerances import AtolOf, absolute_tolerances
from qspx.integrate.zero_safe import kept_or_constant, plain_step, zero_safe_step
from qspx.summaries import OF_THRESHOLD


class Settings(NamedTuple):
    """Numerical settings of a run."""

    solver: Any
    rtol: float
    atol: float
    max_steps: int
    reverse: bool
    atol_of: AtolOf = ()


class _State(NamedTuple):
    t: jnp.ndarray
    y: jnp.ndarray
    h: jnp.ndarray
    saved: jnp.ndarray
    sampled: jnp.ndarray
    ends: Endpoints
    status: jnp.ndarray
    steps: jnp.ndarray
    run_in: RunIn | None


def run(request: SolveRequest, settings: Settings, theta, events: DoseEvents, times=None, before=None):
    """One subject, sampled at `times`, and there `before` doses or after them (default: as the request says). Returns
    (values (times, observables), summaries (summaries,), status, steps, end time)."""
    m, solver = request.model, settings.solver
    times = jnp.asarray(request.times if times is None else times, theta.dtype)
    before = jnp.asarray(request.before if before is None else before, bool)
    windows = jnp.asarray(request.windows, theta.dtype)
    wanted = tuple(dict.fromkeys(s.observable for s in request.summaries))
    columns = jnp.array([wanted.index(s.observable) for s in request.summaries], dtype=int)
    kinds = {s.kind for s in request.summaries}
    thresholds = Thresholds.of(request, theta)
    t0, t1 = jnp.asarray(request.t0, theta.dtype), jnp.asarray(request.t1, theta.dtype)
    n, span = len(m.species), request.t1 - request.t0
    doses = subject_doses(m, theta, events, jnp)
    stops = jnp.concatenate([doses.start, doses.end, doses.mark, windows.reshape(-1), t1[None]])
    origin = m.initial_vector(theta)
    rtol, atol = settings.rtol, jnp.asarray(absolute_tolerances(m, settings.atol, settings.atol_of), theta.dtype)
    tolerances = Tolerances(rtol, atol)
    term = model_term(m, theta)
    order = solver.error_order(term)
    step, sample = (zero_safe_step, all_at_once) if settings.reverse else (plain_step, one_by_one)
    unsigned = jnp.array([not sp.signed for sp in m.species.values()])

    def begin() -> _State:
        t, y, run_in = arrive(doses, t0, origin, RunIn.none(origin) if request.marks else None, origin, tolerances)
        dy = term.vf(t, y, (theta, infusion(doses, t, n, run_in)))
        finite = jnp.isfinite(theta).all() & jnp.isfinite(y).all() & jnp.isfinite(dy).all()
        finite &= (doses.start >= t0).all()  # a negative lag would lose the dose
        early = (times == t0) & before
        saved = jnp.where(early[:, None], origin, jnp.zeros((len(request.times), n), theta.dtype))
        status = jnp.where(finite, Status.OK, Status.NONFINITE).astype(jnp.int32)
        h = first_step(y, dy, span, rtol, atol)
        ends, steps = Endpoints.empty(len(columns), theta.dtype), jnp.zeros((), jnp.int32)
        return _State(t, y, h, saved, early.sum(dtype=jnp.int32), ends, status, steps, run_in)

    def active(s: _State):
        return (s.status == Status.OK) & ((s.t < t1) | ~_outside(s.run_in))

    def advance(s: _State) -> _State:
        stop = next_stop(doses, stops, s.t, s.run_in)
        reaches = s.t + 1.01 * s.h >= stop
        # a finished lane that waits for others takes a step of no length, so that it can add nothing to a derivative
        end = jnp.where(active(s), jnp.where(reaches, stop, s.t + s.h), s.t)
        args = (theta, infusion(doses, s.t, n, s.run_in))
        y1, y_error, dense, result = step(term, solver, s.t, end, s.y, args)
        norm = lax.stop_gradient(error_norm(y_error, s.y, y1, rtol, atol))
        norm = jnp.where(jnp.isfinite(y1).all(), norm, jnp.inf)
        # a long step over a sharp binding layer can land on a branch with negative concentrations: never accept one
        below = 10 * (atol + rtol * jnp.abs(s.y))
        norm = jnp.where((unsigned & (y1 < -below)).any(), jnp.maximum(norm, 10.0), norm)
        accept = (norm <= 1.0) & (result == diffrax.RESULTS.successful)
        if settings.reverse:
            y1, dense = kept_or_constant(accept, s.y, y1, dense)
        curve = solver.interpolation_cls(t0=s.t, t1=end, **dense)

        shown = accept & _outside(s.run_in)
        ends = s.ends
        if request.summaries:
            ends = update(
                s.ends,
                lambda t: m.observables_vector(t, curve.evaluate(t), theta, wanted),
                s.t,
                end,
                shown & (windows[:, 0] <= s.t) & (end <= windows[:, 1]),
                shown & (windows[:, 1] == end),
                columns,
                bool(kinds & {"max", "tmax", "min"}),
                "tmax" in kinds,
                bool(kinds & {"auc", "average"}),
                thresholds,
            )

        landed = arrive(doses, end, y1, s.run_in, origin, tolerances)
        there = ((landed[0], end, s.t), (landed[1], y1, s.y))
        t, y = (jnp.where(accept, jnp.where(reaches, at_stop, new), old) for at_stop, new, old in there)
        run_in = jax.tree.map(lambda new, old: jnp.where(accept & reaches, new, old), landed[2], s.run_in)
        arrived = accept & ~_outside(s.run_in) & _outside(run_in)

        def due(time, i):
            at_end = (time == end) & (before[i] | _outside(run_in))
            return (shown & ((time < end) | at_end)) | (arrived & (time == t))

        def value(time, i):
            return jnp.where(shown & ((time < end) | before[i]), curve.evaluate(jnp.minimum(time, end)), y)

        saved, sampled = sample(s.saved, s.sampled, times, due, value, s.t)
        factor = step_factor(jnp.where(result == diffrax.RESULTS.successful, norm, jnp.inf), order)
        used = lax.stop_gradient(end - s.t)
        kept = jnp.where(reaches, jnp.maximum(s.h, used * factor), used * factor)
        h = jnp.where(accept, kept, used * jnp.minimum(factor, 0.9))
        edge = accept & ((doses.start == end) | (doses.end == end) | (doses.mark == end)).any()
        edge = edge | (accept & reaches & ~_outside(s.run_in))
        dy = term.vf(t, y, (theta, infusion(doses, t, n, run_in)))
        h = jnp.where(edge, first_step(y, dy, span, rtol, atol), h)
        steps = s.steps + 1
        status = _status(norm, h, t, steps, run_in)
        return _State(t, y, lax.stop_gradient(h), saved, sampled, ends, status, steps, run_in)

    def _status(norm, h, t, steps, run_in):
        tiny = h < 16 * jnp.finfo(theta.dtype).eps * jnp.maximum(jnp.abs(t), 1e-6 * span)
        status = jnp.where(steps >= settings.max_steps, Status.MAX_STEPS, Status.OK)
        failed = jnp.where(jnp.isfinite(norm), Status.DT_MIN, Status.NONFINITE)
        return jnp.where(tiny, failed, jnp.where((t >= t1) & _outside(run_in), Status.OK, status)).astype(jnp.int32)

    if settings.reverse:
        final = eqxi.while_loop(active, advance, begin(), max_steps=settings.max_steps, kind="checkpointed")
    else:
        final = lax.while_loop(active, advance, begin())
    values = jax.vmap(lambda t, y: m.observables_vector(t, y, theta, request.observables))(times, final.saved)
    values = jnp.where(jnp.isfinite(times)[:, None], values, 0.0)
    values, *rest = _nan_where_failed(values, _summaries(request, final.ends, theta.dtype), final)
    return jnp.where(jnp.isfinite(times)[:, None], values, jnp.nan), *rest


def _outside(run_in: RunIn | None):
    """Whether the subject is outside any run-in to a steady state."""
    return jnp.ones((), bool) if run_in is None else run_in.number == 0


def _summaries(request: SolveRequest, ends: Endpoints, dtype):
    if not request.summaries:
        return ends.last
    pick = {"max": ends.largest, "tmax": ends.largest_at, "min": ends.smallest, "auc": ends.area, "last": ends.last}
    pick |= {"average": ends.area} | dict.fromkeys(OF_THRESHOLD, ends.beyond)
    found = jnp.stack([pick[s.kind][i] for i, s in enumerate(request.summaries)])
    widths = jnp.asarray(request.windows[:, 1] - request.windows[:, 0], dtype)
    return found / jnp.where(jnp.array([s.per_window for s in request.summaries]), widths, 1.0)


def _nan_where_failed(values, summaries, final: _State):
    """The one place where the numbers of a failed subject become NaN. A finite state whose observables are not finite
    is a failure as well."""
    finite = jnp.isfinite(values).all() & jnp.isfinite(summaries).all()
    status = jnp.where((final.status == Status.OK) & ~finite, Status.NONFINITE, final.status)
    ok = status == Status.OK
    return (jnp.where(ok, values, jnp.nan), jnp.where(ok, summaries, jnp.nan), status, final.steps, final.t)
