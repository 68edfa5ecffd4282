"""The CUDA C text, compiled as C++ and run on the host: closed forms, the native engine, failures.

The algorithm is that of `BatchIntegrator`, so that the two differ by rounding alone: 1e-10 of the largest value is
asked, 10,000 times less than the tolerance of the steps.
"""

from __future__ import annotations

import dataclasses
import functools
import shutil
import subprocess

import cuda_host
import jax.numpy as jnp
import numpy as np
import pytest
import systems
from programs import ZOO
from test_batch import CASES, rows_of
from test_cuda_text import SINGLE, Driven, of_precision
from test_diffrax_integrator import HEALTHY, ILL, REQUEST, thetas, tile
from test_program import model_called
from test_stepping import ARMS, MODEL, T0, T1, TIMES, WINDOWS, summaries

from qspx import (
    AUC,
    Arm,
    Average,
    Cohort,
    Dose,
    FractionAbove,
    Last,
    Max,
    Min,
    Protocol,
    Regimen,
    TimeAbove,
    TimeBelow,
    Tmax,
    simulate,
    simulate_cohort,
)
from qspx._status import Status
from qspx.dose_events import dose_events
from qspx.integrate import BatchIntegrator, CudaIntegrator, SolveRequest, cuda_loop
from qspx.integrate.cuda_program import PRECISIONS, printed
from qspx.integrate.lowering import lower_functions

KINDS = (Max, Tmax, Min, AUC, Average, Last)
SETTINGS = {"rtol": 1e-8, "atol": 1e-12, "max_steps": 2000}


@pytest.fixture(autouse=True, scope="module")
def on_the_host():
    with cuda_host.instead_of_a_gpu():
        yield


# programs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ZOO)
def test_a_program_gives_the_numbers_of_numpy(name, precision):
    """float64: to rounding. float32: 1e-3, since conditioning differs between constructs; a wrong one is far off."""
    low, kind = lower_functions(ZOO[name], None, 3, 3), PRECISIONS[precision]
    groups = ("t", "y", "theta", "fixed")
    suffix = "##f" if kind.suffix else ""
    text = "\n".join(
        [
            f"typedef {kind.real} real;\n#define R(x) x{suffix}\n#define F(name) name{suffix}",
            cuda_loop._file("prelude"),
            printed("rates", low.rates, groups, kind),
            'extern "C" void run(real t, const real* y, const real* theta, const real* fixed, real* out)',
            "{ rates(t, y, theta, fixed, out); }",
        ]
    )
    rng = np.random.default_rng(1)
    inputs = {"t": rng.uniform(0, 1, 1), "y": rng.uniform(0.3, 2, 3), "theta": rng.uniform(0.5, 3, 3)}
    inputs = {k: v.astype(precision).astype(float) for k, v in inputs.items()}
    inputs["fixed"] = low.prologue.evaluate_numpy(theta=inputs["theta"])["fixed"]
    found = cuda_host.called(text, *(inputs[k].astype(precision) for k in groups), size=3)
    expected = low.rates.evaluate_numpy(**{k: inputs[k] for k in groups})["rates"]
    rtol = 1e-13 if precision == "float64" else 1e-3
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=0.1 * rtol)


# closed forms --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result():
    arms = tuple(Arm(name, regimen, TIMES, ("C", "depot")) for name, regimen in ARMS.items())
    cohort = Cohort(MODEL, MODEL.theta[None], np.zeros(1))
    tight = CudaIntegrator(rtol=1e-11, atol=1e-13)
    return simulate_cohort(MODEL, cohort, Protocol(arms), summaries=summaries(), integrator=tight, progress=False)


