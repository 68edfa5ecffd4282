"""Event tables against NONMEM, and against superposition where there is no NONMEM run.

NONMEM's predictions are those of `mrgsolve/nmtests` (dosing, see the reference folder's README); they have 5
significant digits, so 1e-4 relative is their rounding (5e-5) and a little more.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from superposition import ENGINES, MANY, Depot, central, every

from qspx import EventTable, simulate_table

MODEL = Depot()


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return ENGINES[request.param](rtol=1e-10, atol=1e-12)


def test_scenarios_of_nonmem(reference_dir, engine):
    folder = reference_dir / "dosing_nonmem"
    table = EventTable.read(folder / "dosing_1001_odd_data.csv", MODEL, unit="mg", time_unit="h")
    assert table.ignored == ("C", "MODE")
    nonmem = pd.read_csv(folder / "dosing_1001_odd_nonmem.csv")
    found = simulate_table(MODEL, table, observables=["CP"], integrator=engine)
    assert found.attrs["ledger"] == {"ok": 15}
    assert (found[["ID", "TIME"]].to_numpy() == nonmem[["ID", "TIME"]].to_numpy()).all()
    np.testing.assert_allclose(found["CP"], nonmem["CP"], rtol=1e-4, atol=1e-9)


# Dose records, and phases (start, what a body has been given): each phase replaces the one before it. What has been
# given is (times of arrival, amount that arrives, into, duration).
SCENARIOS = {
    "bolus at steady state, F, additional": (
        [dict(AMT=100, CMT=2, SS=1, II=24, ADDL=3, BIOAV=0.4)],
        [(0, [(every(0, 24, 3, MANY), 40, 2, 0)])],
    ),
    "depot at steady state with lag and additional": (
        [dict(AMT=100, CMT=1, SS=1, II=12, ADDL=5, ALAG1=4.15, F1=0.7)],
        [(0, [(every(4.15, 12, 5, MANY), 70, 1, 0)])],
    ),
    "two rhythms: SS 1, then SS 2": (
        [dict(AMT=100, CMT=2, SS=1, II=24, ADDL=9), dict(TIME=12, AMT=50, CMT=2, SS=2, II=24, ADDL=9)],
        [
            (0, [(every(0, 24, 9, MANY), 100, 2, 0)]),
            (12, [(every(0, 24, 9, MANY), 100, 2, 0), (every(12, 24, 9, MANY), 50, 2, 0)]),
        ],
    ),
    "SS 2 with an infusion and a lag, over a depot": (
        [dict(AMT=100, CMT=1), dict(TIME=10, AMT=60, CMT=2, RATE=12, SS=2, II=12, ADDL=2, LAGT=2.5, BIOAV=0.5)],
        [(0, [(0, 100, 1, 0)]), (10, [(0, 100, 1, 0), (every(12.5, 12, 2, MANY), 30, 2, 2.5)])],
    ),
    "SS 1 replaces what was there": (
        [dict(AMT=500, CMT=2, ADDL=9, II=5), dict(TIME=22, AMT=50, CMT=2, SS=1, II=10)],
        [(0, [(every(0, 5, 9), 500, 2, 0)]), (22, [(every(22, 10, 0, MANY), 50, 2, 0)])],
    ),
    "modelled rate with F": ([dict(AMT=100, CMT=2, RATE=-1, RAT2=8, BIOAV=0.6)], [(0, [(0, 60, 2, 7.5)])]),
    "modelled rate at steady state with F": (
        [dict(AMT=100, CMT=2, RATE=-1, RAT2=8, BIOAV=0.6, SS=1, II=12, ADDL=2)],
        [(0, [(every(0, 12, 2, MANY), 60, 2, 7.5)])],
    ),
    "modelled duration with F and lag, additional": (
        [dict(AMT=100, CMT=2, RATE=-2, DUR2=7, BIOAV=0.6, LAGT=3, II=24, ADDL=2)],
        [(0, [(every(3, 24, 2), 60, 2, 7)])],
    ),
    "rate with F at steady state": (
        [dict(AMT=100, CMT=2, RATE=20, BIOAV=0.412, SS=1, II=24, ADDL=1)],
        [(0, [(every(0, 24, 1, MANY), 41.2, 2, 2.06)])],
    ),
    "lag longer than the interval": (
        [dict(AMT=100, CMT=2, II=12, ADDL=4, LAGT=30)],
        [(0, [(every(30, 12, 4), 100, 2, 0)])],
    ),
    "lag longer than the interval at steady state": (
        [dict(AMT=100, CMT=2, SS=1, II=12, ADDL=2, LAGT=30)],
        [(0, [(every(30, 12, 2, MANY), 100, 2, 0)])],
    ),
    "infusion longer than the interval": (
        [dict(AMT=100, CMT=2, RATE=100 / 30, II=12, ADDL=4)],
        [(0, [(every(0, 12, 4), 100, 2, 30)])],
    ),
    "infusion longer than the interval at steady state": (
        [dict(AMT=100, CMT=2, RATE=100 / 30, SS=1, II=12, ADDL=1)],
        [(0, [(every(0, 12, 1, MANY), 100, 2, 30)])],
    ),
    "modelled duration of two intervals at steady state, with lag": (
        [dict(AMT=100, CMT=2, RATE=-2, DUR2=24, SS=1, II=12, LAGT=5)],
        [(0, [(every(5, 12, 0, MANY), 100, 2, 24)])],
    ),
    "infusion into the depot by the duration of rxode2": (
        [dict(AMT=80, CMT=1, DUR=16, F1=0.5)],
        [(0, [(0, 40, 1, 16)])],
    ),
    "constant infusion by the modelled rate": (
        [dict(AMT=0, CMT=2, RATE=-1, RAT2=6, SS=1)],
        [(0, [(-4000.0, 24_000, 2, 4000)])],
    ),
    "reset with lagged doses pending": (
        [
            dict(AMT=100, CMT=2, II=12, ADDL=5, LAGT=10),
            dict(TIME=30, EVID=3),
            dict(TIME=31, AMT=20, CMT=2, LAGT=2),
        ],
        [(0, [(every(10, 12, 5), 100, 2, 0)]), (30, [(33, 20, 2, 0)])],
    ),
    "reset ends an infusion": (
        [dict(AMT=100, CMT=2, RATE=2), dict(TIME=20, EVID=3)],
        [(0, [(0, 100, 2, 50)]), (20, [])],
    ),
    "reset and dose with additional": (
        [dict(AMT=100, CMT=1, II=6, ADDL=20), dict(TIME=27, EVID=4, AMT=50, CMT=2, RATE=5, II=24, ADDL=1)],
        [(0, [(every(0, 6, 20), 100, 1, 0)]), (27, [(every(27, 24, 1), 50, 2, 10)])],
    ),
    "reset and dose at steady state with a lag longer than the interval": (
        [dict(AMT=100, CMT=1), dict(TIME=10, EVID=4, AMT=50, CMT=2, SS=1, II=8, LAGT=20)],
        [(0, [(0, 100, 1, 0)]), (10, [(every(30, 8, 0, MANY), 50, 2, 0)])],
    ),
    "a dose before a reset at one time is cancelled": (
        [dict(AMT=70, CMT=2), dict(TIME=9, AMT=100, CMT=2, II=5, ADDL=3), dict(TIME=9, EVID=3)],
        [(0, [(0, 70, 2, 0)]), (9, [])],
    ),
    "a reset, then a dose at one time": (
        [dict(AMT=70, CMT=2), dict(TIME=9, EVID=3), dict(TIME=9, AMT=100, CMT=2)],
        [(0, [(0, 70, 2, 0)]), (9, [(9, 100, 2, 0)])],
    ),
    "other records give nothing": (
        [dict(AMT=100, CMT=1, II=24, ADDL=3), dict(TIME=7.3, EVID=2), dict(TIME=30, EVID=2, CMT=2)],
        [(0, [(every(0, 24, 3), 100, 1, 0)])],
    ),
    "each dose with its own F and lag": (
        [
            dict(AMT=100, CMT=2, II=24, ADDL=1, LAGT=1, BIOAV=0.9),
            dict(TIME=12, AMT=100, CMT=2, II=24, ADDL=1, LAGT=5, BIOAV=0.2),
        ],
        [(0, [(every(1, 24, 1), 90, 2, 0), (every(17, 24, 1), 20, 2, 0)])],
    ),
    "each dose with its own modelled rate and duration": (
        [dict(AMT=60, CMT=2, RATE=-1, RAT2=5, DUR2=9), dict(TIME=30, AMT=60, CMT=2, RATE=-2, RAT2=7, DUR2=4)],
        [(0, [(0, 60, 2, 12), (30, 60, 2, 4)])],
    ),
    "starts later than the others": (
        [dict(TIME=40, AMT=100, CMT=1, II=24, ADDL=1)],
        [(0, [(every(40, 24, 1), 100, 1, 0)])],
    ),
}
NAMES = list(SCENARIOS)
OWN = {"F1": 1.0, "ALAG1": 0.0, "BIOAV": 1.0, "LAGT": 0.0, "DUR2": 2.0, "RAT2": 10.0}


def all_records() -> pd.DataFrame:
    """Every scenario as a subject: its dose records, and observations that come after them at the same time. Each
    record says all parameters: those of the last dose record where it says none."""
    rows = []
    for number, (given, _) in enumerate(SCENARIOS.values(), start=1):
        doses = [OWN | {"TIME": 0.0, "EVID": 1} | record for record in given]
        seen = [{"TIME": t, "EVID": 0} for t in np.arange(doses[0]["TIME"], 120, 1.75)]
        rows += [{"ID": number, **row} for row in sorted([*doses, *seen], key=lambda row: row["TIME"])]
    frame = pd.DataFrame(rows)
    frame[list(OWN)] = frame[list(OWN)].ffill()
    return frame


@pytest.fixture(scope="module")
def predicted(engine):
    table = EventTable.read(all_records(), MODEL, unit="mg", time_unit="h")
    return simulate_table(MODEL, table, observables=["central"], integrator=engine)


def expected(phases, t: np.ndarray) -> np.ndarray:
    amounts = [sum(central(t, *groups) for groups in given) + np.zeros(len(t)) for _, given in phases]
    which = np.searchsorted([start for start, _ in phases], t, side="right") - 1
    return np.choose(which, amounts)


@pytest.mark.parametrize("name", NAMES)
def test_scenarios_of_superposition(predicted, name):
    # The error of steps with rtol 1e-10 is far below 1e-8 of the largest amount, also over a run-in to steady state.
    found = predicted[(predicted["ID"] == NAMES.index(name) + 1) & predicted["EVID"].isin((0, 2))]
    assert (found["status"] == "ok").all()
    want = expected(SCENARIOS[name][1], found["TIME"].to_numpy())
    assert want.max() > 0
    np.testing.assert_allclose(found["central"], want, rtol=1e-8, atol=1e-8 * want.max())
