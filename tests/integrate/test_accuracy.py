"""Both engines against solutions by others: published ones, and SciPy at a tight tolerance.

A tolerance bounds the error of a step, not of the solution, so the error of a solution is held to a multiple of it. The
multiples are twice to four times what was found, so that another processor's rounding passes and a lost order does not.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
from scipy.integrate import odeint

import qspx
from qspx._status import Status
from qspx.dose_events import DoseEvents, dose_events, subject_doses
from qspx.integrate import BatchIntegrator, BatchSolution, DiffraxIntegrator, SolveRequest

ROOT = Path(__file__).parents[2]
WORKLOADS = ROOT / "experiments" / "numerical_core" / "models"
RTOL = 1e-7
OF_RTOL = 10  # allowed error, in RTOL
APART = 10  # allowed difference of the engines, in RTOL
ENGINES = {
    "native": lambda rtol, atol: BatchIntegrator(rtol, atol, threads=1),
    "diffrax": lambda rtol, atol: DiffraxIntegrator(rtol=rtol, atol=atol, lanes=2),
}


class Case(NamedTuple):
    """A model with its doses; `atol` belongs to `RTOL`."""

    file: Path
    regimen: qspx.Regimen
    end: float
    times: tuple[float, ...]
    atol: float


def undosed(name: str, into: str, end: float, atol: float) -> Case:
    return Case(WORKLOADS / f"{name}.py", qspx.Regimen.single(0.0, "", into), end, (end,), atol)


def dosed_twice(file: Path, amount: float, unit: str, into: str, atol: float) -> Case:
    regimen = qspx.Regimen.repeated(amount, unit, into, every=3.0, n=2)
    return Case(file, regimen, 6.0, (0.25, 1.25, 2.75, 3.25, 4.0, 5.75), atol)


# Test Set for IVP Solvers (Mazzia & Magherini, release 2.4, University of Bari, 2008), problems ROBER and HIRES;
# RADAU5 in quadruple precision for HIRES. The same numbers are on the pages of Hairer & Wanner, Solving ODEs II.
PUBLISHED = {
    "Robertson at 1e11": (
        undosed("robertson", "A", 1e11, 1e-19),
        (0.2083340149701255e-07, 0.8333360770334713e-13, 0.9999999791665050),
    ),
    "HIRES at 321.8122": (
        undosed("hires", "y1", 321.8122, 1e-11),
        (
            0.7371312573325668e-3,
            0.1442485726316185e-3,
            0.5888729740967575e-4,
            0.1175651343283149e-2,
            0.2386356198831331e-2,
            0.6238968252742796e-2,
            0.2849998395185769e-2,
            0.2850001604814231e-2,
        ),
    ),
}
DOSED = {
    "cascade": dosed_twice(WORKLOADS / "casc48.py", 30.0, "nM", "L", 1e-10),
    "Hill terms and a circadian input": dosed_twice(WORKLOADS / "hill_input.py", 100.0, "nmol", "A", 1e-10),
    "ISB 2001": dosed_twice(ROOT / "models" / "isb2001.py", 5.0, "ug/kg", "depot", 1e-13),
    "Schropp 2019": dosed_twice(ROOT / "models" / "schropp2019.py", 335.0, "nmol", "AD", 1e-11),
    "Penney 2025": dosed_twice(ROOT / "models" / "penney2025.py", 0.01, "mg/kg", "C", 1e-13),
}
LARGE = ("cascade", "ISB 2001")
"""Tier 3 compiles them for long."""


@functools.cache
def loaded(file: Path) -> qspx.AbstractModel:
    return qspx.load_model(file)


def two_subjects(model: qspx.AbstractModel) -> np.ndarray:
    """The typical subject, and one whose free parameters are spread by 20 %."""
    free = [p.bounds is None and p.tag != "constant" for p in model.parameters.values()]
    factors = np.exp(0.2 * np.random.default_rng(4).standard_normal(len(free)) * np.array(free))
    return np.stack([model.theta, model.theta * factors])


@functools.cache
def solved(case: Case, engine: str, rtol: float = RTOL) -> BatchSolution:
    model = loaded(case.file)
    theta = two_subjects(model) if len(case.times) > 1 else model.theta[None]
    one = dose_events(case.regimen, model)
    events = DoseEvents(*(np.tile(field, (len(theta), 1)) for field in one))
    request = SolveRequest(model, case.times, tuple(model.species), (), 0.0, case.end)
    return ENGINES[engine](rtol, case.atol * rtol / RTOL).solve_batch(request, theta, events)


@functools.cache
def by_scipy(case: Case) -> np.ndarray:
    """LSODA (ODEPACK) at rtol 1e-11 with the exact Jacobian, from dose to dose, shape (subjects, times, states)."""
    model = loaded(case.file)
    f, J = jax.jit(model.rates_vector), jax.jit(jax.jacfwd(model.rates_vector, argnums=1))
    found = []
    for theta in two_subjects(model):
        doses = subject_doses(model, theta, dose_events(case.regimen, model), np)
        y, kept = np.array(model.initial_vector(theta)), []
        edges = [*np.asarray(doses.start), case.end]
        for k, (a, b) in enumerate(zip(edges, edges[1:], strict=False)):
            y[int(doses.species[k])] += float(doses.jump[k])
            inside = [t for t in case.times if a < t < b]
            options = {"args": (theta,), "tfirst": True, "mxstep": 100_000, "tcrit": [b]}
            states = odeint(
                lambda *z: np.asarray(f(*z)),
                y,
                [a, *inside, b],
                Dfun=lambda *z: np.asarray(J(*z)),
                rtol=1e-11,
                atol=1e-3 * case.atol,
                **options,
            )
            kept.extend(states[1:-1])
            y = states[-1].copy()
        found.append(kept)
    return np.array(found)


def error(states: np.ndarray, expected: np.ndarray, atol: float) -> float:
    """Largest |y - ref| / (|ref| + 1e-3 max_t |ref|); states that stay below 1,000 atol carry no digits."""
    peak = np.abs(expected).max(axis=1, keepdims=True)
    difference = np.abs(states - expected) / (np.abs(expected) + 1e-3 * np.where(peak > 0, peak, 1.0))
    return float(difference[np.broadcast_to(peak >= 1e3 * atol, difference.shape)].max())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_reference_solution(name, engine):
    case, expected = PUBLISHED[name]
    solution = solved(case, engine)
    assert solution.status[0] == Status.OK
    np.testing.assert_allclose(solution.values[0, 0], expected, rtol=OF_RTOL * RTOL)


def light(name: str):
    return pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name


DOSED_ON_EACH = [
    pytest.param(n, e, marks=[pytest.mark.slow] * (e == "diffrax" and n in LARGE)) for n in DOSED for e in ENGINES
]


@pytest.mark.parametrize(("name", "engine"), DOSED_ON_EACH)
def test_scipy_at_a_tight_tolerance(name, engine):
    case = DOSED[name]
    solution = solved(case, engine)
    np.testing.assert_array_equal(solution.status, Status.OK)
    assert error(solution.values, by_scipy(case), case.atol) <= OF_RTOL * RTOL


@pytest.mark.parametrize("name", [*PUBLISHED, *map(light, DOSED)])
def test_the_engines_agree(name):
    case = DOSED[name] if name in DOSED else PUBLISHED[name][0]
    native, portable = solved(case, "native"), solved(case, "diffrax")
    assert error(native.values, portable.values, case.atol) <= APART * RTOL


@pytest.mark.slow
@pytest.mark.parametrize("name", DOSED)
def test_a_tighter_tolerance_gives_a_smaller_error(name):
    """Four decades of tolerance are at least two and a half of error."""
    case = DOSED[name]
    loose, tight = (error(solved(case, "native", rtol).values, by_scipy(case), case.atol) for rtol in (1e-4, 1e-8))
    assert tight <= loose / 300
