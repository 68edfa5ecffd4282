"""Event tables whose covariates change in time: the conventions, and what records show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from superposition import ENGINES

from qspx import (
    AbstractModel,
    Dose,
    EventTable,
    Input,
    Observable,
    Parameter,
    Regimen,
    Species,
    simulate,
    simulate_table,
    time_varying,
)
from qspx._errors import DoseError

V = 20.0
CLOSE = {"rtol": 1e-8}  # a hundred times the tolerance per step


class Child(AbstractModel):
    """One compartment whose clearance (L/h) is WT / 70 kg; CP reads the weight, A does not."""

    time_unit = "h"
    body_weight = "WT"
    A = Species("mg", bioavailability="F")
    CL = Parameter(1.0, "L/h")
    V = Parameter(V, "L")
    WT = Parameter(70.0, "kg")
    WT0 = Parameter(70.0, "kg", tag="constant")
    F = Parameter(1.0, "", scale="lin")
    CP = Observable("mg/L")

    def rates(self, t, y, p):
        return {"A": -p.CL * p.WT / p.WT0 / p.V * y.A}

    def observables(self, t, y, p):
        return {"CP": y.A / (p.V * p.WT / p.WT0)}


MODEL = time_varying(Child(), "WT")


@pytest.fixture(params=ENGINES)
def engine(request):
    return ENGINES[request.param](rtol=1e-10, atol=1e-12)


def table(records, covariates="nocb", unit="mg", model=MODEL, **more) -> EventTable:
    """A record is (ID, TIME, EVID, AMT, WT)."""
    frame = pd.DataFrame(records, columns=["ID", "TIME", "EVID", "AMT", "WT"]).assign(**more)
    return EventTable.read(frame, model, unit=unit, time_unit="h", covariates=covariates)


def held(convention, times, weights, until):
    """Integral of WT / 70 up to `until`, by midpoints of short pieces within which it is constant or linear."""
    edges = np.linspace(0, until, 24 * 5 * 7 + 1)
    t = (edges[1:] + edges[:-1]) / 2
    if convention == "linear":
        w = np.interp(t, times, weights)
    elif convention == "nocb":
        w = np.array(weights)[np.minimum(np.searchsorted(times, t), len(times) - 1)]
    else:
        w = np.array(weights)[np.searchsorted(times, t) - 1]
    return (w / 70 * np.diff(edges)).sum()


TIMES, WEIGHTS = [0, 2, 5, 8, 12], [70, 70, 35, 140, 105]


@pytest.mark.parametrize("convention", ["nocb", "locf", "linear"])
def test_each_convention(engine, convention):
    records = [(1, t, int(t == 0), 100.0 * (t == 0), w) for t, w in zip(TIMES, WEIGHTS, strict=True)]
    records += [(2, 1, 1, 100.0, 140.0), (2, 6, 0, 0.0, 140.0)]  # one weight, another start
    given = table(records, convention)
    found = simulate_table(MODEL, given, integrator=engine)
    want = [100 * np.exp(-held(convention, TIMES, WEIGHTS, t) / V) if t else 100.0 for t in TIMES]
    np.testing.assert_allclose(found["A"], [*want, 100, 100 * np.exp(-2 * 5 / V)], **CLOSE)
    weights = np.array([*WEIGHTS, 140, 140])
    np.testing.assert_allclose(found["WT_now"], weights, rtol=1e-13)  # every record shows its own
    np.testing.assert_allclose(found["CP"], found["A"] / V / (weights / 70), rtol=1e-12)
    assert (found["status"] == "ok").all() and f"change in time: WT ({convention})" in str(given)
    assert set(given.regimens[0].inputs) == {"WT"} and not given.regimens[1].inputs


class TwoCompartments(AbstractModel):
    """NONMEM's ADVAN4 TRANS4 with clearance by body weight."""

    time_unit = "h"
    depot, central, peripheral = Species("mg"), Species("mg"), Species("mg")
    KA, CL, V2 = Parameter(1.0, "1/h"), Parameter(5.0, "L/h"), Parameter(80.0, "L")
    V3, Q = Parameter(20.0, "L"), Parameter(4.0, "L/h")
    WT, WT0 = Parameter(70.0, "kg"), Parameter(70.0, "kg", tag="constant")
    CP = Observable("mg/L")

    def rates(self, t, y, p):
        absorbed, there = p.KA * y.depot, p.Q * (y.central / p.V2 - y.peripheral / p.V3)
        lost = p.CL * (p.WT / p.WT0) ** 0.75 * y.central / p.V2
        return {"depot": -absorbed, "central": absorbed - lost - there, "peripheral": there}

    def observables(self, t, y, p):
        return {"CP": y.central / p.V2}


