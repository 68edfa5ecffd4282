"""`simulate`: one subject. The numbers are tested with the stepping loop; here the interface."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest
from systems import TMDD, OneCompartment, Trouble, TwoCompartment, concentration, two_compartment_bolus

from qspx import AUC, Dose, Max, Parameter, Regimen, Species, simulate
from qspx._errors import ModelError, SolveError
from qspx._status import Status
from qspx.integrate import BatchIntegrator, DiffraxIntegrator
from qspx.model import AbstractModel
from qspx.simulation import solve_request

MODEL = OneCompartment()
BOLUS = Regimen.single(100, "nmol", "C")


def test_two_compartments_equal_the_closed_form():
    t = np.linspace(0, 20, 9)
    found = simulate(TwoCompartment(), Regimen.single(90, "nmol", "C1"), t, integrator=DiffraxIntegrator(rtol=1e-10))
    np.testing.assert_allclose(found["C1"], two_compartment_bolus(t, 90), rtol=1e-8)


@pytest.fixture(scope="module")
def solution():
    return simulate(MODEL, BOLUS, [0.0, 1.0, 7.0], parameters={"CL": 0.6}, summaries=[Max("C"), AUC("C", 0, 7)])


def test_a_solution_has_every_observable_by_default(solution):
    p = {name: q.value for name, q in MODEL.parameters.items()} | {"CL": 0.6}
    expected = concentration(solution.times, BOLUS.doses, p)
    np.testing.assert_allclose(solution["C"], expected, rtol=1e-5)  # default rtol is 1e-6 a step
    assert solution.observables == ("depot", "C")
    assert list(solution.summaries) == ["max(C)", "auc(C, 0..7)"]
    assert (solution.status, solution.values.shape) == (Status.OK, (3, 2))
    assert solution.steps > 5
    with pytest.raises(SolveError, match=r"`c` was not asked for.*\['depot', 'C'\].*Did you mean `C`"):
        solution["c"]


def test_a_solution_as_a_table_and_as_a_figure(solution):
    frame = solution.to_dataframe()
    assert list(frame) == ["time", "depot", "C"]
    assert frame.attrs["units"] == {"time": "day", "depot": "nmol", "C": "nM"}
    axes = solution.plot("C")
    assert axes.get_ylabel() == "C (nM)" and axes.get_xlabel() == "time (day)"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), solution["C"])


def test_observables_can_be_chosen():
    m = TMDD()
    found = simulate(m, Regimen.single(30, "nmol", "C"), [0.0, 1.0], observables=["occupancy", "C"])
    assert found.observables == ("occupancy", "C")
    assert 0 < found["occupancy"][1] < 1


def test_the_run_starts_with_the_first_dose_or_sample_or_at_zero():
    def start(at, times, model=MODEL, unit="day"):
        regimen = Regimen.single(1, "nmol", "C", at=at)
        return solve_request(model, [Regimen(regimen.doses, unit)], times, ["C"], [Max("C", 1, 9)])

    assert start(2.0, [5.0]).t0 == 0.0
    assert start(-3.0, [5.0]).t0 == -3.0
    assert start(-48.0, [5.0], unit="h").t0 == -2.0
    assert start(0.0, [-7.0, 5.0]).t0 == -7.0
    assert start(0.0, [5.0]).t1 == 9.0
    assert start(0.0, [50.0]).t1 == 50.0


@pytest.mark.parametrize(
    "arguments, kind, words",
    [
        (dict(times=[0, 2, 1]), SolveError, ("`times`", "increasing")),
        (dict(times=[0, np.nan]), SolveError, ("`times`", "finite")),
        (dict(times=[]), SolveError, ("nothing to simulate", "`times`", "summaries")),
        (dict(times=[1.0], observables=["c"]), ModelError, ("`c`", "Did you mean `C`?")),
        (dict(times=[1.0], summaries=[Max("c")]), ModelError, ("`c`", "Did you mean `C`?")),
        (dict(times=[1.0], parameters={"Cl": 1.0}), ModelError, ("`Cl`", "Did you mean `CL`?")),
        (dict(times=[1.0], regimen=Regimen.single(1, "nmol", "c")), ModelError, ("`c`", "Did you mean `C`?")),
        (dict(times=[0.0]), SolveError, ("nothing to simulate", "start at 0 and end at 0")),
    ],
)
def test_mistakes_are_found_before_the_solve(arguments, kind, words):
    with pytest.raises(kind) as error:
        simulate(MODEL, **({"regimen": BOLUS} | arguments))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"b": 2.0}, ("Trouble", "stopped at 0.575", "steps", "blow-up")),
        ({"k": np.nan}, ("stopped at 0 day", "NONFINITE", "not a finite number (k)")),
        ({"w": 1e6}, ("MAX_STEPS", "after 2000 steps", "`max_steps`")),
    ],
)
def test_a_failed_solve_says_when_and_why(parameters, words):
    with pytest.raises(SolveError) as error:
        simulate(Trouble(), Regimen.single(1, "nmol", "x"), [4.0], parameters=parameters,
                 integrator=DiffraxIntegrator(max_steps=2000))  # fmt: skip
    for word in words:
        assert word in str(error.value)


def test_float32_is_refused():
    with jax.enable_x64(False), pytest.raises(SolveError, match="float64, but jax is set to float32.*enable_x64"):
        simulate(MODEL, BOLUS, [1.0])


def test_samples_before_and_after_a_dose():
    """One compartment, boluses of 1 every day: the value before dose k is the sum of what is left of those before."""
    regimen, k = Regimen.repeated(1.0, "nmol", "x", every=1.0, n=3), 0.7

    class Decay(AbstractModel):
        x = Species("nmol")
        k = Parameter(0.7, "1/day")

        def rates(self, t, y, p):
            return {"x": -p.k * y.x}

    before = np.array([0.0, np.exp(-k), np.exp(-k) + np.exp(-2 * k)])
    times = [0.0, 1.0, 2.0]
    twice = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    for integrator in (BatchIntegrator(rtol=1e-9), DiffraxIntegrator(rtol=1e-9)):
        solve = partial(simulate, Decay(), regimen, observables=["x"], integrator=integrator)
        np.testing.assert_allclose(solve(times, before=True)["x"], before, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(solve(times)["x"], before + 1, rtol=1e-8)
        both = solve(twice, before=[True, False] * 3)["x"]
        np.testing.assert_allclose(both, np.stack([before, before + 1], axis=1).ravel(), rtol=1e-8, atol=1e-12)
    with pytest.raises(SolveError, match="one of them per time"):
        simulate(Decay(), regimen, times, before=[True])
    with pytest.raises(SolveError, match="increasing"):
        simulate(Decay(), regimen, [0.0, 0.0])


# advice -------------------------------------------------------------------------------------------------------------


def test_a_steady_state_added_to_a_state_that_is_used_up_says_so():
    """Both steady states take the target down from its initial value; together they would take more than there is."""
    model = TMDD()
    dose = {"every": 1.0, "unit": "nmol", "into": "C"}
    regimen = Regimen((Dose(50.0, steady_state=1, **dose), Dose(50.0, at=0.5, steady_state=2, **dose)))
    with pytest.raises(SolveError, match=r"DT_MIN\. the steady state of the dose at 0\.5 day is added.*steady_state=1"):
        simulate(model, regimen, [1.0])


def test_a_dose_before_the_run_is_told_from_a_failing_solve():
    with pytest.raises(SolveError, match=r"NONFINITE\. a dose would arrive before the run begins \(negative lag\)"):
        simulate(Late(), Regimen((Dose(1.0, "nM", "C"),)), [1.0], parameters={"lag": -1.0})


class Late(AbstractModel):
    C = Species("nM", lag="lag")
    lag = Parameter(0.0, "day", scale="lin")
    k = Parameter(1.0, "1/day")

    def rates(self, t, y, p):
        return {"C": -p.k * y.C}
