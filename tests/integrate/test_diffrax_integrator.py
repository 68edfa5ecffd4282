"""Groups of subjects: other solvers agree, neighbours do not matter, failures are told apart, nothing recompiles."""

from __future__ import annotations

import diffrax
import jax
import numpy as np
import pytest
import systems

from qspx import AUC, Last, Max, Regimen, simulate
from qspx._errors import SolveError
from qspx._status import Status
from qspx.dose_events import DoseEvents, dose_events
from qspx.integrate import DiffraxIntegrator, SolveRequest, diffrax_integrator
from qspx.integrate.rosenbrock import Rodas4P

TROUBLE = systems.Trouble()
REQUEST = SolveRequest(TROUBLE, (1.0, 4.0), ("x", "u"), (Max("x"), AUC("x"), Last("x")), 0.0, 4.0)
# a healthy subject needs some 60 steps at these tolerances, the blow-up some 500 until its step is too small
INTEGRATOR = DiffraxIntegrator(rtol=1e-8, atol=1e-12, max_steps=2000, lanes=4)


def tile(n: int, amount: float = 1.0) -> DoseEvents:
    events = dose_events(Regimen.single(amount, "nmol", "x"), TROUBLE)
    return DoseEvents(*(np.tile(field, (n, 1)) for field in events))


def thetas(*changes: dict[str, float]) -> np.ndarray:
    return np.stack([TROUBLE.theta_with(change) for change in changes])


HEALTHY = [{"k": k} for k in (0.5, 0.3, 1.7, 4.0, 0.11)]
ILL = {
    "blow-up": ({"b": 2.0}, (Status.DT_MIN, Status.NONFINITE)),
    "not a number": ({"k": np.nan}, (Status.NONFINITE,)),
    "infinite": ({"w": np.inf}, (Status.NONFINITE,)),
    "never finishes": ({"w": 1e5}, (Status.MAX_STEPS,)),
}


def solve(theta: np.ndarray, events: DoseEvents | None = None):
    return INTEGRATOR.solve_batch(REQUEST, theta, tile(len(theta)) if events is None else events)


@pytest.fixture(scope="module")
def alone():
    """Each healthy subject in a group of its own."""
    return [solve(thetas(change)) for change in HEALTHY]


def test_healthy_subjects_equal_the_closed_form(alone):
    for change, batch in zip(HEALTHY, alone, strict=True):
        assert batch.status[0] == Status.OK
        x = systems.healthy(np.array(REQUEST.times), 1.0, change["k"])
        np.testing.assert_allclose(batch.values[0], np.stack([x, np.cos(REQUEST.times)], axis=1), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ILL)
def test_a_failing_neighbour_changes_no_bit(alone, kind):
    change, expected = ILL[kind]
    for i, healthy in enumerate(HEALTHY):
        batch = solve(thetas(change, healthy, change))
        assert batch.status[0] in expected and batch.status[2] in expected
        assert np.isnan(batch.values[[0, 2]]).all() and np.isnan(batch.summaries[[0, 2]]).all()
        for together, single in zip(batch, alone[i], strict=True):
            np.testing.assert_array_equal(together[1], single[0])


def test_neither_order_nor_number_of_subjects_changes_a_bit(alone):
    order = np.array([3, 0, 4, 4, 2, 1, 0, 2, 3, 1])
    batch = solve(thetas(*(HEALTHY[i] for i in order)))
    for row, i in enumerate(order):
        for together, single in zip(batch, alone[i], strict=True):
            np.testing.assert_array_equal(together[row], single[0])


def test_blow_up_in_a_group_reports_where():
    """x' = 2 x^2 - x / 2 from 1 is infinite at t = 2 log(4 / 3)."""
    batch = solve(thetas({"b": 2.0}))
    assert batch.end_time[0] == pytest.approx(2 * np.log(4 / 3), rel=1e-3)


