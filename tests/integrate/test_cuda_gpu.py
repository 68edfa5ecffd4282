"""The CUDA engine on a GPU, against the native one. Skipped, with the reason, where there is no GPU or no cupy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import systems
from test_batch import CASES, rows_of
from test_cuda_doses import steady_problem
from test_cuda_host import KINDS, Functions, around
from test_cuda_text import SINGLE
from test_diffrax_integrator import HEALTHY, ILL, REQUEST, thetas, tile
from test_program import model_called

from qspx import Dose, Regimen, TimeAbove
from qspx._errors import SolveError
from qspx._status import Status
from qspx.dose_events import DoseEvents, dose_events
from qspx.integrate import BatchIntegrator, CudaIntegrator, SolveRequest, cuda_batch, cuda_device

SETTINGS = {"rtol": 1e-8, "atol": 1e-12, "max_steps": 2000}


@pytest.fixture
def gpu():
    cuda_batch._launch.cache_clear()
    try:
        return cuda_device.found_cupy()
    except SolveError as e:
        pytest.skip(str(e))


def problem(model, into: str, unit: str, amount: float, seen: str, level: float, n: int):
    regimen = Regimen((Dose(amount, unit, into), Dose(amount, unit, into, 1.0, 0.5), Dose(amount, unit, into, 2.0)))
    theta = around(model, n, 0.1, 3)
    bounded = [p.bounds is not None for p in model.parameters.values()]
    theta[:, bounded] = model.theta[bounded]
    windows = ((None, None), (1.0, 3.0))
    endpoints = tuple(kind(seen, *window) for kind in KINDS for window in windows)
    endpoints += tuple(TimeAbove(seen, level, *window) for window in windows)
    request = SolveRequest(model, (0.0, 0.5, 1.5, 2.0, 7.0), (seen, into), endpoints, 0.0, 7.0)
    return request, theta, rows_of(dose_events(regimen, model), n)


@pytest.mark.gpu
@pytest.mark.parametrize("name", [*CASES, "functions"])
def test_agrees_with_the_native_engine(gpu, name):
    """Ten times the tolerance of the steps: a GPU's exp, log and pow may differ in the last bits, and so may a step."""
    into, unit, amount, seen, level = CASES.get(name, ("x", "nmol", 5.0, "z", 0.5))
    model = Functions() if name == "functions" else model_called(name)
    request, theta, events = problem(model, into, unit, amount, seen, level, 700)
    assert_near(request, theta, events)


def assert_near(request: SolveRequest, theta: np.ndarray, events: DoseEvents):
    found = CudaIntegrator().solve_batch(request, theta, events)
    native = BatchIntegrator().solve_batch(request, theta, events)
    np.testing.assert_array_equal(found.status, native.status)
    np.testing.assert_allclose(found.steps, native.steps, rtol=0.02, atol=1)
    scale = np.nanmax(np.abs(native.values), axis=1, keepdims=True)
    np.testing.assert_allclose(found.values / scale, native.values / scale, atol=1e-5)
    np.testing.assert_allclose(found.summaries, native.summaries, rtol=1e-5, atol=1e-9)


@pytest.mark.gpu
@pytest.mark.parametrize("model", [systems.TMDD(), systems.TwoCompartment()], ids=lambda m: m.name)
def test_steady_states_and_resets_agree_with_the_native_engine(gpu, model):
    request, theta, events = steady_problem(model)
    assert_near(request, np.tile(theta, (50, 1)), DoseEvents(*(np.tile(field, (50, 1)) for field in events)))


@pytest.mark.gpu
def test_failures_are_those_of_the_native_engine(gpu):
    theta = np.tile(thetas(*(c for c, _ in ILL.values()), *HEALTHY), (50, 1))
    found = CudaIntegrator(**SETTINGS).solve_batch(REQUEST, theta, tile(len(theta)))
    native = BatchIntegrator(**SETTINGS).solve_batch(REQUEST, theta, tile(len(theta)))
    np.testing.assert_array_equal(found.status, native.status)
    assert np.isnan(found.values[found.status != Status.OK]).all()


@pytest.mark.gpu
@pytest.mark.parametrize("n", [1, 33, 20_000])
def test_a_subject_is_the_same_alone_and_among_many(gpu, n):
    order = np.random.default_rng(n).integers(0, len(HEALTHY), n)
    integrator = CudaIntegrator(**SETTINGS)
    alone = [integrator.solve_batch(REQUEST, thetas(change), tile(1)) for change in HEALTHY]
    together = integrator.solve_batch(REQUEST, thetas(*(HEALTHY[i] for i in order)), tile(n))
    for i, single in enumerate(alone):
        for many, one in zip(together, single, strict=True):
            np.testing.assert_array_equal(many[order == i], np.broadcast_to(one, (np.sum(order == i), *one.shape[1:])))


@pytest.mark.gpu
def test_single_precision_is_as_good_as_its_tolerance(gpu):
    request, theta, events = problem(model_called("isb2001"), "depot", "ug/kg", 9.0, "nACT", 3.0, 200)
    found = SINGLE.solve_batch(request, theta, events)
    native = BatchIntegrator(rtol=1e-8).solve_batch(request, theta, events)
    scale = np.abs(native.values).max(axis=1, keepdims=True)
    np.testing.assert_allclose(found.values / scale, native.values / scale, atol=1e-3)


def test_the_benchmark_says_plainly_that_there_is_no_gpu(repo_root):
    try:
        cuda_device.found_cupy()
    except SolveError:
        pass
    else:
        pytest.skip("there is a GPU")
    done = subprocess.run([sys.executable, repo_root / "scripts/bench_gpu.py"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Nothing was measured: CudaIntegrator needs ")
    assert not done.stdout
