"""Values below a limit where the prediction is exactly zero: that is certain, so they say nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from population_systems import TIGHT, Oral

from qspx import Estimated, LogAdditive, Proportional
from qspx._errors import CalibrationError
from qspx.nlme import (
    Endpoint,
    Laplace,
    PopulationData,
    PopulationObjective,
    PopulationProblem,
    RandomEffect,
    fit_population,
)
from qspx.nlme.likelihood import deviance, information


def test_without_variance_a_prediction_below_the_limit_is_certain():
    def of(f, censored):  # a proportional error
        return deviance(jnp.asarray(1.0), f, 0.01 * f**2, jnp.asarray(censored))

    for value in (of(0.0, -1), jax.grad(of)(0.0, -1), jax.hessian(of)(0.0, -1)):
        assert value == 0.0
    assert information(jnp.asarray(1.0), 0.0, jnp.asarray(0.0), jnp.asarray(0.0), jnp.asarray(-1)) == 0.0
    assert not np.isfinite(deviance(1.0, 0.0, 0.0, jnp.asarray(0)))  # a value that was seen is impossible
    assert not deviance(1.0, 0.0, 0.0, jnp.asarray(1)) < 1e300  # as is one above the limit
    # and where there is variance: -2 log of the normal distribution function, by the error function
    want = -2 * np.log(0.5 * (1 + jax.scipy.special.erf((1.0 - 0.9) / 0.09 / np.sqrt(2))))
    assert of(0.9, -1) == pytest.approx(float(want), rel=1e-12)


@pytest.mark.parametrize("error", [Proportional("e"), LogAdditive("e")])
def test_a_value_before_the_first_dose_that_is_below_the_limit_changes_nothing(error):
    rows = [{"ID": i, "TIME": t, "AMT": 0.0, "DV": 0.3, "CENS": 1} for i in (1, 2) for t in (0.0,)]
    rows += [{"ID": i, "TIME": 1.0, "AMT": 100.0, "DV": ".", "CENS": 0} for i in (1, 2)]
    rows += [
        {"ID": i, "TIME": t, "AMT": 0.0, "DV": v, "CENS": c}
        for i in (1, 2)
        for t, v, c in ((2.0, 1.5 + 0.2 * i, 0), (6.0, 1.0, 0), (60.0, 0.3, 1))
    ]
    frame = pd.DataFrame(rows).sort_values(["ID", "TIME"], kind="stable")

    def problem(frame):
        data = PopulationData.read(frame, Oral(), Endpoint("CP"), unit="mg", time_unit="h", compartments={1: "depot"})
        estimated = [Estimated("CL", (0.1, 50.0), 3.0), Estimated("e", (0.01, 3.0), 0.4)]
        return PopulationProblem(data, estimated, [RandomEffect("CL")], {"CP": error}, integrator=TIGHT)

    with_it, without = (problem(f) for f in (frame, frame[frame["TIME"] > 0]))
    found = PopulationObjective(with_it, Laplace())(with_it.start)
    want = PopulationObjective(without, Laplace())(without.start)
    assert (found.status == 0).all() and len(with_it.data.value) == len(without.data.value) + 2
    np.testing.assert_allclose(found.each, want.each, rtol=1e-8)
    np.testing.assert_allclose(found.gradients, want.gradients, rtol=1e-5, atol=1e-7)  # of solves to 1e-10


def test_a_value_that_was_seen_where_nothing_is_predicted_is_named():
    frame = pd.DataFrame({"ID": [1, 1, 2, 2], "TIME": [0.0, 1.0] * 2, "AMT": [0, 1.0] * 2, "DV": [0.3, "."] * 2})
    data = PopulationData.read(frame, Oral(), Endpoint("CP"), unit="mg", time_unit="h", compartments={1: "depot"})
    estimated = [Estimated("CL", (0.1, 50.0), 3.0)]
    problem = PopulationProblem(data, estimated, [RandomEffect("CL")], {"CP": LogAdditive(0.3)}, integrator=TIGHT)
    with pytest.raises(CalibrationError, match="NONFINITE is also a measurement without a likelihood"):
        fit_population(problem, progress=False)
