"""Stops, samples and thresholds in the CUDA C text, run on the host: closed forms and the native engine.

Against `BatchIntegrator` 1e-10 of the largest value and equal steps are asked: the algorithm is the same, and the
systems here hold nothing that rounding decides.
"""

from __future__ import annotations

import cuda_host
import jax.numpy as jnp
import numpy as np
import pytest
import systems
from superposition import Depot
from test_batch import rows_of
from test_crossings import LEVELS, LN, NOTHING, Polynomial, WithPotency
from test_cuda_host import KINDS, around, assert_same
from test_cuda_text import SINGLE
from test_dosing_nonmem import NAMES, SCENARIOS, all_records, expected
from test_stepping import ARMS, MODEL, T0, T1, TIMES, WINDOWS

from qspx import (
    BatchIntegrator,
    Dose,
    EventTable,
    FractionAbove,
    Max,
    Observable,
    Parameter,
    Regimen,
    TimeAbove,
    TimeBelow,
    simulate,
    simulate_table,
)
from qspx._status import Status
from qspx.dose_events import DoseEvents, dose_events, stacked_events
from qspx.integrate import CudaIntegrator, SolveRequest
from qspx.integrate.base import Samples

OF_THRESHOLD = (TimeAbove, TimeBelow, FractionAbove)


@pytest.fixture(autouse=True, scope="module")
def on_the_host():
    with cuda_host.instead_of_a_gpu():
        yield


def both(request: SolveRequest, theta, events: DoseEvents, samples: Samples | None = None, rtol=1e-8, max_steps=5000):
    """The answer, equal to that of the native engine."""
    cuda = CudaIntegrator(rtol, max_steps=max_steps)
    native = BatchIntegrator(rtol, max_steps=max_steps, threads=1)
    found = cuda.solve_batch(request, theta, events, samples)
    assert_same(found, native.solve_batch(request, theta, events, samples))
    return found


def in_rows(model, regimens, theta) -> DoseEvents:
    """One regimen for each row of `theta`."""
    stacked = stacked_events(list(regimens), model, list(theta[:, None]))
    return DoseEvents(*(np.stack(field) for field in zip(*stacked, strict=True)))


# every way to dose ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("marks", [False, True])
def test_every_arm_and_every_endpoint_at_once(marks):
    """A row per arm; that resets and steady states may come changes nothing where there are none."""
    endpoints = [kind("C", *w) for w in WINDOWS for kind in KINDS]
    endpoints += [kind("C", x, *w) for w in WINDOWS for x in LEVELS for kind in OF_THRESHOLD]
    request = SolveRequest(MODEL, TIMES, ("C", "depot"), tuple(endpoints), T0, T1, marks=marks)
    theta = np.tile(MODEL.theta, (len(ARMS), 1))
    found = both(request, theta, in_rows(MODEL, ARMS.values(), theta))
    assert (found.status == Status.OK).all()
    for row, regimen in enumerate(ARMS.values()):
        exact = systems.concentration(np.array(TIMES), regimen.doses)
        np.testing.assert_allclose(found.values[row, :, 0], exact, rtol=1e-6, atol=1e-8)


@pytest.fixture(scope="module")
def predicted():
    """The records of `test_dosing_nonmem`: each subject has its own sampling times, some of them before a dose."""
    table = EventTable.read(all_records(), Depot(), unit="mg", time_unit="h")
    engines = (CudaIntegrator(1e-10, 1e-12), BatchIntegrator(1e-10, 1e-12, threads=1))
    return [simulate_table(Depot(), table, observables=["central"], integrator=engine) for engine in engines]


@pytest.mark.parametrize("name", NAMES)
def test_resets_and_steady_states_equal_superposition(predicted, name):
    """To 1e-8 of the largest amount, as the other engines; to 1e-10 what the native engine says."""
    found, native = (frame[(frame["ID"] == NAMES.index(name) + 1) & frame["EVID"].isin((0, 2))] for frame in predicted)
    assert (found["status"] == "ok").all()
    want = expected(SCENARIOS[name][1], found["TIME"].to_numpy())
    np.testing.assert_allclose(found["central"], want, rtol=1e-8, atol=1e-8 * want.max())
    np.testing.assert_allclose(found["central"], native["central"], rtol=0, atol=1e-10 * want.max())


