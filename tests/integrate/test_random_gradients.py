"""Reverse gradients of random models under random regimens, against central differences.

A random weighted sum of samples and endpoints is differentiated by all parameters (through the rates, the initial
values and the doses) and by the amounts and times of doses. The differences are of fourth order in steps of 1e-3 of a
parameter, between solves at 1e-10: their error is about 1e-12 from the order and 1e-10 / 1e-3 from the solves, and more
where a solve adds up errors or a derivative is large, so that 1e-5 of the largest component is asked for. Rates are
smooth, and no stop falls on another or on a sample, where a sum of samples has a kink or a jump.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as hs
from random_doses import END, events_of, regimens
from random_models import models, subjects
from test_random_models import examples

from qspx import AUC, Average, Last, Max, Min, Regimen, TimeAbove
from qspx._status import Status
from qspx.dose_events import DoseEvents, SubjectDoses, subject_doses
from qspx.integrate.base import Samples, SolveRequest
from qspx.integrate.loop_arrays import solution
from qspx.integrate.native_call import NativeSettings, forward
from qspx.integrate.reverse_call import pulled_back

# beartype looks at random elements of what it checks while a strategy builds a model
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

SETTINGS = NativeSettings(1e-10, 1e-13, 100_000, None, 1)
TIMES = (0.437, 1.913, 3.371, 5.819, 8.273, 9.917)
FIELDS = ("start", "end", "jump", "rate", "turn", "part")  # what doses have cotangents of
STEP = 1e-3
APART = 0.02  # between stops and samples: far more than the steps in time
OFFSETS = (2, 1, -1, -2)
WEIGHTS = np.array([-1, 8, -8, 1]) / 12  # of values at the offsets, for a derivative


@hs.composite
def losses(draw):
    """(request, parameters, events, weights of the samples, weights of the endpoints)."""
    steady = draw(hs.booleans())
    case = draw(models(steady, smooth=True))
    regimen = draw(regimens(case, steady, most=3))
    # off the grid, each dose by its own, so that nothing coincides
    shift = [0.0371 + 0.0713 * i for i in range(len(regimen.doses))]
    doses = [dataclasses.replace(d, at=d.at + s) for d, s in zip(regimen.doses, shift, strict=True)]
    regimen = Regimen(tuple(doses), "day", tuple(t - 0.1131 for t in regimen.resets))
    names = list(case.model.outputs)
    first, last = names[-1], names[0]
    summaries = (AUC(first), Last(last, 0.0, 7.131), Average(last, 1.013, 6.057), TimeAbove(first, 0.31))
    # in windows shorter than any interval: peaks of one height in every interval have no derivative together
    summaries += (Max(first, 3.513, 3.967), Min(first, 5.113, 5.583), Max(last, 8.043, 8.501))
    request = SolveRequest(case.model, TIMES, tuple(names), summaries, 0.0, END, marks=regimen.has_marks)
    theta = subjects(case.model, 2, draw(hs.integers(0, 2**16)))[1:]
    rng = np.random.default_rng(draw(hs.integers(0, 2**16)))
    weights = rng.standard_normal((len(TIMES), len(names))), rng.standard_normal(len(summaries))
    return request, theta[0], events_of(case, [regimen], theta), *weights


def stops_lie_apart(request: SolveRequest, doses: SubjectDoses) -> bool:
    """Doses of one rhythm coincide with themselves only."""
    found = np.concatenate([np.ravel(x) for x in (doses.start, doses.end, doses.mark)])
    found = np.unique(np.concatenate([found[np.isfinite(found)], TIMES, np.ravel(request.windows)]))
    return bool((np.diff(found[(found > 0) & (found < END)]) > APART).all())


def check_gradient(loss) -> None:
    request, theta, events, on_values, on_summaries = loss
    model, n = request.model, len(events.time[0])
    # times of marks are no variables: a regimen says them, and nothing flows into them
    free = (events.kind[0] == 0) & (events.back[0] == 0) & ~_has_marks(events) & np.isfinite(events.time[0])
    scale = np.concatenate([np.where(theta == 0, 0.1, np.abs(theta)), np.maximum(events.amount[0], 0.1), np.ones(n)])
    variables = np.flatnonzero(np.concatenate([np.ones(len(theta), bool), events.amount[0] > 0, free]))

    def doses_of(x, xp=np):
        """x: parameters, amounts, times of the doses, (variables,) or (rows, variables)."""
        p = len(theta)
        given = DoseEvents(*(field[0] if x.ndim == 1 else np.broadcast_to(field, (len(x), n)) for field in events))
        return subject_doses(model, x[..., :p], given._replace(amount=x[..., p : p + n], time=x[..., p + n :]), xp)

    def solved(xs: np.ndarray):
        thetas, doses, samples = xs[:, : len(theta)], doses_of(xs), Samples.common(request, len(xs))
        return thetas, doses, samples, forward(request, SETTINGS, thetas, doses, samples)

    def through_doses(x):
        doses = doses_of(x, jnp)
        return sum(jnp.vdot(bar, getattr(doses, k)) for k, bar in zip(FIELDS, bars, strict=True))

    x0 = np.concatenate([theta, events.amount[0], events.time[0]])
    assume(stops_lie_apart(request, doses_of(x0)))
    thetas, doses, samples, written = solved(x0[None])
    assert written["status"][0] == Status.OK
    found = pulled_back(
        request, SETTINGS, thetas, doses, samples, written["records"], written["status"], on_values[None],
        on_summaries[None],
    )  # fmt: skip
    bars = [np.where(np.isfinite(getattr(doses, k)[0]), found[f"{k}_bar"][0], 0.0) for k in FIELDS]
    gradient = np.array(jax.jit(jax.grad(through_doses))(jnp.asarray(x0)))
    gradient[: len(theta)] += found["theta_bar"][0]

    steps = np.zeros((len(variables), len(OFFSETS), len(x0)))
    for row, k in enumerate(variables):
        steps[row, :, k] = STEP * scale[k] * np.array(OFFSETS)
    *_, samples, written = solved((x0 + steps).reshape(-1, len(x0)))
    assert (written["status"] == Status.OK).all()
    results = solution(request, samples, written)
    sums = np.einsum("rto,to->r", results.values, on_values) + results.summaries @ on_summaries
    expected = sums.reshape(len(variables), -1) @ WEIGHTS / (STEP * scale[variables])
    # each component by the scale of its variable, so that all say how far the sum moves
    ours, theirs = gradient[variables] * scale[variables], expected * scale[variables]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max() + 1e-8)


def _has_marks(events: DoseEvents) -> bool:
    return bool((events.kind > 0).any())


@examples(3)
@given(losses())
def test_reverse_gradients_are_those_of_central_differences(loss):
    check_gradient(loss)


@pytest.mark.slow
@examples(100)
@given(losses())
def test_reverse_gradients_are_those_of_central_differences_often(loss):
    check_gradient(loss)
