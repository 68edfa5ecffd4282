"""`simulate_table`: one row per record, the order of records at one time, and what becomes of subjects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from superposition import ENGINES, Depot, K, central
from systems import Trouble, healthy

from qspx import AbstractModel, EventTable, Parameter, Species, simulate_table
from qspx._errors import ModelError, SolveError

MODEL = Depot()


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return ENGINES[request.param](rtol=1e-10, atol=1e-12)


def table_of(records, model=MODEL, **how) -> EventTable:
    return EventTable.read(pd.DataFrame(records), model, **{"unit": "mg", "time_unit": "h"} | how)


def shown(records, engine, **how) -> np.ndarray:
    """The amount in the central compartment at each record; a record is (time, EVID, amount, what else)."""
    usual = {"ID": 1, "CMT": 2, "LAGT": 0.0, "II": 0, "ADDL": 0, "SS": 0}
    rows = [usual | {"TIME": t, "EVID": evid, "AMT": amount} | more for t, evid, amount, more in records]
    found = simulate_table(MODEL, table_of(rows), observables=["central"], integrator=engine, **how)
    assert (found["status"] == "ok").all() and len(found) == len(rows)
    return found["central"].to_numpy()


OBSERVED = (0, 0.0, {})


def at(t, what):
    return (t, *what)


def test_the_order_of_records_at_one_time_counts(engine):
    dose, reset = (1, 10.0, {}), (3, 0.0, {})
    records = [at(0, OBSERVED), at(0, dose), at(0, OBSERVED)]  # nothing yet, 10, 10
    records += [at(4, OBSERVED), at(4, dose), at(4, OBSERVED), at(4, OBSERVED), at(4, dose), at(4, OBSERVED)]
    records += [
        at(9, OBSERVED),
        at(9, dose),
        at(9, OBSERVED),
        at(9, reset),
        at(9, OBSERVED),
        at(9, dose),
        at(9, OBSERVED),
    ]
    four, nine = 10 * np.exp(-4 * K), (10 * np.exp(-4 * K) + 20) * np.exp(-5 * K)
    want = [0, 10, 10, four, four + 10, four + 10, four + 10, four + 20, four + 20]
    want += [nine, nine + 10, nine + 10, 0, 0, 10, 10]
    np.testing.assert_allclose(shown(records, engine), want, rtol=1e-8, atol=1e-12)


def test_a_trough_and_an_additional_dose_that_arrives_with_the_next(engine):
    dose, more = (1, 10.0, {}), (1, 10.0, {"II": 12, "ADDL": 2})
    records = [at(0, more), at(12, OBSERVED), at(12, dose), at(12, OBSERVED), at(20, OBSERVED), at(20, dose)]
    one = central([12.0, 20.0], [0.0, 12.0], 10)
    want = [10, one[0], one[0] + 10, one[0] + 10, one[1] + 10 * np.exp(-8 * K), one[1] + 10 * np.exp(-8 * K) + 10]
    np.testing.assert_allclose(shown(records, engine), want, rtol=1e-8)


def test_a_lagged_dose_that_arrives_with_the_next(engine):
    records = [at(0, (1, 10.0, {"LAGT": 5.0})), at(5, OBSERVED), at(5, (1, 20.0, {})), at(5, OBSERVED)]
    np.testing.assert_allclose(shown(records, engine), [0, 10, 30, 30], rtol=1e-9)


def test_a_trough_before_a_steady_state_and_before_a_reset(engine):
    steady = (1, 10.0, {"SS": 1, "II": 12})
    records = [at(0, (1, 100.0, {})), at(6, OBSERVED), at(6, steady), at(6, OBSERVED)]
    records += [at(8, OBSERVED), at(8, (4, 7.0, {})), at(8, OBSERVED)]
    level = 10 / (1 - np.exp(-12 * K))
    want = [100, 100 * np.exp(-6 * K), level, level, level * np.exp(-2 * K), 7, 7]
    np.testing.assert_allclose(shown(records, engine), want, rtol=1e-8)


class Turnover(AbstractModel):
    """Not at rest at its initial value: it shows when a subject starts."""

    x = Species("mg")
    kin = Parameter(3.0, "mg/day")
    k = Parameter(0.5, "1/day")
    x0 = Parameter(1.0, "mg")

    def initial(self, p):
        return {"x": p.x0}

    def rates(self, t, y, p):
        return {"x": p.kin - p.k * y.x}


def test_subjects_start_at_their_first_record(engine):
    def grown(x, t):
        return 6 + (x - 6) * np.exp(-0.5 * t)

    records = [{"ID": 1, "TIME": t, "AMT": 0} for t in (24.0, 48.0)]
    records += [{"ID": 2, "TIME": t, "AMT": 0} for t in (72.0, 96.0)]
    records += [{"ID": 3, "TIME": t, "AMT": a} for t, a in ((72.0, 0), (72.0, 4), (96.0, 0))]
    found = simulate_table(Turnover(), table_of(records, Turnover()), integrator=engine)
    want = [1, grown(1, 1), 1, grown(1, 1), 1, 5, grown(5, 1)]  # the model's time is in days
    np.testing.assert_allclose(found["x"], want, rtol=1e-8)
    reset = [{"ID": 1, "TIME": t, "AMT": 0, "EVID": e} for t, e in ((0, 0), (24, 0), (24, 3), (48, 0))]
    found = simulate_table(Turnover(), table_of(reset, Turnover()), integrator=engine)
    np.testing.assert_allclose(found["x"], [1, grown(1, 1), 1, grown(1, 1)], rtol=1e-8)


def test_everything_at_one_time(engine):
    np.testing.assert_allclose(shown([at(3, OBSERVED), at(3, (1, 10.0, {}))], engine), [0, 10])


MIXED = pd.DataFrame(
    {
        "ID": ["b", "b", "b", "a", "a"],
        "TIME": [0.0, 1.0, 24.0, 0.0, 12.0],
        "AMT": [100, 0, 0, 50, 0],
        "CMT": 2,
        "CL": [1.1, 1.1, 1.1, 2.2, 2.2],
    }  # fmt: skip
)


def test_the_result_has_the_records_of_the_table():
    table = table_of(MIXED)
    found = simulate_table(MODEL, table)
    assert list(found) == ["ID", "TIME", "EVID", "CP", "depot", "central", "status"]
    assert found["ID"].tolist() == ["b", "b", "b", "a", "a"] and found["EVID"].tolist() == [1, 0, 0, 1, 0]
    assert found.attrs["units"] == {"TIME": "h", "CP": "ug/L", "depot": "mg", "central": "mg"}
    assert found.attrs["ledger"] == {"ok": 2} and found.attrs["reasons"] == {}
    want = [100, 100 * np.exp(-K), 100 * np.exp(-24 * K), 50, 50 * np.exp(-24 * K)]
    np.testing.assert_allclose(found["central"], want, rtol=1e-5)  # rtol 1e-6 a step
    np.testing.assert_allclose(found["CP"], found["central"] * 50, rtol=1e-12)


def test_parameters_that_the_table_does_not_give():
    found = simulate_table(MODEL, table_of(MIXED.drop(columns="CL")), parameters={"CL": 2.2}, observables=["central"])
    np.testing.assert_allclose(found["central"][4], 50 * np.exp(-24 * K), rtol=1e-5)
    theta = np.stack([MODEL.theta_with({"CL": 2.2}), MODEL.theta])
    found = simulate_table(MODEL, table_of(MIXED), theta=theta, observables=["central"])
    np.testing.assert_allclose(found["central"][[2, 4]], [100 * np.exp(-48 * K), 50 * np.exp(-12 * K)], rtol=1e-5)


def test_a_subject_that_fails_is_told_and_stops_nobody(engine):
    model = Trouble()
    records = [{"ID": i, "TIME": t, "AMT": a} for i in (1, 2, 3) for t, a in ((0, 10), (1, 0), (2, 0))]
    frame = pd.DataFrame(records).assign(
        b=[0, 0, 0, 1, 1, 1, 0, 0, 0]
    )  # x' = x^2 - x / 2 from 10: infinite within a day
    table = table_of(frame, model, unit="nmol", time_unit="day")
    found = simulate_table(model, table, observables=["x"], integrator=engine)
    assert found["status"].eq("ok").tolist() == [True] * 3 + [False] * 3 + [True] * 3
    np.testing.assert_allclose(found["x"][:3], healthy(np.array([0, 1, 2]), 10, 0.5), rtol=1e-8)
    assert found["x"][3:6].isna().all() and found["x"][6:].notna().all()
    assert found.attrs["ledger"]["ok"] == 2 and sum(found.attrs["ledger"].values()) == 3


def test_an_impossible_subject_is_told_and_not_run(engine):
    found = simulate_table(MODEL, table_of(MIXED.assign(CL=[-1, -1, -1, 1.1, 1.1])), integrator=engine)
    assert found["status"].tolist() == ["implausible"] * 3 + ["ok"] * 2
    assert found["central"].isna().tolist() == [True] * 3 + [False] * 2
    assert found.attrs["ledger"] == {"ok": 1, "implausible": 1} and found.attrs["reasons"] == {"CL negative": 1}
    none = simulate_table(MODEL, table_of(MIXED.assign(CL=-1)), integrator=engine)
    assert none.attrs["ledger"] == {"implausible": 2} and none["CP"].isna().all()


def test_a_rate_that_is_not_positive_fails_its_subject_only(engine):
    records = [
        {"ID": i, "TIME": t, "AMT": a, "CMT": 2, "RATE": -1 if a else 0} for i in (1, 2) for t, a in ((0, 9), (3, 0))
    ]
    found = simulate_table(MODEL, table_of(pd.DataFrame(records).assign(RAT2=[0, 0, 3, 3])), integrator=engine)
    assert found["status"].tolist() == ["nonfinite", "nonfinite", "ok", "ok"]
    np.testing.assert_allclose(found["central"][3], central([3.0], 0, 9, duration=3)[0], rtol=1e-8)


def test_a_dose_before_the_run_fails_its_subject_and_the_reason_is_told():
    rows = [{"ID": s, "TIME": t, "AMT": 10 * (t == 0), "CMT": 2, "LAGT": lag} for s, lag in ((1, 0), (2, -1), (3, -2))
            for t in (0, 4)]  # fmt: skip
    found = simulate_table(MODEL, table_of(rows), observables=["central"])
    assert found["status"].tolist() == ["ok"] * 2 + ["nonfinite"] * 4
    assert found.attrs["reasons"] == {"a dose would arrive before the run begins (negative LAGT)": 2}
    assert found.attrs["ledger"] == {"ok": 1, "nonfinite": 2}


def test_subjects_do_not_depend_on_each_other(engine):
    both = simulate_table(MODEL, table_of(MIXED), integrator=engine)
    alone = simulate_table(MODEL, table_of(MIXED[MIXED["ID"] == "a"]), integrator=engine)
    np.testing.assert_allclose(both["CP"][3:], alone["CP"], rtol=1e-9)


def test_arguments_are_checked():
    table = table_of(MIXED)
    with pytest.raises(SolveError, match=r"was read for Depot.*not for Turnover"):
        simulate_table(Turnover(), table)
    with pytest.raises(SolveError, match=r"`parameters` has `CL`, which the event table gives in column `CL`"):
        simulate_table(MODEL, table, parameters={"CL": 1.0})
    with pytest.raises(SolveError, match=r"`theta` must have shape \(2, 10\)"):
        simulate_table(MODEL, table, theta=MODEL.theta)
    with pytest.raises(SolveError, match="exclude each other"):
        simulate_table(MODEL, table, theta=table.theta, parameters={"V": 1.0})
    with pytest.raises(ModelError, match="no observable or species `Cp`. Did you mean `CP`"):
        simulate_table(MODEL, table, observables=["Cp"])


def test_units_of_a_data_set_in_hours_for_a_model_in_days(engine):
    records = [{"ID": 1, "TIME": t, "AMT": a, "RATE": a / 2} for t, a in ((0, 4000), (12, 0), (24, 0))]
    found = simulate_table(Turnover(), table_of(records, Turnover(), unit="ug"), integrator=engine)
    level = (3 + 48) / 0.5  # 4000 ug at 2000 ug/h are 48 mg/day for 2 h
    early = level + (1 - level) * np.exp(-0.5 * 2 / 24)
    want = [1.0, *(6 + (early - 6) * np.exp(-0.5 * (np.array([12, 24]) - 2) / 24))]
    np.testing.assert_allclose(found["x"], want, rtol=1e-8)
