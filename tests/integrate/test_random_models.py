"""Random models under random regimens: the native engine, the traceable one, and LSODA say the same.

Tolerances. The two engines are one method with one controller, each step within 1e-8 of the scale of its states; where
rounding flips the acceptance of a step they part by about that much, so they must agree to 1e-7 (ten tolerances) of the
largest value an output takes. LSODA is another method, at 1e-10 per step; what remains are the errors of the native
engine, which a stiff or slowly forgetting system adds up over its steps: 1e-6. Below 1e-10, a thousand times the
absolute tolerance, nothing is compared: that is what is left of a state that decayed.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as hs
from random_doses import END, Reference, events_of, grid, regimens
from random_models import Case, expression_models, models, subjects

from qspx import AUC, Average, EventTable, FractionAbove, Last, Max, Min, Regimen, TimeAbove, TimeBelow, simulate_table
from qspx._status import Status
from qspx.integrate import BatchIntegrator, DiffraxIntegrator, SolveRequest

# beartype looks at random elements of what it checks while a strategy builds a model
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

RTOL, ATOL = 1e-8, 1e-13
FLOOR = 1e-10
NATIVE = BatchIntegrator(rtol=RTOL, atol=ATOL, threads=1)


def examples(n: int):
    """The same ones every time; a failing one is printed as it is, because each smaller one would be compiled."""
    return settings(
        max_examples=n,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
    )


def sampled(times: list[float], model, summaries=(), names=None, marks=True) -> SolveRequest:
    """Each time before and after what is given then."""
    twice = tuple(t for t in sorted({*times, END}) for _ in range(2))
    names = tuple(model.outputs) if names is None else names
    return SolveRequest(model, twice, names, tuple(summaries), 0.0, END, (True, False) * (len(twice) // 2), marks)


@hs.composite
def situations(draw, rows: int, steady: bool | None = None, smooth: bool = False):
    """(case, regimens of the rows, parameters of the rows, sampling times)."""
    steady = draw(hs.booleans()) if steady is None else steady
    case = draw(models(steady, smooth))
    reg = [draw(regimens(case, steady)) for _ in range(rows)]
    times = draw(hs.lists(grid(0, 9) | hs.sampled_from([0.1, 3.3, 7.77]), min_size=2, max_size=6))
    return case, reg, subjects(case.model, rows, draw(hs.integers(0, 2**16))), times


# against LSODA -----------------------------------------------------------------------------------------------------


def compare_with_lsoda(situation) -> None:
    case, given, theta, times = situation
    model = case.model
    areas = [AUC(s, 0.0, END) for s in model.species]
    request = sampled(times, model, areas)
    found = NATIVE.solve_batch(request, theta, events_of(case, given, theta))
    at = np.array(request.times[::2])
    np.testing.assert_array_equal(found.status, Status.OK)
    for row, regimen in enumerate(given):
        p = dict(zip(model.parameters, theta[row], strict=True))
        sides = Reference(case, p).integrate(regimen, at)
        n = len(model.species)
        for name, column in zip(request.observables, range(len(request.observables)), strict=True):
            expected = np.array([[_seen(case, name, t, y[k, :n], p) for y in sides] for k, t in enumerate(at)])
            got = found.values[row, :, column].reshape(-1, 2)
            scale = np.abs(expected).max()
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * scale + FLOOR, err_msg=f"{row} {name} {p}")
        area = sides[0][-1, n:]
        np.testing.assert_allclose(found.summaries[row], area, rtol=1e-6, atol=1e-6 * np.abs(area).max() + FLOOR)


def _seen(case: Case, name: str, t: float, y: np.ndarray, p: dict) -> float:
    order = list(case.model.species)
    return y[order.index(name)] if name in order else float(case.outputs[name](t, y, p))


@examples(10)
@given(situations(rows=3))
def test_native_engine_agrees_with_lsoda(situation):
    compare_with_lsoda(situation)


@pytest.mark.slow
@examples(150)
@given(situations(rows=6))
def test_native_engine_agrees_with_lsoda_often(situation):
    compare_with_lsoda(situation)


# event tables ------------------------------------------------------------------------------------------------------


def records_of(subject: int, regimen: Regimen, times: list[float]) -> list[dict]:
    """NONMEM's records of a regimen, observations behind what is given at their time."""
    found = [{"TIME": t, "EVID": 3, "order": 0} for t in regimen.resets]
    for d in regimen.doses:
        row = {"TIME": d.at, "EVID": 1, "order": 1, "AMT": d.amount, "CMT": d.into, "ADDL": d.additional}
        row |= {"II": d.every or 0.0, "SS": d.steady_state}
        row |= {"RATE": -1 if d.rate == "R1" else -2 if d.duration == "D1" else d.rate or 0.0}
        row |= {"DUR": d.duration if isinstance(d.duration, float) else 0.0}
        found.append(row)
    found += [{"TIME": t, "EVID": 0, "order": 2} for t in times]
    return [{"ID": subject} | r for r in sorted(found, key=lambda r: (r["TIME"], r["order"]))]