@pytest.mark.parametrize("arm", ARMS)
def test_trajectory_equals_the_closed_form(result, arm):
    exact = systems.concentration(np.array(TIMES), ARMS[arm].doses)
    found = result.values("C")[list(ARMS).index(arm), 0]
    np.testing.assert_allclose(found, exact, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("arm", ARMS)
def test_endpoints_equal_the_closed_form(result, arm, window):
    a, b = T0 if window[0] is None else window[0], T1 if window[1] is None else window[1]
    doses, row = ARMS[arm].doses, list(ARMS).index(arm)
    largest, at, smallest = systems.extremes(a, b, doses)
    whole = float(systems.area(a, b, doses))
    found = [result.metric(kind("C", *window).name)[row, 0] for kind in (Max, Min, AUC, Average, Last)]
    last = float(systems.concentration(b, doses, after=False))
    np.testing.assert_allclose(found, [largest, smallest, whole, whole / (b - a), last], rtol=1e-8, atol=1e-10)
    if largest > 0:
        assert result.metric(Tmax("C", *window).name)[row, 0] == pytest.approx(at, abs=1e-8)


def test_two_compartments_equal_the_closed_form():
    t = np.linspace(0.1, 20, 7)
    regimen = Regimen.single(100, "nmol", "C1")
    solution = simulate(systems.TwoCompartment(), regimen, t, observables=["C1"], integrator=CudaIntegrator(1e-10))
    np.testing.assert_allclose(solution["C1"], systems.two_compartment_bolus(t, 100.0), rtol=1e-8)


def test_a_rate_that_depends_on_time_keeps_the_order():
    """y' = cos(t) y from 1 is exp(sin t): without the time derivative in the stages the error is 1e4 times larger."""

    class FromOne(Driven):
        def initial(self, p):
            return {"x": 1.0}

    t = np.linspace(0, 10, 8)
    regimen = Regimen.single(0, "", "x")
    solution = simulate(FromOne(), regimen, t, observables=["x"], integrator=CudaIntegrator(1e-11, 1e-13))
    np.testing.assert_allclose(solution["x"], np.exp(np.sin(t)), rtol=1e-9)


# the native engine ---------------------------------------------------------------------------------------------------


class Functions(systems.AbstractModel):
    """Every construct at once: Hill's term, powers, choices, extremes, exp, log, sqrt, tanh, and the time itself.

    The rates have kinks but no jumps: where a step lands beside a jump is decided by rounding, and then the two engines
    agree to the tolerance of the steps only (`test_a_jump_is_met_to_the_tolerance`).
    """

    x = systems.Species("nM", volume="V")
    z = systems.Species("1")
    w = systems.Species("1", signed=True)
    V = systems.Parameter(2.0, "L")
    top = systems.Parameter(3.0, "1/day")
    half = systems.Parameter(1.5, "nM")
    hill = systems.Parameter(2.7, "")
    out = systems.Parameter(0.4, "1/day")
    seen = systems.Observable("", "of x")

    def initial(self, p):
        return {"z": 1.0, "w": -0.5}

    def rates(self, t, y, p):
        x = y.x / p.half
        hill = p.top * x**p.hill / (1 + x**p.hill)
        fast = jnp.where((p.hill > 2.7) & (y.z > 0.2), y.z, 0.2) + 0.1 * jnp.minimum(x, 1.0) * jnp.maximum(y.w, -0.3)
        bounded = jnp.tanh(y.w) + jnp.exp(-y.z) - jnp.log(1.0 + jnp.abs(y.z)) + jnp.sqrt(1.0 + y.w**2)
        return {
            "x": -p.out * y.x * fast,
            "z": hill * (1 - y.z) - p.out * y.z,
            "w": p.out * (bounded - y.w + 0.2 * jnp.sin(3 * p.out * t)),
        }

    def observables(self, t, y, p):
        return {"seen": y.z * jnp.exp(-0.1 * y.w) / (1 + y.x / p.half)}


def assert_same(found, expected, to: float = 1e-10):
    """Values to `to` of the largest of each observable; the same steps."""
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_array_equal(found.steps, expected.steps)
    np.testing.assert_allclose(found.end_time, expected.end_time, rtol=1e-6)
    if expected.values.size:
        scale = np.nan_to_num(np.abs(expected.values)).max(axis=1, keepdims=True)
        scale = np.where(scale == 0, 1.0, scale)
        np.testing.assert_allclose(found.values / scale, expected.values / scale, atol=to, rtol=0)
    np.testing.assert_allclose(found.summaries, expected.summaries, rtol=to, atol=to)


def compared(model, regimen, theta, times, seen, endpoints, end, **settings):
    request = SolveRequest(model, times, seen, tuple(endpoints), 0.0, end)
    events = rows_of(dose_events(regimen, model), len(theta))
    found = CudaIntegrator(**settings).solve_batch(request, theta, events)
    assert_same(found, BatchIntegrator(threads=1, **settings).solve_batch(request, theta, events))
    return found


def around(model, n: int, spread: float = 0.3, seed: int = 0) -> np.ndarray:
    return model.theta * np.exp(spread * np.random.default_rng(seed).standard_normal((n, len(model.theta))))


@pytest.mark.parametrize("model", [systems.TwoCompartment(), systems.TMDD(), Functions()], ids=lambda m: m.name)
def test_agrees_with_the_native_engine(model):
    into = next(iter(model.species))
    seen = [*model.species, *model.observable_names] if hasattr(model, "observable_names") else list(model.species)
    doses = Regimen((Dose(9, "nmol", into), Dose(20, "nmol", into, 2.0, 0.5), Dose(5, "nmol", into, 3.0)))
    endpoints = [kind(name, *window) for kind in KINDS for name in seen[-2:] for window in ((None, None), (1.0, 4.0))]
    times = (0.0, 0.01, 0.5, 2.0, 2.1, 2.5, 3.0, 6.5, 7.0)
    found = compared(model, doses, around(model, 13), times, tuple(seen), endpoints, 7.0)
    assert (found.status == Status.OK).all()


def test_a_jump_is_met_to_the_tolerance():
    class Switched(systems.AbstractModel):
        x = systems.Species("1")
        k = systems.Parameter(1.0, "1/day")

        def initial(self, p):
            return {"x": 1.0}

        def rates(self, t, y, p):
            return {"x": jnp.where(p.k * t > 1.0, 0.5 * p.k, -p.k) * y.x}

    model, times = Switched(), (0.5, 1.5, 3.0)
    request = SolveRequest(model, times, ("x",), (Min("x"),), 0.0, 3.0)
    theta = np.linspace(0.5, 1.5, 7)[:, None]
    events = rows_of(dose_events(Regimen.single(0, "", "x"), model), len(theta))
    found = CudaIntegrator().solve_batch(request, theta, events)
    assert_same(found, BatchIntegrator(threads=1).solve_batch(request, theta, events), to=1e-5)
    k, before = theta, np.minimum(np.array(times), 1 / theta)
    exact = np.exp(-k * before + 0.5 * k * (np.array(times) - before))
    np.testing.assert_allclose(found.values[:, :, 0], exact, rtol=1e-5)


def test_bioavailability_lag_and_infusions_of_the_subject():
    theta = around(MODEL, 9)
    theta[:, MODEL.parameter_index("F")] = np.linspace(0.1, 0.9, 9)
    doses = Regimen(
        (Dose(60, "nmol", "depot"), Dose(40, "nmol", "C", 2.0, 1.0), Dose(10, "nmol", "depot", 2.5, None, "F", 0.7))
    )
    endpoints = [kind("C", *window) for kind in KINDS for window in WINDOWS[1:]]
    found = compared(MODEL, doses, theta, (0.2, 2.0, 3.0, 14.0), ("C", "depot"), endpoints, 14.0)
    assert (found.status == Status.OK).all()


@pytest.mark.parametrize("name", CASES)
def test_published_models_agree_with_the_native_engine(name):
    into, unit, amount, seen, level = CASES[name]
    model = model_called(name)
    step_up = Regimen.step_up(amount, unit, into, n=4).doses
    regimen = Regimen((*step_up[:2], Dose(amount / 2, unit, into, 5.0, duration=0.3), *step_up[2:]))
    theta = around(model, 7, 0.1, 3)
    bounded = [p.bounds is not None for p in model.parameters.values()]
    theta[:, bounded] = model.theta[bounded]
    endpoints = [k(seen, 3, 21) for k in KINDS] + [Max(into, 0, 7), AUC(into), Tmax(into, 7, 14), Last(seen)]
    endpoints += [TimeAbove(seen, level, 3, 21), TimeBelow(seen, level), FractionAbove(seen, level, 3, 21)]
    found = compared(model, regimen, theta, (0.0, 1.0, 7.0, 20.0, 28.0), (seen, into), endpoints, 28.0)
    assert (found.status == Status.OK).all()


# failures, and subjects that do not see each other -------------------------------------------------------------------


def solve(theta: np.ndarray, integrator=None):
    return (integrator or CudaIntegrator(**SETTINGS)).solve_batch(REQUEST, theta, tile(len(theta)))


def test_failures_are_those_of_the_native_engine():
    theta = thetas({}, *(change for change, _ in ILL.values()), {"k": 2.0})
    found, native = solve(theta), solve(theta, BatchIntegrator(threads=1, **SETTINGS))
    np.testing.assert_array_equal(found.status, native.status)
    assert [int(s) for s in found.status[1:-1]] == [
        next(int(s) for s in expected if s == f)
        for (_, expected), f in zip(ILL.values(), found.status[1:-1], strict=True)
    ]
    assert np.isnan(found.values[1:-1]).all() and np.isnan(found.summaries[1:-1]).all()
    ok = found.status == Status.OK
    assert_same(*(type(s)(*(field[ok] for field in s)) for s in (found, native)))
    np.testing.assert_array_equal(found.steps[found.status == Status.MAX_STEPS], SETTINGS["max_steps"])


def test_neither_neighbours_nor_order_change_a_bit():
    alone = [solve(thetas(change)) for change in HEALTHY]
    ill = thetas(*(change for change, _ in ILL.values()))
    order = np.array([3, 0, 4, 4, 2, 1, 0])
    mixed = solve(np.concatenate([ill, thetas(*(HEALTHY[i] for i in order)), ill]))
    for row, i in enumerate(order, start=len(ill)):
        for together, single in zip(mixed, alone[i], strict=True):
            np.testing.assert_array_equal(together[row], single[0])


def test_several_threads_empty_one_queue_and_change_no_bit():
    theta = np.concatenate([thetas(*HEALTHY, *(change for change, _ in ILL.values()))] * 40)
    alone = solve(theta)
    with cuda_host.instead_of_a_gpu(threads=3):
        together = solve(theta)
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_negative_lag_loses_no_dose_silently():
    request = SolveRequest(MODEL, (), (), (Max("C"),), 0.0, 10.0)
    events = rows_of(dose_events(ARMS["depot"], MODEL), 3)
    theta = np.stack([MODEL.theta_with({"lag": lag}) for lag in (-0.5, 0.5, np.nan)])
    found = CudaIntegrator().solve_batch(request, theta, events)
    assert list(found.status) == [Status.NONFINITE, Status.OK, Status.NONFINITE]


def test_a_step_whose_factors_lost_their_digits_is_rejected():
    """As in `test_batch`: from rest the error is zero, but the guard is below 1e-8 for steps above 0.047."""

    class AtRest(systems.AbstractModel):
        u = systems.Species("1", signed=True)
        v = systems.Species("1", signed=True)
        w = systems.Parameter(1e6, "1/day")

        def rates(self, t, y, p):
            return {"u": -p.w * y.v, "v": p.w * y.u}

    found = compared(AtRest(), Regimen.single(0, "", "u"), AtRest().theta[None], (10.0,), ("u",), (), 10.0)
    assert 10 / 0.0472 < found.steps[0] < 2000


def test_nothing_asked_and_nobody_there():
    states_only = SolveRequest(systems.Trouble(), (), (), (), 0.0, 4.0)
    found = CudaIntegrator(**SETTINGS).solve_batch(states_only, thetas({}, {"k": np.nan}), tile(2))
    assert list(found.status) == [Status.OK, Status.NONFINITE]
    assert found.values.shape == (2, 0, 0) and found.summaries.shape == (2, 0)
    assert found.end_time[0] == 4.0 and found.steps[0] > 0
    nobody = solve(np.zeros((0, len(systems.Trouble().theta))))
    assert nobody.values.shape == (0, 2, 2) and nobody.summaries.shape == (0, 3)


# single precision ----------------------------------------------------------------------------------------------------


@functools.cache
def isb_problem():
    model, n = model_called("isb2001"), 7
    theta = around(model, n, 0.1, 3)
    bounded = [p.bounds is not None for p in model.parameters.values()]
    theta[:, bounded] = model.theta[bounded]
    doses = Regimen((Dose(9, "ug/kg", "depot"), Dose(9, "ug/kg", "C", 2.0, 0.5), Dose(30, "ug/kg", "depot", 3.0)))
    endpoints = tuple(k("nACT", 2, 6) for k in (Max, Min, AUC, Average, Last))
    request = SolveRequest(model, (1.0, 3.0, 5.5), ("nACT", "C"), endpoints, 0.0, 6.0)
    return request, theta, rows_of(dose_events(doses, model), n)


def test_single_precision_is_as_good_as_its_tolerance():
    """Ten times rtol of the largest value, against the native engine at 1e-8."""
    request, theta, events = isb_problem()
    single = SINGLE.solve_batch(request, theta, events)
    precise = BatchIntegrator(rtol=1e-8, threads=1).solve_batch(request, theta, events)
    np.testing.assert_array_equal(single.status, Status.OK)
    scale = np.abs(precise.values).max(axis=1, keepdims=True)
    np.testing.assert_allclose(single.values / scale, precise.values / scale, atol=1e-3)
    np.testing.assert_allclose(single.summaries, precise.summaries, rtol=1e-3)
    assert single.values.dtype == np.float64 and single.status.dtype == np.int32


# the compiler of CUDA, where there is one ----------------------------------------------------------------------------


@pytest.mark.parametrize("precision", PRECISIONS)
def test_nvcc_makes_machine_code_of_it(tmp_path, precision):
    """For a GPU that need not be there: the text is CUDA, and what the GPU calls is device code."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc on PATH: the CUDA text was not compiled for a GPU")
    request = isb_problem()[0]
    beyond = (TimeAbove("nACT", 3.0), Tmax("nACT"))
    request = dataclasses.replace(request, summaries=request.summaries + beyond, marks=True)
    (tmp_path / "run.cu").write_text(of_precision(precision).source(request))
    done = subprocess.run(
        [nvcc, "-std=c++17", "-cubin", "-arch=sm_80", "-Werror=all-warnings", "-o", "run.cubin", "run.cu"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[:4000]
    assert (tmp_path / "run.cubin").stat().st_size > 10_000