def steady_problem(model) -> tuple[SolveRequest, np.ndarray, DoseEvents]:
    """SS 1 at the start, SS 2 on top of it, an infusion longer than its interval, a lag longer than that, a reset, a
    constant infusion, and one dose; samples before and after; every endpoint."""
    into = next(iter(model.species))
    ss = {"every": 2.0, "steady_state": 1, "additional": 2}
    regimens = (
        Regimen((Dose(0.3, "nmol", into, **ss), Dose(0.2, "nmol", into, 1.0, every=2.0, steady_state=2))),
        Regimen((Dose(9, "nmol", into, duration=5.0, **ss),)),
        Regimen((Dose(9, "nmol", into, 0.5, lag=3.3, **ss),)),
        Regimen((Dose(4, "nmol", into), Dose(9, "nmol", into, 1.0, duration=0.7, **ss)), resets=(5.5,)),
        Regimen((Dose(0, "nmol", into, rate=3.0, steady_state=1), Dose(30, "nmol", into, 4.0))),
        Regimen((Dose(9, "nmol", into),)),
    )
    seen = tuple(model.species)
    windows = ((None, None), (2.0, 5.5))
    endpoints = [kind(name, *w) for kind in KINDS for name in (seen[0], seen[-1]) for w in windows]
    endpoints += [kind(seen[0], 1.2, *w) for kind in OF_THRESHOLD for w in windows]
    times = (0.0, 0.0, 0.5, 1.0, 1.0, 2.0, 2.0, 5.5, 5.5, 7.0)
    before = (True, False, False, True, False, True, False, True, False, True)
    request = SolveRequest(model, times, seen, tuple(endpoints), 0.0, 7.0, before, marks=True)
    theta = around(model, len(regimens), 0.1)
    return request, theta, in_rows(model, regimens, theta)


@pytest.mark.parametrize("model", [systems.TMDD(), systems.TwoCompartment()], ids=lambda m: m.name)
def test_steady_states_with_endpoints_agree_with_the_native_engine(model):
    found = both(*steady_problem(model), rtol=1e-6)
    assert (found.status == Status.OK).all()


def test_a_run_in_that_does_not_end_is_a_failure():
    """What accumulates without bound has no steady state; the next subject is solved all the same."""
    theta = np.stack([MODEL.theta_with({"CL": cl}) for cl in (1e-9, 0.3)])
    regimen = Regimen((Dose(100, "nmol", "C", every=1.0, steady_state=1),))
    request = SolveRequest(MODEL, (0.0,), ("C",), (Max("C"),), 0.0, 1.0, marks=True)
    found = both(request, theta, rows_of(dose_events(regimen, MODEL), 2))
    assert list(found.status) == [Status.MAX_STEPS, Status.OK]


def test_a_steady_state_is_found_in_single_precision():
    """C = D / V e^(-k t) / (1 - e^(-k tau)) with k = CL / V = 0.1 per day; ten times rtol."""
    regimen = Regimen((Dose(100, "nmol", "C", every=1.0, steady_state=1),))
    times = (0.0, 0.5, 0.9)
    request = SolveRequest(MODEL, times, ("C",), (), 0.0, 1.0, marks=True)
    found = SINGLE.solve_batch(request, MODEL.theta[None], rows_of(dose_events(regimen, MODEL), 1))
    assert found.status[0] == Status.OK
    exact = 100 / 3 * np.exp(-0.1 * np.array(times)) / -np.expm1(-0.1)
    np.testing.assert_allclose(found.values[0, :, 0], exact, rtol=1e-3)


# samples -------------------------------------------------------------------------------------------------------------


def test_samples_before_and_after_a_dose():
    times = (0.0, 0.0, 7.0, 7.0, 7.0, 14.0, 21.0)
    before = (True, False, True, True, False, True, True)
    request = SolveRequest(MODEL, times, ("C",), (), 0.0, 21.0, before)
    found = both(request, MODEL.theta[None], rows_of(dose_events(ARMS["repeated"], MODEL), 1))
    doses = ARMS["repeated"].doses
    exact = [float(systems.concentration(t, doses, after=not b)) for t, b in zip(times, before, strict=True)]
    np.testing.assert_allclose(found.values[0, :, 0], exact, rtol=1e-6)
    assert found.values[0, 0, 0] == 0.0