# Both RxODE and mrgsolve are held to these numbers, printed with two decimals, by the tests of campsis
# (github.com/Calvagone/campsis, tests/testthat/testSimulateNocbLocf.R, commit 034961f6: 1,000 mg at 0 and 24 h, and the
# weights below; effects on KA, CL, V2, V3, Q, and CP at 3 to 48 h in non_regression/wt_as_time_varying_cov*.csv).
SAMPLED = [0, 3, 9, 16, 24, 26, 48]
WEIGHED = [150, 20, 100, 250, 40, 170, 10]
EFFECTS = [
    [-0.00256, -0.098227, 0.091039, 0.0521, -0.099051],
    [0.149234, -0.350175, -0.048286, -0.129727, 0.029037],
    [0.129846, 0.177867, 0.239034, 0.077069, -0.132124],
    [0.093904, -0.007105, 0.06164, 0.116739, 0.252236],
]
OTHERS = {
    "nocb": [
        [9.66, 6.31, 2.72, 2.38, 10.26, 8.3],
        [11.16, 7.52, 3.64, 3.19, 12.6, 10.19],
        [8.5, 5.21, 1.99, 1.7, 8.68, 6.64],
        [9.74, 6.01, 2.48, 2.16, 10.19, 7.87],
    ],
    "locf": [
        [8.31, 7.18, 4.56, 1.88, 10.86, 1.8],
        [9.72, 8.35, 5.67, 2.59, 13.24, 2.58],
        [7.13, 6, 3.58, 1.29, 9.33, 1.14],
        [8.2, 6.86, 4.27, 1.65, 10.92, 1.5],
    ],
}


@pytest.mark.parametrize("convention", OTHERS)
def test_as_rxode_and_mrgsolve(convention):
    records = []
    for subject, effects in enumerate(EFFECTS):
        own = [v * np.exp(e) for v, e in zip([1.0, 5.0, 80.0, 20.0, 4.0], effects, strict=True)]
        for t, w in zip(SAMPLED, WEIGHED, strict=True):
            records += [(subject, t, 1, 1000.0, w, *own)] if t in (0, 24) else []
            records.append((subject, t, 0, 0.0, w, *own))
    frame = pd.DataFrame(records, columns=["ID", "TIME", "EVID", "AMT", "WT", "KA", "CL", "V2", "V3", "Q"])
    model = time_varying(TwoCompartments(), "WT")
    given = EventTable.read(frame, model, unit="mg", time_unit="h", covariates=convention)
    found = simulate_table(model, given, observables=["CP"]).query("EVID == 0 and TIME > 0")
    np.testing.assert_allclose(found["CP"].to_numpy().reshape(4, 6), OTHERS[convention], atol=0.0051)


def test_the_default_is_that_of_nonmem():
    records = [(1, t, int(t == 0), 100.0 * (t == 0), w) for t, w in zip(TIMES, WEIGHTS, strict=True)]
    frame = pd.DataFrame(records, columns=["ID", "TIME", "EVID", "AMT", "WT"])
    given = EventTable.read(frame, MODEL, unit="mg", time_unit="h")
    assert given.regimens[0].inputs["WT"] == Input([2, 5, 8], [35, 140, 105], "kg")
    again = EventTable.read(given.to_frame(), MODEL, unit="mg", time_unit="h")
    assert again.regimens == given.regimens


def test_as_a_regimen_written_by_hand(engine):
    records = [(1, 0, 1, 100.0, 70.0), (1, 6, 2, 0.0, 35.0), (1, 12, 1, 50.0, 140.0), (1, 24, 0, 0.0, 90.0)]
    shown = simulate_table(MODEL, table(records, "locf"), observables=["CP"], integrator=engine)["CP"]
    regimen = Regimen((Dose(100, "mg", "A"), Dose(50, "mg", "A", 12)), "h")
    weight = Input([6, 12, 24], [35, 140, 90], "kg")
    want = simulate(MODEL, regimen, [0, 6, 12, 24], inputs={"WT": weight}, integrator=engine)["CP"]
    np.testing.assert_allclose(shown, want, **CLOSE)


@pytest.mark.parametrize("convention", ["nocb", "locf", "linear"])
def test_records_at_one_time_and_resets(engine, convention):
    records = [(1, 0, 1, 100.0, 70.0), (1, 4, 0, 0.0, 35.0), (1, 4, 1, 10.0, 35.0), (1, 4, 0, 0.0, 35.0)]
    records += [(1, 8, 0, 0.0, 140.0), (1, 8, 3, 0.0, 140.0), (1, 8, 0, 0.0, 140.0), (1, 8, 1, 20.0, 140.0)]
    records += [(1, 8, 0, 0.0, 140.0), (1, 10, 0, 0.0, 70.0)]
    records = [(0, 0, 0, 0.0, 70.0), (0, 20, 0, 0.0, 35.0), *((1, t + 3, *r) for _, t, *r in records)]  # begins later
    found = simulate_table(MODEL, table(records, convention), integrator=engine)[2:]
    times, weights = [0, 4, 8, 10], [70, 35, 140, 70]
    lost = [held(convention, times, weights, t) / V for t in times]
    four = 100 * np.exp(-lost[1])
    eight = (four + 10) * np.exp(-(lost[2] - lost[1]))
    want = [100, four, four + 10, four + 10, eight, 0, 0, 20, 20, 20 * np.exp(-(lost[3] - lost[2]))]
    np.testing.assert_allclose(found["A"], want, rtol=1e-8, atol=1e-10)
    own = np.array([r[4] for r in records[2:]])
    np.testing.assert_allclose(found["WT_now"], own, rtol=1e-13)
    np.testing.assert_allclose(found["CP"], found["A"] / V / (own / 70), rtol=1e-12, atol=1e-12)


