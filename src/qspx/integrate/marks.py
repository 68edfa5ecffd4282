"""What happens at stops: boluses, resets, and the run-in to a steady state.

A steady state is found by integrating period after period, starting from the initial values, until what is still to
come is a tenth of the tolerance: with distances d_k between the states at the end of successive periods and
q = d_k / d_(k-1), that is d_k q / (1 - q). Derivatives flow through the periods, which is the derivative of the fixed
point once they have converged. The rates see the time of the period that ends with the first dose still to come.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from qspx.dose_events import ADDED_STEADY, RESET, STEADY, SubjectDoses
from qspx.integrate.controller import error_norm

CONVERGED = 0.1  # distance to the steady state, in tolerances


class RunIn(NamedTuple):
    """Where a subject is in a steady state.

    `number` is 0 outside one, else 1 + that of the dose; `final`: in the part of a period that leads to the mark;
    `later`: past the first part of the period; `previous`, `gap`: state at the end of the last period, and how far it
    was from the one before; `saved`: state before a steady state that is added to it.
    """

    number: jnp.ndarray
    final: jnp.ndarray
    later: jnp.ndarray
    previous: jnp.ndarray
    gap: jnp.ndarray
    saved: jnp.ndarray

    @classmethod
    def none(cls, y) -> RunIn:
        no = jnp.zeros((), bool)
        return cls(jnp.zeros((), jnp.int32), no, no, y, jnp.full((), jnp.inf, y.dtype), y)


class Tolerances(NamedTuple):
    rtol: float
    atol: jnp.ndarray  # (species,)


def into(species, values, n: int):
    """Sum of `values` (events,) by species, shape (n,): without a scatter, which is slow inside a loop."""
    return jnp.sum(jnp.where(species[:, None] == jnp.arange(n)[None], values[:, None], 0.0), axis=0)


def jumped(doses: SubjectDoses, t, y):
    """State after the boluses given at exactly t, added one after the other: an input is set by taking away what is
    there, which leaves just zero."""
    return y.at[doses.species].add(jnp.where(doses.start == t, doses.jump, 0.0))


def infusion(doses: SubjectDoses, t, n: int, r: RunIn | None):
    """Infusion rate on the step that starts at t, shape (species,)."""
    running = (doses.start <= t) & (t < doses.end)
    usual = into(doses.species, jnp.where(running, doses.rate, 0.0), n)
    if r is None:
        return usual
    e = jnp.maximum(r.number - 1, 0)
    times = doses.whole[e] + jnp.where(~r.later & (doses.part[e] > 0), 1.0, 0.0)
    steady = jnp.zeros(n, doses.rate.dtype).at[doses.species[e]].add(doses.rate[e] * times)
    return jnp.where(r.number > 0, steady, usual)


def next_stop(doses: SubjectDoses, stops, t, r: RunIn | None):
    """The next time to be reached exactly."""
    usual = jnp.min(jnp.where(stops > t, stops, jnp.inf))
    return usual if r is None else jnp.where(r.number > 0, _stop_of_period(doses, r), usual)


def _part_end(doses: SubjectDoses, e):
    return doses.turn[e] - doses.interval[e] + doses.part[e]


def _stop_of_period(doses: SubjectDoses, r: RunIn):
    e = jnp.maximum(r.number - 1, 0)
    last = jnp.where(r.final, doses.mark[e], doses.turn[e])
    first = ~r.later & (doses.part[e] > 0)
    return jnp.where(first, jnp.minimum(_part_end(doses, e), last), last)


def arrive(doses: SubjectDoses, t, y, r: RunIn | None, origin, tolerances: Tolerances):
    """What happens at stop t, where `y` was reached: (t, y, run-in) to go on with. `origin` is the initial state."""
    if r is None:
        return t, jumped(doses, t, y), None
    usual = _pass_marks(doses, t, y, r, origin, jnp.asarray(-1))
    steady = _in_run_in(doses, t, y, r, origin, tolerances)
    return _select(r.number > 0, steady, usual)


def _select(condition, yes, no):
    (t1, y1, r1), (t0, y0, r0) = yes, no
    run_in = RunIn(*(jnp.where(condition, a, b) for a, b in zip(r1, r0, strict=True)))
    return jnp.where(condition, t1, t0), jnp.where(condition, y1, y0), run_in


def _pass_marks(doses: SubjectDoses, t, y, r: RunIn, origin, after):
    """Resets and steady states at t from event `after` + 1 on, then the boluses."""
    event = jnp.arange(len(doses.mark))
    here = (doses.mark == t) & (event > after)
    y = jnp.where((here & (doses.kind == RESET)).any(), origin, y)
    steady = here & ((doses.kind == STEADY) | (doses.kind == ADDED_STEADY))
    e = jnp.argmax(steady)
    entered = RunIn(
        (e + 1).astype(jnp.int32), jnp.zeros((), bool), jnp.zeros((), bool), origin, jnp.full_like(r.gap, jnp.inf), y
    )
    begin = (doses.turn[e] - doses.interval[e], origin.at[doses.species[e]].add(doses.jump[e]), entered)
    usual = (t, jumped(doses, t, y), r._replace(number=jnp.zeros_like(r.number)))
    return _select(steady.any(), begin, usual)


def _in_run_in(doses: SubjectDoses, t, y, r: RunIn, origin, tolerances: Tolerances):
    e = jnp.maximum(r.number - 1, 0)
    gap = lax.stop_gradient(error_norm(y - r.previous, y, r.previous, *tolerances))
    q = gap / r.gap
    still = jnp.where(q < 1, gap * q / (1 - q), gap)
    converged = (gap == 0) | (jnp.isfinite(r.gap) & (still <= CONVERGED))
    at_turn = ~r.final & (t == doses.turn[e])
    arrived = (r.final & (t == doses.mark[e])) | (at_turn & converged & (doses.turn[e] == doses.mark[e]))
    at_part = ~r.later & (doses.part[e] > 0) & (t == _part_end(doses, e)) & ~at_turn

    begin = doses.turn[e] - doses.interval[e]
    again = r._replace(
        final=converged, later=jnp.zeros((), bool), previous=lax.stop_gradient(y), gap=jnp.where(converged, r.gap, gap)
    )
    period = _select(
        at_part,
        (t, y, r._replace(later=jnp.ones((), bool))),
        (begin, y.at[doses.species[e]].add(doses.jump[e]), again),
    )
    found = jnp.where(doses.kind[e] == ADDED_STEADY, r.saved + y - origin, y)
    return _select(arrived, _pass_marks(doses, doses.mark[e], found, r, origin, e), period)
