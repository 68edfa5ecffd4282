"""From measurements to a first dose: a fitted population goes into `compare_doses` as any other."""

import numpy as np
import pandas as pd
import pytest
from population_systems import Bolus

import qspx
from qspx import nlme
from qspx.fih import Escalation, compare_doses
from qspx.fih.qsp import Qsp


@pytest.mark.slow
def test_a_fitted_population_compares_doses():
    rng, rows = np.random.default_rng(2), []
    for i in range(40):
        v, cl = 4.0 * np.exp(0.2 * rng.normal()), 0.5 * np.exp(0.3 * rng.normal())
        rows.append({"ID": i, "TIME": 0.0, "AMT": 300.0, "DV": np.nan})
        for t in (0.1, 3.0, 10.0, 21.0):
            c = 300.0 / v * np.exp(-cl / v * t + 0.1 * rng.normal())  # nmol/L
            rows.append({"ID": i, "TIME": t, "AMT": 0.0, "DV": c})
    data = nlme.PopulationData.read(pd.DataFrame(rows), Bolus(), nlme.Endpoint("C"), unit="nmol", time_unit="day")
    problem = nlme.PopulationProblem(
        data,
        [qspx.Estimated("V", (0.5, 20.0)), qspx.Estimated("CL", (0.02, 5.0)), qspx.Estimated("sd", (0.01, 1.0), 0.2)],
        [nlme.RandomEffect("V"), nlme.RandomEffect("CL")],
        {"C": qspx.LogAdditive("sd")},
    )
    fit = nlme.fit_population(problem, nlme.FO(), progress=False)
    assert fit.converged and fit.parameters["V"] == pytest.approx(4.0, rel=0.15)
    cohort = qspx.sample_cohort(problem.model, fit.distribution(), 300, key=1, parameters=fit.typical())
    single = qspx.Regimen.single(1.0, "ug/kg", "C")
    method = Qsp(metric=qspx.Max("C", end=1.0), threshold=50.0, regimen=single, label="peak of 50 nM")
    escalation = Escalation(single, (10.0, 100.0, 1000.0))
    rationale = compare_doses(problem.model, cohort, escalation, [method], key=0, progress=False)
    # nM · L · g/mol = ng. The peak is dose / V, and that of 95 % of the subjects counts: V is log-normal.
    volume = fit.parameters["V"] * np.exp(-1.645 * np.sqrt(fit.omega[0, 0]))
    expected = 50.0 * volume * 150_000.0 / 70.0 * 1e-3
    assert rationale.estimates[0].dose_ug_per_kg == pytest.approx(expected, rel=0.05)  # 300 subjects