def test_every_subject_has_its_own_times():
    """Padded with inf: values there are not numbers, and that is no failure."""
    request = SolveRequest(MODEL, tuple(np.linspace(0, 21, 5)), ("C", "depot"), (Max("C"),), 0.0, 21.0)
    samples = Samples(
        np.array([[0, 7, 7, 8, 20.5], [3, 14, np.inf, np.inf, np.inf], [np.inf] * 5]),
        np.array([[True, True, False, False, False], [False, True, False, False, False], [False] * 5]),
    )
    found = both(request, np.tile(MODEL.theta, (3, 1)), rows_of(dose_events(ARMS["repeated"], MODEL), 3), samples)
    assert (found.status == Status.OK).all()
    np.testing.assert_array_equal(np.isfinite(found.values).all(axis=2), np.isfinite(samples.time))
    doses = ARMS["repeated"].doses
    for t, early, value in zip(samples.time[0], samples.before[0], found.values[0, :, 0], strict=True):
        exact = float(systems.concentration(t, doses, after=not early))
        assert value == pytest.approx(exact, rel=1e-6)


# thresholds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("excess", [1e-2, 1e-6, 1e-10, 0.0])
def test_a_level_that_is_touched_or_hardly_passed(excess):
    """(t - 5)^2 is below e for 2 sqrt(e), and -(t - 5)^2 above -e for as long."""
    asked = [TimeBelow("square", excess, 0, 10), TimeAbove("hill", -excess, 0, 10), TimeAbove("square", excess, 0, 10)]
    solution = simulate(Polynomial(), NOTHING, summaries=asked, integrator=CudaIntegrator(1e-11, 1e-13))
    exact = 2 * np.sqrt(excess)
    found = list(solution.summaries.values())
    np.testing.assert_allclose(found, [exact, exact, 10 - exact], rtol=0, atol=1e-6 * exact + 1e-12)


def test_three_crossings_in_one_half_of_a_step():
    asked = [TimeAbove("cubic", 0.0, 0, 10), TimeBelow("cubic", 0.0, 0, 10), TimeAbove("cubic", 0.0, 0, 5.5)]
    solution = simulate(Polynomial(), NOTHING, summaries=asked, integrator=CudaIntegrator(1e-11, 1e-13))
    assert solution.steps < 15
    np.testing.assert_allclose(list(solution.summaries.values()), [5.0, 5.0, 1.0], rtol=0, atol=1e-10)


def test_the_threshold_may_be_a_parameter_of_the_subject():
    model, potencies = WithPotency(), np.array([9.0, 2.0, 40.0, 20.0, 10.0])
    theta = np.stack([model.theta_with({"EC50": e}) for e in potencies])
    asked = (TimeAbove("C", "EC50"), Max("C"), TimeBelow("C", "EC50"), TimeAbove("C", 9.0))
    request = SolveRequest(model, (), (), asked, 0.0, 10.0)
    found = both(request, theta, rows_of(dose_events(ARMS["bolus"], model), len(theta)), rtol=1e-11)
    above = np.clip(LN(100 / 3 / potencies) / 0.1, 0, 10)
    np.testing.assert_allclose(found.summaries[:, 0], above, rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.summaries[:, 2], 10 - above, rtol=0, atol=1e-8)


def test_an_observable_that_is_not_a_number_is_a_failure_and_not_a_time_of_zero():
    class Root(systems.OneCompartment):
        floor = Parameter(25.0, "nM^2")
        root = Observable("nM")

        def observables(self, t, y, p):
            return {"root": jnp.sqrt(y.C**2 - p.floor)}  # C falls below 5 nM after 19 days

    events = rows_of(dose_events(ARMS["bolus"], Root()), 1)
    for end, status in ((18.0, Status.OK), (21.0, Status.NONFINITE)):
        request = SolveRequest(Root(), (), (), (TimeAbove("root", 1.0), TimeAbove("C", 6.0)), 0.0, end)
        assert both(request, Root().theta[None], events).status[0] == status
