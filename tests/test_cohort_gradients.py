"""Derivatives through `simulate_cohort`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from systems import OneCompartment

from qspx import AUC, AbstractModel, Arm, Cohort, Dose, Parameter, Protocol, Regimen, Species, simulate_cohort
from qspx._errors import SolveError
from qspx._status import Status


def test_gradients_flow_through_a_cohort_run():
    """Mean AUC of boluses: dose / CL up to the end of the window; its gradient by each subject's clearance is known."""
    model = OneCompartment()
    theta = np.tile(model.theta, (5, 1)) * np.exp(0.2 * np.random.default_rng(0).standard_normal((5, 1)))
    cohort = Cohort(model, theta, np.full(5, Status.OK))
    protocol = Protocol.escalation(Regimen.single(1, "nmol", "C"), [10.0, 30.0], times=(1.0, 2.0), observables=("C",))
    summaries = [AUC("C", 0, 5)]

    def loss(theta):
        run = simulate_cohort(model, dataclasses.replace(cohort, theta=theta), protocol, summaries=summaries)
        return jnp.mean(run.metrics["auc(C, 0..5)"]) + jnp.mean(run.trajectories["C"] ** 2)

    value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.asarray(theta))
    stored = simulate_cohort(model, cohort, protocol, summaries=summaries, progress=False)
    expected = stored.metrics["auc(C, 0..5)"].mean() + (stored.trajectories["C"] ** 2).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    h, quick = 1e-5, jax.jit(loss)
    for i in range(5):
        for j in range(theta.shape[1]):
            step = np.zeros_like(theta)
            step[i, j] = h * theta[i, j]
            difference = (quick(theta + step) - quick(theta - step)) / (2 * h * theta[i, j])
            np.testing.assert_allclose(gradient[i, j], difference, rtol=2e-4, atol=2e-4)
    with pytest.raises(SolveError, match="out"):
        jax.grad(lambda th: simulate_cohort(model, dataclasses.replace(cohort, theta=th), protocol, out="x").status)(
            jnp.asarray(theta)
        )


class Lagged(AbstractModel):
    time_unit = "h"
    x = Species("mg", lag="lag")
    k = Parameter(0.3, "1/h")
    lag = Parameter(0.2, "h", scale="lin")

    def rates(self, t, y, p):
        return {"x": -p.k * y.x}


def test_a_lag_above_that_of_the_model_at_steady_state():
    """Bolus of 1 every hour: at time t after a dose exp(-k t) / (1 - exp(-k))."""
    model = Lagged()
    cohort = Cohort(model, np.tile(model.theta, (2, 1)), np.full(2, Status.OK))
    regimen = Regimen((Dose(1, "mg", "x", every=1.0, steady_state=1),), "h")
    protocol = Protocol((Arm("steady", regimen, (0.5,), ("x",)),))

    def sample(lag):
        return simulate_cohort(model, cohort.with_parameters({"lag": lag}), protocol).values("x")[0, 0, 0]

    lag, k = 3.7, 0.3  # doses arrive at 0.7, 1.7, ...: half an hour after the mark the last one is 0.8 h ago
    value, slope = jax.value_and_grad(sample)(lag)
    expected = np.exp(-0.8 * k) / (1 - np.exp(-k))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(slope, k * expected, rtol=1e-5)


def test_values_for_subjects_must_fit():
    model = Lagged()
    cohort = Cohort(model, np.tile(model.theta, (2, 1)), np.full(2, Status.OK))
    with pytest.raises(SolveError, match="one per subject"):
        cohort.with_parameters({"k": [1.0, 2.0, 3.0]})
    with pytest.raises(SolveError, match="numbers"):
        cohort.with_parameters({"k": "fast"})
