"""Data sets of NONMEM, rxode2 and mrgsolve: what is read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from event_tables import MODEL, ORAL, Daily, dose_of, read

from qspx import Dose, EventTable, Parameter, Regimen, Species
from qspx._errors import DoseError, UnitError


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
