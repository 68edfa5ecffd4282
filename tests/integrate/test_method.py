"""The cheaper method, Rodas4P, in the native engine: its order, its derivatives, and the same steps as in the other."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from systems import TMDD, TwoCompartment, two_compartment_bolus

from qspx import AUC, AbstractModel, Max, Parameter, Regimen, Species, simulate
from qspx._errors import SolveError
from qspx.dose_events import DoseEvents, dose_events
from qspx.integrate import BatchIntegrator, DiffraxIntegrator, Rodas4P, Rodas5P, SolveRequest

BOLUS = Regimen.single(90, "nmol", "C1")
TIMES = (0.3, 1.0, 2.5, 6.0)


class Seasons(AbstractModel):
    """y' = cos(t) y from 1: exp(sin t)."""

    y = Species("1")
    k = Parameter(1.0, "1/day")
    once = Parameter(1.0, "day")

    def initial(self, p):
        return {"y": 1.0}

    def rates(self, t, y, p):
        return {"y": p.k * jnp.cos(t / p.once) * y.y}


@pytest.mark.parametrize(("method", "order"), [(Rodas4P(), 4), (Rodas5P(), 5)], ids=["Rodas4P", "Rodas5P"])
def test_the_error_falls_with_the_steps_as_the_order_says(method, order):
    """Of the largest error along the run, whose dense output has local errors of the same order: one time alone may
    sit where the error changes its sign."""
    times, points = np.linspace(0.1, 9, 90), []
    for rtol in 10.0 ** -np.arange(4, 10):
        integrator = BatchIntegrator(float(rtol), method=method)
        found = simulate(Seasons(), Regimen.single(0, "", "y"), times, integrator=integrator)
        points.append((found.steps, np.abs(found["y"] / np.exp(np.sin(times)) - 1).max()))
    slope = -np.polyfit(*np.log(np.array(points)).T, 1)[0]
    assert slope == pytest.approx(order, abs=0.4)  # a table with a wrong digit falls back to order 1 or 2


def test_it_takes_the_steps_of_the_same_method_in_the_other_engine():
    request = SolveRequest(TMDD(), TIMES, ("C", "RC"), (AUC("C"), Max("RC")), 0.0, 6.0)
    events = DoseEvents(*(field[None] for field in dose_events(Regimen.single(30, "nmol", "C"), TMDD())))
    found = [
        engine.solve_batch(request, TMDD().theta[None], events)
        for engine in (BatchIntegrator(method=Rodas4P()), DiffraxIntegrator(Rodas4P()), BatchIntegrator())
    ]
    assert found[0].steps[0] == pytest.approx(found[1].steps[0], abs=2) and found[0].steps[0] > found[2].steps[0]
    # rounding moves the end of a step a little, and the error by as much of itself
    np.testing.assert_allclose(found[0].values, found[1].values, rtol=1e-8)
    np.testing.assert_allclose(found[0].summaries, found[1].summaries, rtol=1e-8)
    np.testing.assert_allclose(found[0].values, found[2].values, rtol=1e-4)  # at rtol 1e-6, some hundred steps


def test_derivatives_are_those_of_the_closed_form():
    """In both modes; the dense output is of order 3, so samples inside steps are good to about 1e-7 here."""
    model = TwoCompartment()
    request = SolveRequest(model, TIMES, ("C1",), (), 0.0, 6.0)
    integrator, events = BatchIntegrator(rtol=1e-10, atol=1e-13, method=Rodas4P()), dose_events(BOLUS, model)

    def f(theta):
        return integrator.solve_one(request, theta, events)[0][:, 0]

    def closed(theta):
        V, k10, k12, k21 = theta
        total, root = k10 + k12 + k21, jnp.sqrt((k10 + k12 + k21) ** 2 - 4 * k10 * k21)
        fast, slow, t = (total + root) / 2, (total - root) / 2, jnp.array(TIMES)
        share = (fast - k21) * jnp.exp(-fast * t) + (k21 - slow) * jnp.exp(-slow * t)
        return 90 / V * share / (fast - slow)

    theta = jnp.asarray(model.theta)
    np.testing.assert_allclose(f(theta), two_compartment_bolus(np.array(TIMES), 90), rtol=1e-7)
    exact = jax.jacfwd(closed)(theta)
    for mode in (jax.jacfwd, jax.jacrev):
        np.testing.assert_allclose(mode(f)(theta), exact, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.jacfwd(f)(theta), jax.jacrev(f)(theta), rtol=1e-10, atol=1e-12)


def test_the_manifest_names_it():
    assert BatchIntegrator(method=Rodas4P()).settings["solver"] == "Rodas4P"
    assert BatchIntegrator(method=Rodas4P()) != BatchIntegrator()
    assert BatchIntegrator(method=Rodas5P()) == BatchIntegrator()


def test_native_settings_keep_the_methods_apart():
    """One model, one request: two programs."""
    found = [
        simulate(TwoCompartment(), BOLUS, [5.0], integrator=BatchIntegrator(1e-4, method=m)).steps
        for m in (Rodas4P(), Rodas5P(), Rodas4P())
    ]
    assert found[0] == found[2] != found[1]


def test_single_precision_takes_it():
    with pytest.warns(UserWarning, match="float32"):
        integrator = BatchIntegrator(rtol=1e-4, atol=1e-9, precision="float32", method=Rodas4P())
    found = simulate(TwoCompartment(), BOLUS, TIMES, integrator=integrator)
    np.testing.assert_allclose(found["C1"], two_compartment_bolus(np.array(TIMES), 90), rtol=1e-3)
    with pytest.raises(SolveError):
        BatchIntegrator(precision="float32", method=Rodas4P())
