"""Data sets of NONMEM, rxode2 and mrgsolve: what is read, and what is refused with row, column and repair."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from superposition import Depot

from qspx import AbstractModel, Dose, EventTable, Parameter, Regimen, Species, events_frame
from qspx._errors import DoseError, UnitError

MODEL = Depot()
ORAL = [
    {"ID": 1, "TIME": 0, "EVID": 1, "AMT": 100, "CMT": 1, "II": 24, "ADDL": 3},
    {"ID": 1, "TIME": 2, "EVID": 0, "AMT": 0, "CMT": 2, "II": 0, "ADDL": 0},
    {"ID": 2, "TIME": 0, "EVID": 1, "AMT": 50, "CMT": 2, "II": 12, "ADDL": 1},
    {"ID": 2, "TIME": 5, "EVID": 0, "AMT": 0, "CMT": 2, "II": 0, "ADDL": 0},
]


def read(records, model=MODEL, **how) -> EventTable:
    frame = records if isinstance(records, pd.DataFrame) else pd.DataFrame(records)
    return EventTable.read(frame, model, **{"unit": "mg", "time_unit": "h"} | how)


def dose_of(**record) -> Dose:
    """The dose of a table with one record."""
    (dose,) = read([{"ID": 1, "TIME": 0.0, "EVID": 1, "AMT": 100, "CMT": 2} | record]).doses
    assert dose is not None
    return dose


# what is read ---------------------------------------------------------------------------------------------------------


def test_subjects_regimens_and_observations():
    table = read(ORAL)
    assert table.ids == (1, 2) and len(table) == 2
    first = Dose(100.0, "mg", "depot", every=24.0, additional=3)
    second = Dose(50.0, "mg", "central", every=12.0, additional=1)
    assert table.regimens == (Regimen((first,), "h"), Regimen((second,), "h"))
    assert table.observations.tolist() == [1, 3] and table.rows.tolist() == [2, 3, 4, 5]
    np.testing.assert_array_equal(table.theta, [MODEL.theta, MODEL.theta])


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_columns_are_found_in_any_case(case):
    frame = pd.DataFrame(ORAL).assign(RATE=[10, 0, 0, 0], SS=[1, 0, 0, 0], MDV=[1, 0, 1, 0], DV=0.0)
    table = read(frame.rename(columns=case))
    assert table.regimens[0].doses == (Dose(100.0, "mg", "depot", every=24.0, additional=3, rate=10.0, steady_state=1),)
    assert table.ignored == ()


def test_infusions():
    assert dose_of(RATE=10).rate == 10.0
    assert dose_of(RATE=-1).rate == "RAT2" and dose_of(RATE=-1).duration is None
    assert dose_of(RATE=-2).duration == "DUR2" and dose_of(RATE=-2).rate is None
    assert dose_of(dur=4).duration == 4.0 and dose_of(rate=0, dur=0) == dose_of()
    constant = dose_of(AMT=0, RATE=5, SS=1)
    assert constant.constant_infusion and constant.rate == 5.0 and constant.every is None


def test_numbers_of_compartments_are_those_of_the_model_or_of_the_user():
    assert (
        dose_of(CMT=1).into == "depot" and dose_of(CMT="2").into == "central" and dose_of(CMT="depot").into == "depot"
    )
    assert dose_of(CMT=0).into == "depot" and dose_of(CMT=".").into == "depot"
    records = [{"ID": 1, "TIME": 0, "AMT": 1, "CMT": c} for c in (5, "SC", "central")]
    table = read(records, compartments={5: "central", "SC": "depot"})
    assert [d.into for d in table.doses if d] == ["central", "depot", "central"]
    assert read(pd.DataFrame(records).drop(columns="CMT")).regimens[0].doses[0].into == "depot"


def test_evid_follows_from_the_amount_where_there_is_none():
    frame = pd.DataFrame(
        {"ID": 1, "TIME": [0, 0, 1, 2, 3], "AMT": [5, 0, ".", 0, 0], "RATE": [0, 7, 0, 0, 0], "SS": [0, 1, 0, 0, 0]}
    )
    assert read(frame).evid.tolist() == [1, 1, 0, 0, 0]
    assert read(frame.assign(MDV=[1, 1, 0, 1, 0])).evid.tolist() == [1, 1, 0, 2, 0]


def test_missing_cells_are_blank_dots_or_not_available(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("ID, time ,AMT,CMT,ADDL,II,CL\n\n1,0,100,2,.,,2.5\n1,3, . ,,NA,.,.\n\n1,4,0,2,0,0,2.5\n")
    table = EventTable.read(path, MODEL, unit="mg", time_unit="h")
    assert table.regimens == (Regimen((Dose(100.0, "mg", "central"),), "h"),)
    assert table.rows.tolist() == [3, 4, 6]  # as a text editor counts them
    assert table.theta[0, MODEL.parameter_index("CL")] == 2.5


def test_identifiers_may_be_text():
    assert read([{"ID": x, "TIME": 0, "AMT": 1} for x in ("A-1", "A-2")]).ids == ("A-1", "A-2")
    assert read([{"ID": x, "TIME": 0, "AMT": 1} for x in ("1", 1.0, "1.0", 2.0)]).ids == (1, 2)


def test_resets():
    records = [
        {"ID": 1, "TIME": 0, "EVID": 1, "AMT": 1},
        {"ID": 1, "TIME": 9, "EVID": 3, "AMT": 0},
        {"ID": 1, "TIME": 12, "EVID": 4, "AMT": 2},
    ]
    (regimen,) = read(records).regimens
    assert regimen.resets == (9.0, 12.0) and [d.at for d in regimen.doses] == [0.0, 12.0]


def test_a_dose_that_stands_before_a_reset_at_its_time_is_cancelled():
    three = [{"ID": 1, "TIME": 9, "EVID": e, "AMT": a} for e, a in ((1, 5), (3, 0), (1, 7))]
    (regimen,) = read(three).regimens
    assert [d.amount for d in regimen.doses] == [7.0] and regimen.resets == (9.0,)


def test_a_subject_without_doses_has_a_regimen_of_nothing():
    records = [{"ID": 1, "TIME": 0, "AMT": 5}, {"ID": 2, "TIME": 3, "AMT": 0}]
    assert read(records).regimens[1] == Regimen((Dose(0.0, "mg", "depot", 3.0),), "h")
    only_seen = pd.DataFrame({"ID": [1], "TIME": [0], "EVID": [0]})
    assert read(only_seen).regimens[0].target == 0.0


def test_parameters_of_subjects():
    frame = pd.DataFrame(ORAL).assign(cl=[2.0, 2.0, 3.0, "."], V=30)
    table = read(frame)
    assert table.theta[:, MODEL.parameter_index("CL")].tolist() == [2.0, 3.0]  # an empty cell is what the others are
    assert table.theta[:, MODEL.parameter_index("V")].tolist() == [30.0, 30.0]
    assert table.columns["cl"] == "CL" and table.changing == ()


def test_doses_take_what_changes_from_their_own_record():
    frame = pd.DataFrame(
        {
            "ID": 1,
            "TIME": [0, 1, 2, 3, 4],
            "AMT": [10, 0, 10, 10, 10],
            "CMT": [2, 2, 2, 2, 1],
            "RATE": [0, 0, -1, -2, 0],
            "LAGT": [1, 9, 2, 3, 7],
            "RAT2": [0, 0, 4, 5, 0],
            "DUR2": 6.0,
        }  # fmt: skip
    )
    table = read(frame)
    doses = table.regimens[0].doses
    assert [d.lag for d in doses] == [1.0, 2.0, 3.0, None]  # it acts on the central compartment only
    assert [(d.rate, d.duration) for d in doses] == [(None, None), (4.0, None), (None, "DUR2"), (None, None)]
    assert table.changing == ("LAGT", "RAT2")
    assert table.theta[0, MODEL.parameter_index("DUR2")] == 6.0


class Daily(AbstractModel):
    """A model in days, for tables in hours and other units of amount."""

    molar_mass, body_weight = "MW", "WT"
    drug = Species("nmol", lag="lag", rate="R", duration="D")
    CL = Parameter(0.1, "1/day")
    MW = Parameter(1e5, "g/mol")
    WT = Parameter(70.0, "kg")
    lag = Parameter(0.5, "day")
    R = Parameter(48.0, "nmol/day")
    D = Parameter(0.25, "day")

    def rates(self, t, y, p):
        return {"drug": -p.CL * y.drug}


def test_what_changes_is_told_in_the_units_of_the_table():
    frame = pd.DataFrame({"ID": 1, "TIME": [0, 24, 48], "AMT": 5000, "RATE": [-1, -2, 0]})
    frame = frame.assign(lag=[0.5, 0.25, 1], R=[48, 24, 1], D=[1, 0.5, 2])
    doses = read(frame, Daily(), unit="pmol").regimens[0].doses
    assert [d.lag for d in doses] == [12.0, 6.0, 24.0]
    assert doses[0].rate == pytest.approx(2000.0) and doses[1].duration == 12.0
    with pytest.raises(UnitError, match=r"row 2, column `R`: `R` in nmol/day changes.*cannot be told in mg"):
        read(frame, Daily(), unit="mg")


def test_columns_of_other_names():
    frame = pd.DataFrame(ORAL).rename(columns={"AMT": "DOSE", "ID": "SUBJID"}).assign(CLI=4.0, WT=70, CL=99.0)
    table = read(frame, columns={"DOSE": "amt", "SUBJID": "ID", "CLI": "CL", "CL": None})
    assert table.theta[0, MODEL.parameter_index("CL")] == 4.0
    assert table.ignored == ("WT", "CL")
    assert table.regimens[0].doses[0].amount == 100.0


def test_a_parameter_called_dur_is_not_the_duration_of_rxode2():
    class Modelled(Daily):
        DUR = Parameter(0.1, "day")
        drug = Species("nmol", duration="DUR")

    frame = pd.DataFrame({"ID": 1, "TIME": 0, "AMT": [5], "RATE": -2, "DUR": 0.5})
    table = read(frame, Modelled(), unit="nmol")
    assert table.doses[0] == Dose(5.0, "nmol", "drug", duration="DUR")
    assert table.theta[0, Modelled().parameter_index("DUR")] == 0.5


@pytest.mark.parametrize("rate", [{}, {"RATE": [0, 0]}])
def test_a_dur_that_nothing_would_read_is_not_a_silent_bolus(rate):
    """A file for rxode2, and a model that happens to have a parameter of that name."""

    class Modelled(Daily):
        DUR = Parameter(0.1, "day")

    frame = pd.DataFrame({"ID": 1, "TIME": [0, 1], "AMT": [5, 0], "DUR": 0.5, "EVID": [1, 0]} | rate)
    with pytest.raises(
        DoseError, match=r"row 2, column `DUR`: RATE -2 was expected.*would be a bolus.*rename the para"
    ):
        read(frame, Modelled(), unit="nmol")
    table = read(frame, Modelled(), unit="nmol", columns={"DUR": "DUR"})
    assert table.doses[0] == Dose(5.0, "nmol", "drug") and table.theta[0, Modelled().parameter_index("DUR")] == 0.5


def test_the_table_prints_as_what_was_understood():
    text = str(read(pd.DataFrame(ORAL).assign(CL=1.0, WT=70, LAGT=[1, 0, 0, 0])))
    assert "2 subjects, 4 records (2 observation, 2 dose)" in text
    assert "in mg into depot, central, times in h" in text
    assert "parameters: CL" in text and "columns ignored: WT" in text


# what is refused ------------------------------------------------------------------------------------------------------

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


# there and back -------------------------------------------------------------------------------------------------------

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
