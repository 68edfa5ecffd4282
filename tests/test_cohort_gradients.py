"""Derivatives through `simulate_cohort`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from systems import OneCompartment

from qspx import AUC, Cohort, Protocol, Regimen, simulate_cohort
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
