"""Individuals start from the model's initial values at their first record, wherever that is in time."""

import numpy as np
import pandas as pd
import pytest
from population_systems import TIGHT, Decay

from qspx import Additive, Estimated, EventTable
from qspx.nlme import Endpoint, PopulationData, PopulationProblem, RandomEffect
from qspx.nlme.individuals import Individuals
from qspx.table_run import simulate_table


def begun(rows):
    """Predictions for typical parameters, and those of `simulate_table` for the same observations."""
    frame = pd.DataFrame(rows, columns=["ID", "TIME", "AMT", "EVID", "DV"]).assign(CMT=1)
    data = PopulationData.read(frame, Decay(), Endpoint("C"), unit="mg/L", time_unit="h")
    problem = PopulationProblem(
        data, [Estimated("ke", (0.01, 1.0), 0.2)], [RandomEffect("ke")], {"C": Additive(1.0)}, integrator=TIGHT
    )
    individuals = Individuals(problem)
    u = np.full((len(data), 1), np.log(0.2))
    f, status = individuals.predict(u)
    assert (np.asarray(status) == 0).all()
    table = EventTable.read(frame, Decay(), unit="mg/L", time_unit="h")
    want = simulate_table(Decay(), table, parameters={"ke": 0.2}, integrator=TIGHT)["C"].to_numpy()
    return np.asarray(f)[individuals.place], want[table.observations], individuals


def test_a_first_record_after_time_zero():
    rows = [(i, t, a, e, v) for i in (1, 2) for t, a, e, v in ((24, 0.001, 1, "."), (25, ".", 0, 7.0), (29, ".", 0, 3))]
    found, want, _ = begun(rows)
    # closed form: (C0 + dose) exp(-ke (t - 24)); relative error as far as the solver's tolerance of 1e-10 adds up
    closed = 10.001 * np.exp(-0.2 * np.array([1.0, 5.0, 1.0, 5.0]))
    np.testing.assert_allclose(found, closed, rtol=1e-7)
    np.testing.assert_allclose(found, want, rtol=1e-7)


def test_each_individual_has_a_first_record_of_its_own():
    rows = [(1, 0, ".", 0, 9.0), (1, 5, ".", 0, 4.0)]
    rows += [(2, 24, ".", 0, 9.0), (2, 24, 5.0, 1, "."), (2, 25, ".", 0, 12.0)]  # a value above its first dose
    rows += [(3, 2, ".", 2, "."), (3, 3, ".", 0, 8.0)]  # starts without anything being given
    found, want, individuals = begun(rows)
    closed = [10.0, 10 * np.exp(-1.0), 10.0, 15 * np.exp(-0.2), 10 * np.exp(-0.2)]
    np.testing.assert_allclose(found, closed, rtol=1e-7)
    np.testing.assert_allclose(found, want, rtol=1e-7)
    slope = np.asarray(individuals.jets(np.full((3, 1), np.log(0.2))).slope)[..., 0][individuals.place]
    elapsed = np.array([0.0, 5.0, 0.0, 1.0, 1.0])  # d f / d log ke = -ke elapsed f
    np.testing.assert_allclose(slope, -0.2 * elapsed * np.array(closed), rtol=1e-6, atol=1e-12)


def test_values_at_a_start_are_read_as_such():
    frame = pd.DataFrame({"ID": 1, "TIME": [60.0, 60.0, 120.0], "AMT": [0.0, 1.0, 0.0], "DV": [1.0, np.nan, 2.0]})
    data = PopulationData.read(frame, Decay(), Endpoint("C"), unit="mg/L", time_unit="min")
    assert data.begin == pytest.approx(1.0) and (data.before & (data.time == data.begin[data.individual])).tolist() == [
        True,
        False,
    ]
