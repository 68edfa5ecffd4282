"""Data sets of NONMEM, rxode2 and mrgsolve: there and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from event_tables import MODEL, ORAL, Daily, read

from qspx import Dose, EventTable, Regimen, events_frame
from qspx._errors import DoseError

WRITTEN = Regimen(
    (
        Dose(100.0, "mg", "depot", 0.0, additional=3, every=24.0),
        Dose(50.0, "mg", "central", 5.0, rate=10.0, every=12.0, steady_state=2),
        Dose(40.0, "mg", "central", 30.0, rate="RAT2"),
        Dose(40.0, "mg", "central", 30.0, duration="DUR2"),
        Dose(30.0, "mg", "central", 31.0, duration=3.5),
        Dose(0.0, "mg", "depot", 40.0, rate=3.0, steady_state=1),
    ),
    "h",
    resets=(30.0, 35.0),
)


def test_a_regimen_there_and_back(tmp_path):
    frame = events_frame(WRITTEN, MODEL, times=[0.0, 30.0, 50.0])
    assert frame["EVID"].tolist() == [1, 0, 1, 3, 1, 1, 0, 1, 3, 1, 0]  # resets, doses, observations at one time
    assert frame["RATE"].tolist()[4:6] == [-1, -2] and frame.attrs["units"] == {"TIME": "h", "AMT": "mg"}
    frame.to_csv(tmp_path / "regimen.csv", index=False)
    assert EventTable.read(tmp_path / "regimen.csv", MODEL, unit="mg", time_unit="h").regimens == (WRITTEN,)


def test_lag_and_bioavailability_are_written_as_parameters():
    doses = (
        Dose(1.0, "nmol", "drug", lag=12.0),
        Dose(2.0, "nmol", "drug", 24.0),
        Dose(3.0, "nmol", "drug", 30.0, lag=6.0),
    )
    frame = events_frame(Regimen(doses, "h"), Daily(), times=[1.0])
    assert frame["lag"].tolist() == [0.5, 0.5, 0.5, 0.25]  # days, as the parameter; the second dose has the typical one
    back = read(frame, Daily(), unit="nmol").regimens[0].doses
    assert [d.lag for d in back] == [12.0, 12.0, 6.0]


@pytest.mark.parametrize(
    "dose, message",
    [
        (Dose(1.0, "mg", "depot", rate="RAT2"), r"dose 0 into `depot` has `rate` RAT2.*Declare Species"),
        (Dose(1.0, "mg", "central", lag="ALAG1"), r"dose 0 into `central` has `lag` ALAG1"),
    ],
)
def test_what_a_table_cannot_say_is_refused(dose, message):
    with pytest.raises(DoseError, match=message):
        events_frame(Regimen((dose,), "h"), MODEL)


def test_a_table_there_and_back():
    frame = pd.DataFrame(ORAL).assign(CL=[2, 2, 3, 3], LAGT=[1, 0, 2, 0], rate=[0, 0, 5, 0], DV=["", "BLQ", "", 3.5])
    table = read(frame.rename(columns={"CL": "x"}), columns={"x": "CL"}, compartments={1: "depot", 2: "central"})
    again = read(table.to_frame())
    assert again.regimens == table.regimens and again.ids == table.ids
    np.testing.assert_array_equal(again.theta, table.theta)
    assert table.to_frame().attrs["units"] == {"TIME": "h", "AMT": "mg", "CL": "L/h", "LAGT": "h"}