def compare_table_with_lsoda(situation) -> None:
    case, given, theta, times = situation
    model, times = case.model, sorted({0.0, *times, END})
    # a table has no words for F and lag: they are those of the species
    given = [
        dataclasses.replace(r, doses=tuple(dataclasses.replace(d, bioavailability=None, lag=None) for d in r.doses))
        for r in given
    ]
    rows = [r for i, regimen in enumerate(given) for r in records_of(i, regimen, times)]
    frame = pd.DataFrame(rows).drop(columns="order").fillna({"AMT": 0.0, "CMT": 0, "ADDL": 0, "II": 0.0, "SS": 0})
    table = EventTable.read(frame.fillna(0.0), model, unit=case.dose_unit, time_unit="day")
    names = list(model.species)
    found = simulate_table(model, table, theta=theta, observables=names, integrator=NATIVE)
    for row, regimen in enumerate(given):
        p = dict(zip(model.parameters, theta[row], strict=True))
        _, expected = Reference(case, p).integrate(regimen, np.array(times))
        got = found[(found["ID"] == row) & (found["EVID"] == 0)]
        assert (got["status"] == "ok").all()
        scale = np.abs(expected[:, : len(names)]).max(axis=0)
        off = np.abs(got[names].to_numpy() - expected[:, : len(names)]) / (1e-6 * scale + FLOOR)
        assert (off <= 1).all(), (row, off)


@examples(4)
@given(situations(rows=3))
def test_event_tables_agree_with_lsoda(situation):
    compare_table_with_lsoda(situation)


@pytest.mark.slow
@examples(60)
@given(situations(rows=5))
def test_event_tables_agree_with_lsoda_often(situation):
    compare_table_with_lsoda(situation)


# against the traceable engine ---------------------------------------------------------------------------------------


def summaries_of(case: Case) -> list:
    """Every kind, over the run and over windows whose edges may fall on doses. Levels lie where a state often is."""
    first, second = list(case.model.species)[:2]
    last = list(case.model.outputs)[0]
    found = [k(first) for k in (Max, Min, AUC, Average, Last)] + [k(second, 1.0, 4.25) for k in (Max, Min, AUC, Last)]
    return [*found, Max(last, 2.0, END), TimeAbove(first, 0.31), TimeBelow(second, 0.13, 1.0, 4.25),
            FractionAbove(second, 0.7, 2.0, 6.0)]  # fmt: skip


def compare_engines(situation) -> None:
    case, given, theta, times = situation
    wanted = summaries_of(case)
    request = sampled(times, case.model, wanted)
    events = events_of(case, given, theta)
    plain = DiffraxIntegrator(rtol=RTOL, atol=ATOL, lanes=len(theta)).solve_batch(request, theta, events)
    found = NATIVE.solve_batch(request, theta, events)
    np.testing.assert_array_equal(found.status, Status.OK)
    np.testing.assert_array_equal(plain.status, Status.OK)
    scale = np.abs(plain.values).max(axis=1, keepdims=True)
    off = np.abs(found.values - plain.values) / (10 * RTOL * scale + FLOOR)
    assert (off <= 1).all(), [(request.observables[k], i, j, off[i, j, k]) for i, j, k in np.argwhere(off > 1)]
    outputs = dict(zip(request.observables, scale[:, 0].T, strict=True))
    sizes = np.array([np.full(len(theta), END) if s.beyond else outputs[s.observable] for s in wanted]).T
    off = np.abs(found.summaries - plain.summaries) / END / (10 * RTOL * sizes + FLOOR)
    assert (off <= 1).all(), [(wanted[k], i, off[i, k]) for i, k in np.argwhere(off > 1)]


@examples(2)
@given(situations(rows=12))
def test_native_engine_agrees_with_the_traceable_one(situation):
    compare_engines(situation)


