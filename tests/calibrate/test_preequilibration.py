"""Arms that begin at a steady state: closed forms, also of the gradient, with a conserved amount."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from qspx import (
    AbstractModel,
    Additive,
    Arm,
    AutomaticIntegrator,
    CalibrationProblem,
    Dose,
    Estimated,
    Measurements,
    Parameter,
    PreEquilibration,
    Regimen,
    Species,
)

TIGHT = AutomaticIntegrator(rtol=1e-10, atol=1e-14)


class Turnover(AbstractModel):
    """A response turns over; a protein is phosphorylated and back, its total conserved. A dose adds response."""

    time_unit = "h"
    R = Species("nM")
    A = Species("nM", "unphosphorylated")
    B = Species("nM", "phosphorylated")
    kin = Parameter(2.0, "nM/h")
    kout = Parameter(0.5, "1/h")
    kf = Parameter(1.0, "1/h")
    kb = Parameter(3.0, "1/h")
    total = Parameter(8.0, "nM")
    stimulus = Parameter(1.0, "", scale="lin")

    def initial(self, p):
        return {"A": p.total}

    def rates(self, t, y, p):
        net = p.stimulus * p.kf * y.A - p.kb * y.B
        return {"R": p.kin - p.kout * y.R, "A": -net, "B": net}


MODEL = Turnover()
FRAME = pd.DataFrame(
    [("R", "rest", 0.0, 4.1), ("B", "rest", 0.5, 2.2), ("R", "dosed", 1.0, 9.0), ("B", "high", 0.3, 3.0),
     ("R", "fresh", 2.0, 2.0)],
    columns=["observable", "arm", "time", "value"],
)  # fmt: skip
BEFORE = PreEquilibration(100.0, {"stimulus": 0.5})
ESTIMATED = [Estimated("kin", (0.01, 100.0)), Estimated("kout", (1e-4, 10.0)), Estimated("kf", (0.01, 10.0)),
             Estimated("total", (1.0, 100.0), scale="lin"), Estimated("much", (1.0, 10.0), value=3.0)]  # fmt: skip
X = {"kin": 2.2, "kout": 0.6, "kf": 1.3, "total": 7.0, "much": 2.5}


def by_hand(kin, kout, kf, total, much, xp: Any = np):
    """Predictions: `fresh` begins at the initial values, the others at the steady state of half the stimulus; `high`
    has `much` of it afterwards."""

    def phosphorylated(t, stimulus):
        start, rest = total * 0.5 * kf / (0.5 * kf + 3.0), total * stimulus * kf / (stimulus * kf + 3.0)
        return rest + (start - rest) * xp.exp(-(stimulus * kf + 3.0) * t)

    rest = kin / kout
    return xp.stack([
        rest, phosphorylated(0.5, 1.0), rest + 10.0 * xp.exp(-kout), phosphorylated(0.3, much),
        rest * (1 - xp.exp(-2.0 * kout)),
    ])  # fmt: skip


@pytest.fixture(scope="module")
def problem():
    m = Measurements.from_dataframe(FRAME, MODEL, time_unit="h", units="nM")
    dosed = Regimen((Dose(10.0, "nM", "R"),), "h")
    return CalibrationProblem(
        MODEL,
        m,
        ESTIMATED,
        Additive(0.5),
        {"rest": None, "dosed": Arm("dosed", dosed), "high": None, "fresh": None},
        per_arm={"stimulus": {"high": "much"}},
        preequilibration=dict.fromkeys(("rest", "dosed", "high"), BEFORE),
        integrator=TIGHT,
    )


def test_arms_begin_at_the_steady_state(problem):
    np.testing.assert_allclose(problem.predict(X)["prediction"], by_hand(**X), rtol=1e-8)
    assert len(problem.objective.phases[0].runs) == 1  # arms that are alike before share a run


def test_log_likelihood_and_gradient(problem):
    """Of the closed form: R = kin / kout, and B = total * s kf / (s kf + kb) from the conserved total."""
    x = np.asarray(problem.coordinates(X))
    value, gradient = (np.asarray(a)[0] for a in problem.objective.values_and_gradients(x[None]))
    seen = np.asarray(FRAME["value"])

    def exact(x):
        values = dict(zip(problem.names, problem.objective.natural(x), strict=True))
        return -0.5 * (((seen - by_hand(**values, xp=jax.numpy)) / 0.5) ** 2).sum()

    np.testing.assert_allclose(value, norm.logpdf(seen, by_hand(**X), 0.5).sum(), rtol=1e-8)
    np.testing.assert_allclose(gradient, jax.grad(exact)(x), rtol=1e-6, atol=1e-7)


def test_a_start_that_never_rests_fails_alone(problem):
    x = np.stack([problem.coordinates(X), problem.coordinates(X | {"kout": 2e-4}), problem.coordinates({})])
    values, gradients = problem.objective.values_and_gradients(x)
    assert values[1] == -np.inf and (gradients[1] == 0).all()
    alone = problem.objective.values_and_gradients(x[:1])
    np.testing.assert_allclose(values[0], alone[0][0], rtol=1e-12)
    np.testing.assert_allclose(gradients[0], alone[1][0], rtol=1e-9)
    assert np.isfinite(values[2])
    text = problem.diagnose(x[1])
    assert "arm `rest`: not_steady; no steady state was reached" in text and "fresh" not in text
    found = problem.predict(x[1])
    assert list(found["status"]) == ["not_steady"] * 4 + ["ok"]
    assert np.isnan(found["prediction"][:4]).all() and np.isfinite(found["prediction"][4])
