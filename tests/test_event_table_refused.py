"""Data sets of NONMEM, rxode2 and mrgsolve: what is refused, with row, column and repair."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from event_tables import MODEL, Daily, read

from qspx import EventTable
from qspx._errors import DoseError, UnitError

BASE = {"ID": [1, 1, 2], "TIME": [0.0, 1.0, 0.0], "EVID": [1, 0, 1], "AMT": [5, 0, 5], "CMT": 1}
BASE_FRAME = pd.DataFrame(BASE)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"CMT": [1, 1, 3]}, r"row 4, column `CMT`: a compartment of Depot .*1 is depot, 2 is central.*`3` was given"),
        ({"CMT": [1, 1, "centrl"]}, r"row 4, column `CMT`.*Did you mean `central`\? Or say.*compartments=\{'centrl'"),
        ({"CMT": [1, -1, 1]}, r"row 3, column `CMT`.*`-1` was given.*turned off"),
        ({"TIME": [0, -1, 0]}, r"row 3, column `TIME`: a time >= 0 was expected, but `-1` was given.* Shift"),
        ({"TIME": [5, 4, 0]}, r"row 3, column `TIME`: a time >= 5, that of row 2.*`4.*Sort the records.*EVID 3 or 4"),
        ({"TIME": [0, "abc", 0]}, r"row 3, column `TIME`: a number was expected, but `abc` was given"),
        ({"TIME": [0, "08:30", 0]}, r"row 3, column `TIME`.*`08:30`.*not clock times"),
        ({"TIME": [0, ".", 0]}, r"row 3, column `TIME`: a time was expected, but `\.` was given"),
        ({"TIME": [0, math.inf, 0]}, r"row 3, column `TIME`: a number was expected, but `inf`"),
        ({"ID": [1, 2, 1]}, r"row 4, column `ID`: the records of a subject must stand together.*`1` was given"),
        ({"ID": [1, None, 1]}, r"row 3, column `ID`: an identifier was expected"),
        ({"EVID": [1, 5, 1]}, r"row 3, column `EVID`: one of 0, 1, 2, 3 and 4 was expected, but `5`.*rxode2"),
        ({"EVID": [1, 101, 1]}, r"row 3, column `EVID`.*`101`.*classic RxODE.*write EVID 1"),
        ({"EVID": [1, -1, 1]}, r"row 3, column `EVID`.*`-1`.*4 reset and dose"),
        ({"AMT": [5, 3, 5]}, r"row 3, column `AMT`: 0 or `\.` was expected here, but `3` was given.*EVID 1 and 4"),
        ({"SS": [0, 1, 0]}, r"row 3, column `SS`: 0 or `\.` was expected here"),
        ({"AMT": [5, 0, "x"]}, r"row 4, column `AMT`: a number was expected, but `x` was given"),
        ({"AMT": [5, 0, "."]}, r"row 4, column `AMT`: an amount was expected in a dose record, but `\.`"),
        ({"AMT": [5, 0, -5]}, r"row 4, column `AMT`: an amount >= 0 was expected, but `-5` was given"),
        (
            {"ADDL": [0, 0, 3]},
            r"row 4, column `II`: a time between doses > 0 was expected beside ADDL, but there is no",
        ),
        ({"ADDL": [0, 0, 3], "II": 0}, r"row 4, column `II`.*beside ADDL, but `0` was given.*set ADDL to 0"),
        ({"ADDL": [0, 0, 1.5], "II": [0, 0, 1]}, r"row 4, column `ADDL`: a whole number >= 0 was expected, but `1.5`"),
        ({"II": [0, 0, -1]}, r"row 4, column `II`: a time between doses >= 0 was expected, but `-1`"),
        ({"SS": [0, 0, 1]}, r"row 4, column `II`: a time between doses > 0 was expected beside SS.*constant infusion"),
        ({"SS": [0, 0, 3]}, r"row 4, column `SS`: 0, 1 or 2 was expected, but `3` was given"),
        ({"RATE": [0, 0, -3]}, r"row 4, column `RATE`: a rate >= 0, -1 or -2 was expected, but `-3` was given"),
        (
            {"RATE": [0, 0, -1]},
            r"row 4, column `RATE`: a species that declares its `rate`.*`-1`.*Species\(\.\.\., rate=",
        ),
        (
            {"RATE": [0, 0, -2]},
            r"row 4, column `RATE`: a species that declares its `duration`.*depot of Depot does not",
        ),
        ({"RATE": [0, 0, 2], "dur": [0, 0, 2]}, r"row 4, column `RATE`: 0 was expected beside dur, but `2` was given"),
        ({"dur": [0, 0, -2]}, r"row 4, column `dur`: a duration >= 0 was expected, but `-2`"),
        ({"AMT": [5, 0, 0], "RATE": [0, 0, 2]}, r"row 4, column `AMT`: an amount > 0 was expected beside RATE, .*SS 1"),
        (
            {"AMT": [5, 0, 0], "RATE": [0, 0, 2], "SS": [0, 0, 1], "II": [0, 0, 24]},
            r"row 4, column `II`: 0 was expected for a constant infusion, but `24` was given",
        ),
        ({"CL": [1, 2, 1]}, r"row 3, column `CL`: parameter `CL` of Depot is 2 here, but 1 in row 2.*time_varying"),
        ({"CL": [1, 1, "."]}, r"row 4, column `CL`: a value of parameter `CL` was expected.*columns=\{'CL': None\}"),
        ({"CL": [1, 1, "low"]}, r"row 4, column `CL`: a number was expected, but `low` was given"),
        ({"DATE": ["2020-01-01"] * 3}, r"column `DATE`, but clock times.*columns=\{'DATE': None\}"),
        ({"time": [0, 1, 0]}, r"columns `TIME` and `time` of the event table would both be `TIME`"),
    ],
)
def test_mistakes_are_named_with_row_column_and_repair(change, message):
    with pytest.raises(DoseError, match=message):
        read(pd.DataFrame(BASE | change))


def test_a_reset_cannot_turn_time_back():
    frame = pd.DataFrame({"ID": 1, "TIME": [0, 9, 0], "EVID": [1, 0, 4], "AMT": [5, 0, 5]})
    with pytest.raises(DoseError, match=r"row 4, column `TIME`.*a reset cannot turn time back"):
        read(frame)


def test_values_that_change_must_suit_their_role():
    frame = pd.DataFrame({"ID": 1, "TIME": [0, 1], "AMT": 5, "CMT": 2, "RATE": -2, "DUR2": [4, 0]})
    with pytest.raises(DoseError, match=r"row 3, column `DUR2`: a duration > 0 was expected, but `0` was given"):
        read(frame)
    with pytest.raises(DoseError, match=r"row 3, column `BIOAV`: a bioavailability >= 0 was expected, but `-1`"):
        read(frame.drop(columns=["RATE", "DUR2"]).assign(BIOAV=[1, -1]))
    empty = frame.assign(DUR2=[4, "."], TIME=[0, 1])
    assert read(empty).changing == ()  # the one value there is holds for both
    three = pd.DataFrame({"ID": 1, "TIME": [0, 1, 2], "AMT": 5, "CMT": 2, "LAGT": [1, 2, "."]})
    with pytest.raises(DoseError, match=r"row 4, column `LAGT`: a number was expected.*every dose record must say it"):
        read(three)


def test_a_parameter_that_the_model_reads_as_well_cannot_change():
    class Both(Daily):
        def rates(self, t, y, p):
            return {"drug": -p.CL * y.drug * p.lag / (p.lag + p.D)}

    frame = pd.DataFrame({"ID": 1, "TIME": [0, 1], "AMT": 5, "lag": [0.1, 0.2]})
    with pytest.raises(DoseError, match=r"row 3, column `lag`: parameter `lag` of Both is 0.2 here"):
        read(frame, Both(), unit="nmol")


@pytest.mark.parametrize(
    "drop, rename, message",
    [
        ("ID", {}, r"no column ID; its columns are \['TIME', 'EVID'.*columns=\{'THE COLUMN': 'ID'\}"),
        (None, {"ID": "USUBJID"}, r"no column ID.*Did you mean `USUBJID`\?"),
        (None, {"TIME": "TIM"}, r"no column TIME.*Did you mean `TIM`\?"),
        ("EVID", {"AMT": "AMOUNT"}, r"no column AMT \(or EVID, where nothing is given\)"),
    ],
)
def test_columns_that_must_be_there(drop, rename, message):
    frame = pd.DataFrame(BASE).rename(columns=rename)
    with pytest.raises(DoseError, match=message):
        read(frame.drop(columns=drop) if drop else frame)


def test_arguments_are_checked():
    with pytest.raises(DoseError, match=r"`columns` names `AMTT`, which the event table lacks. Did you mean `AMT`"):
        read(BASE_FRAME, columns={"AMTT": "AMT"})
    with pytest.raises(DoseError, match=r"`columns` says that `AMT` is `dosis`, which is neither a data item"):
        read(BASE_FRAME, columns={"AMT": "dosis"})
    with pytest.raises(DoseError, match=r"`compartments` maps 2 to `plasma`, which is not a species of Depot"):
        read(BASE_FRAME, compartments={1: "depot", 2: "plasma"})
    with pytest.raises(DoseError, match="pandas DataFrame or the path of a CSV file, but dict was given"):
        EventTable.read(BASE, MODEL, unit="mg", time_unit="h")  # type: ignore[arg-type]
    with pytest.raises(UnitError, match=r"row 2, column `AMT`: a dose in cell cannot be converted to mg"):
        read(BASE_FRAME, unit="cell")
    with pytest.raises(UnitError, match="mg"):
        read(BASE_FRAME, time_unit="mg")


def test_files_are_checked(tmp_path):
    path = tmp_path / "data.csv"
    with pytest.raises(DoseError, match=r"data.csv cannot be read: No such file"):
        EventTable.read(path, MODEL, unit="mg", time_unit="h")
    path.write_text("\n")
    with pytest.raises(DoseError, match="is empty; its first row must name the columns"):
        EventTable.read(path, MODEL, unit="mg", time_unit="h")
    path.write_text("ID,TIME,AMT\n")
    with pytest.raises(DoseError, match="no record below its header"):
        EventTable.read(path, MODEL, unit="mg", time_unit="h")
    path.write_text("ID,TIME,AMT\n1,0,5\n1,2\n")
    with pytest.raises(DoseError, match="row 3: 3 cells were expected, as in the header, but there are 2"):
        EventTable.read(path, MODEL, unit="mg", time_unit="h")
    path.write_text("ID,TIME,AMT,AMT\n1,0,5,5\n")
    with pytest.raises(DoseError, match="2 columns named `AMT`; rename or drop one"):
        EventTable.read(path, MODEL, unit="mg", time_unit="h")