@pytest.mark.slow
@examples(30)
@given(situations(rows=16))
def test_native_engine_agrees_with_the_traceable_one_often(situation):
    compare_engines(situation)


# failures -----------------------------------------------------------------------------------------------------------

# what is wrong, and what is said about it; the blow-up is of x' = b x^2 - k x from 1
ILL: dict[str, tuple[dict[str, float], tuple[Status, ...]]] = {
    "not a number": ({"kx1": np.nan}, (Status.NONFINITE,)),
    "not a number, where only a dose reads it": ({"F": np.nan}, (Status.NONFINITE,)),
    "infinite": ({"c1": np.inf}, (Status.NONFINITE,)),
    "negative lag": ({"LAG": -20.0}, (Status.NONFINITE,)),
    "blows up": ({"b": 30.0}, (Status.DT_MIN, Status.NONFINITE)),
    "never finishes": ({"turn": 1e6}, (Status.MAX_STEPS,)),
}


@hs.composite
def hospitals(draw):
    """(case, regimens, parameters, expected statuses, sampling times): healthy and failing subjects in random order."""
    case = draw(expression_models(trouble=True))
    kinds = draw(hs.lists(hs.sampled_from([None, None, *ILL]), min_size=4, max_size=20))
    kinds = draw(hs.permutations([None, *ILL, *kinds]))
    first = next(iter(case.model.species))
    # everyone gets a dose that F and LAG act on
    everyone = dataclasses.replace(draw(regimens(case, most=1)).doses[0], into=first, bioavailability=None, lag=None)
    own = [draw(regimens(case, most=2)) for _ in range(3)]
    given = [dataclasses.replace(own[i % 3], doses=_sorted(everyone, *own[i % 3].doses)) for i in range(len(kinds))]
    theta = subjects(case.model, len(kinds), draw(hs.integers(0, 2**16)))
    for row, kind in enumerate(kinds):
        theta[row, case.model.parameter_index("b")] = 0.0
        for name, value in ILL[kind][0].items() if kind else ():
            theta[row, case.model.parameter_index(name)] = value
    expected = [ILL[kind][1] if kind else (Status.OK,) for kind in kinds]
    return case, given, theta, expected, draw(hs.lists(grid(0, 9), min_size=1, max_size=5))


def _sorted(*doses):
    return tuple(sorted(doses, key=lambda d: d.at))


def failures_stay_alone(hospital, integrators) -> None:
    case, given, theta, expected, times = hospital
    names = tuple(s for s in case.model.outputs if s not in ("u", "v"))
    request = sampled(times, case.model, summaries_of(case), names, marks=False)
    events = events_of(case, given, theta)
    healthy = np.flatnonzero([e == (Status.OK,) for e in expected])
    for integrator in integrators:
        with np.errstate(invalid="ignore"):
            together = integrator.solve_batch(request, theta, events)
            alone = integrator.solve_batch(request, theta[healthy], type(events)(*(x[healthy] for x in events)))
        assert all(s in e for s, e in zip(together.status, expected, strict=True)), (together.status, expected)
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_array_equal(a[healthy], b)
        failed = np.setdiff1d(np.arange(len(theta)), healthy)
        assert np.isnan(together.values[failed]).all() and np.isnan(together.summaries[failed]).all()
        assert np.isfinite(together.values[healthy]).all() and np.isfinite(together.summaries[healthy]).all()


@examples(6)
@given(hospitals(), hs.sampled_from([2, 4, 8]), hs.sampled_from([1, 2]))
def test_a_failure_changes_no_bit_of_another_subject(hospital, lanes, threads):
    failures_stay_alone(hospital, [dataclasses.replace(NATIVE, max_steps=5000, lanes=lanes, threads=threads)])


@pytest.mark.slow
@examples(60)
@given(hospitals(), hs.sampled_from([2, 4, 8, 16]), hs.sampled_from([1, 2, 3]))
def test_a_failure_changes_no_bit_of_another_subject_often(hospital, lanes, threads):
    failures_stay_alone(hospital, [dataclasses.replace(NATIVE, max_steps=5000, lanes=lanes, threads=threads)])


@pytest.mark.slow
@examples(6)
@given(hospitals())
def test_a_failure_changes_no_bit_of_another_subject_in_the_traceable_engine(hospital):
    failures_stay_alone(hospital, [DiffraxIntegrator(rtol=1e-6, atol=ATOL, max_steps=2000, lanes=4)])