def test_additional_doses_that_arrive_at_records(engine):
    records = [(1, 0, 1, 10.0, 70.0), (1, 4, 0, 0.0, 140.0), (1, 8, 0, 0.0, 35.0), (1, 9, 0, 0.0, 70.0)]
    more = {"II": [4, 0, 0, 0], "ADDL": [2, 0, 0, 0]}
    found = simulate_table(MODEL, table(records, "nocb", **more), integrator=engine)
    four = 10 * np.exp(-2 * 4 / V) + 10
    eight = four * np.exp(-0.5 * 4 / V) + 10
    np.testing.assert_allclose(found["A"], [10, four, eight, eight * np.exp(-1 / V)], **CLOSE)
    np.testing.assert_allclose(found["WT_now"], [70, 140, 35, 70], rtol=1e-13)


def test_empty_cells_stand_for_what_the_convention_gives():
    records = [(1, 0, 1, 1.0, "."), (1, 2, 0, 0.0, 60.0), (1, 4, 0, 0.0, ""), (1, 6, 0, 0.0, 80.0), (1, 8, 0, 0.0, "")]
    inputs = {c: table(records, c).regimens[0].inputs["WT"] for c in ("nocb", "locf", "linear")}
    assert inputs["nocb"] == Input([2], [80], "kg") and inputs["locf"] == Input([6], [80], "kg")
    assert inputs["linear"] == Input([2, 4, 6, 8], [60, 70, 80, 80], "kg", "linear")
    assert table(records).theta[0, MODEL.parameter_index("WT")] == 60


def test_doses_per_kg_are_for_the_weight_in_their_record(engine):
    records = [(1, 0, 1, 2.0, 70.0), (1, 12, 1, 2.0, 35.0), (1, 24, 0, 0.0, 35.0), (2, 0, 1, 2.0, 50.0)]
    given = table(records, unit="mg/kg")
    assert [(d.amount, d.unit) for d in given.doses if d] == [(140, "mg"), (70, "mg"), (2, "mg/kg")]
    found = simulate_table(MODEL, given, observables=["A"], integrator=engine)["A"]
    first = 140 * np.exp(-0.5 * 12 / V)
    np.testing.assert_allclose(found, [140, first + 70, (first + 70) * np.exp(-0.5 * 12 / V), 100], **CLOSE)


def test_a_steady_state_before_the_weight_changes(engine):
    records = [(1, 0, 1, 100.0, 35.0), (1, 4, 0, 0.0, 70.0), (1, 6, 0, 0.0, 140.0)]
    more = {"SS": [1, 0, 0], "II": [12, 0, 0]}
    peak = 100 / (1 - np.exp(-0.5 * 12 / V))
    found = simulate_table(MODEL, table(records, **more), integrator=engine)
    np.testing.assert_allclose(found["A"], peak * np.exp([0, -4 / V, -8 / V]), **CLOSE)
    np.testing.assert_allclose(found["WT_now"], [35, 70, 140], rtol=1e-13)
    more = {"SS": [0, 1, 0], "II": [0, 12, 0]}
    late = [(1, 0, 0, 0.0, 35.0), (1, 4, 1, 100.0, 70.0), (1, 6, 0, 0.0, 140.0)]
    with pytest.raises(DoseError, match="row 3, column `SS`: no steady state was expected after `WT` has changed"):
        table(late, **more)


def test_observables_that_do_not_read_the_weight_take_no_solves_of_their_own():
    from qspx.table_run import _Plan

    records = [(1, t, 1, 10.0, w) for t, w in zip(TIMES, WEIGHTS, strict=True)]
    given = table(records)

    def rows(*names):
        return len(_Plan.of(MODEL, given, given.theta, np.array([0]), MODEL.may_jump(names)).runs)

    assert rows("A") == 1 and rows("CP") == rows("WT_now") == 4  # the last dose needs none


@pytest.mark.parametrize(
    ("records", "how", "message"),
    [
        ([(1, 0, 1, 1.0, 70.0), (1, 2, 0, 0.0, 60.0)], {"model": Child()}, r"row 3, column `WT`.*time_varying\(model"),
        ([(1, 0, 1, 1.0, 70.0), (1, 2, 0, 0.0, 60.0)], {"covariates": "spline"}, "'nocb', 'locf', 'linear'"),
        (
            [(1, 0, 1, 1.0, 70.0), (1, 2, 0, 0.0, 60.0), (1, 2, 0, 0.0, 61.0)],
            {},
            "row 4, column `WT`: 60, as in row 3 at the same time, was expected, but `61.0` was given",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read(records, how, message):
    with pytest.raises(DoseError, match=message):
        table(records, **how)