def test_doses_and_sizes_share_one_compiled_program():
    diffrax_integrator._compiled.cache_clear()
    first = DiffraxIntegrator(rtol=1e-8, atol=1e-12, max_steps=2000, lanes=4)
    for n, amount in ((2, 1.0), (9, 5.0), (1, 0.1)):
        request = SolveRequest(systems.Trouble(), REQUEST.times, REQUEST.observables, REQUEST.summaries, 0.0, 4.0)
        theta = np.tile(TROUBLE.theta, (n, 1))
        assert (first.solve_batch(request, theta, tile(n, amount)).status == Status.OK).all()
    assert diffrax_integrator._compiled.cache_info().misses == 1
    compiled = diffrax_integrator._compiled(REQUEST, first._loop_settings)
    assert compiled._cache_size() == 1


TMDD = systems.TMDD()
TMDD_TIMES = (0.01, 0.3, 2.0, 5.0, 9.0)
TMDD_ENDPOINTS = (Max("RC"), AUC("C"))


def tmdd(solver, rtol=1e-7):
    return simulate(
        TMDD,
        Regimen.repeated(10.0, "nmol", "C", every=4.0, n=2),
        TMDD_TIMES,
        summaries=TMDD_ENDPOINTS,
        observables=["C", "R", "RC", "occupancy"],
        integrator=DiffraxIntegrator(solver, rtol=rtol, atol=1e-12),
    )


@pytest.fixture(scope="module")
def rodas():
    return tmdd(DiffraxIntegrator().solver)


@pytest.mark.parametrize("solver", [Rodas4P(), diffrax.Kvaerno5(), diffrax.Tsit5()], ids=lambda s: type(s).__name__)
def test_solvers_agree_on_a_stiff_system(rodas, solver):
    other = tmdd(solver)
    # ten times the tolerance of a step; TMDD forgets errors, so they do not add up
    np.testing.assert_allclose(other.values, rodas.values, rtol=1e-6, atol=1e-9)
    for name, value in rodas.summaries.items():
        assert other.summaries[name] == pytest.approx(value, rel=1e-6)


def test_the_target_balance_holds(rodas):
    """R + RC is made at ksyn and lost at kdeg, whatever binds."""
    np.testing.assert_allclose(rodas["R"] + rodas["RC"], 2.0, rtol=1e-8)


def test_solver_and_limits_are_checked():
    with pytest.raises(SolveError, match="`solver` must be a diffrax adaptive solver"):
        DiffraxIntegrator(diffrax.Euler())
    with pytest.raises(SolveError, match="`rtol` must be a number > 0, but 0"):
        DiffraxIntegrator(rtol=0.0)
    with pytest.raises(SolveError, match="`lanes` must be a number > 0"):
        DiffraxIntegrator(lanes=0)


def test_float32_is_refused():
    with jax.enable_x64(False), pytest.raises(SolveError, match="float32.*enable_x64"):
        solve(thetas({}))


def test_settings_name_what_the_numbers_depend_on():
    expected = {"integrator": "DiffraxIntegrator", "solver": "Rodas5P", "rtol": 1e-8, "atol": 1e-12}
    assert INTEGRATOR.settings == expected | {"max_steps": 2000, "lanes": 4}


@pytest.mark.parametrize("window, words", [((0, 9), "window of max.x, 0..9."), ((2, None), None)], ids=str)
def test_windows_must_lie_inside_the_run(window, words):
    def make():
        return SolveRequest(TROUBLE, (), (), (Max("x", *window),), 0.0, 4.0)

    if words is None:
        assert make().window(make().summaries[0]) == (2, 4.0)
    else:
        with pytest.raises(SolveError, match=words):
            make()


def test_samples_outside_the_run_and_an_empty_run_are_errors():
    with pytest.raises(SolveError, match="sampling time 5 lies outside"):
        SolveRequest(TROUBLE, (5.0,), ("x",), (), 0.0, 4.0)
    with pytest.raises(SolveError, match="nothing to simulate"):
        SolveRequest(TROUBLE, (0.0,), ("x",), (), 0.0, 0.0)
