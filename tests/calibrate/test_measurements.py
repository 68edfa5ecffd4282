"""Measurements: what is read from a table, in which units, and the errors that a user meets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from systems import OneCompartment

from qspx import AbstractModel, EventTable, Measurements, Observable, Observed, Parameter, Species
from qspx._errors import CalibrationError, UnitError
from qspx.measurements import combined

MODEL = OneCompartment()  # C in nM, depot in nmol, times in days


def table(**columns) -> pd.DataFrame:
    rows = max((len(v) for v in columns.values() if isinstance(v, list)), default=1)
    usual = {"observable": "C", "time": list(range(rows)), "value": [float(i + 1) for i in range(rows)]}
    return pd.DataFrame(usual | columns)


def read(frame: Any, **how: Any) -> Measurements:
    usual: dict[str, Any] = {"time_unit": "h", "units": "nM"}
    return Measurements.from_dataframe(frame, MODEL, **usual | how)


def test_values_and_times_are_in_the_units_of_the_model():
    m = read(table(time=[0, 168], value=[1.5, 2.0], sd=[0.5, "."], n=[4, 1]), units={"C": "uM"})
    np.testing.assert_array_equal(m.time, [0.0, 7.0])
    np.testing.assert_array_equal(m.value, [1500.0, 2000.0])
    np.testing.assert_array_equal(m.sd, [500.0, np.nan])
    assert m.units == {"C": "nM"} and m.time_unit == "day" and m.arms == ("all",) and list(m.n) == [4, 1]


def test_a_column_of_units_goes_row_by_row():
    m = read(table(value=[1.0, 1.0], unit=["nM", "uM"]), units=None)
    np.testing.assert_allclose(m.value, [1.0, 1000.0], rtol=1e-15)


def test_mass_becomes_amount_with_the_molar_mass_of_the_model():
    class Antibody(AbstractModel):
        molar_mass = "MW"
        C = Species("nM")
        MW = Parameter(150.0, "kDa")
        k = Parameter(1.0, "1/day")

        def rates(self, t, y, p):
            return {"C": -p.k * y.C}

    m = Measurements.from_dataframe(table(value=[3.0, 6.0]), Antibody(), time_unit="day", units="ug/mL")
    np.testing.assert_allclose(m.value, [20.0, 40.0], rtol=1e-12)  # 3 mg/L over 150,000 g/mol


def test_columns_of_petab():
    frame = pd.DataFrame(
        {
            "observableId": ["C", "C"],
            "simulationConditionId": ["low", "high"],
            "measurement": [1.0, 2.0],
            "time": [1.0, 1.0],
            "noiseParameters": [0.1, 0.2],
            "replicateId": ["r1", "r2"],
            "datasetId": ["x", "x"],
        }
    )
    m = read(frame)
    assert m.arms == ("low", "high") and list(m.replicate) == ["r1", "r2"] and m.ignored == ("datasetId",)
    np.testing.assert_array_equal(m.sd, [0.1, 0.2])
    with pytest.raises(CalibrationError, match="column `preequilibrationConditionId`.*CalibrationProblem"):
        read(frame.assign(preequilibrationConditionId="ss"))


def test_limits_of_quantification():
    m = read(table(value=[0.2, 3.0, ".", 0.5, 90.0], lloq=[0.5, 0.5, 0.5, "", ""], censored=["", "", "", 1, "above"]))
    np.testing.assert_array_equal(m.censored, [-1, 0, -1, -1, 1])
    np.testing.assert_array_equal(m.value, [0.5, 3.0, 0.5, 0.5, 90.0])
    quantified = m.without_censored()
    assert list(quantified.value) == [3.0]
    assert quantified.dropped == {"below the limit": 3, "above the limit": 1}
    assert "left out: 3 (below the limit)" in str(quantified)


def test_zero_beside_the_code_for_below_is_no_limit(tmp_path):
    marked = dict(value=[2.0, 0.0, 1.0], censored=["", 1, ""])
    with pytest.raises(CalibrationError, match="row 3, column `value`: the limit was expected.*`0.0` was given.*LLOQ"):
        read(table(**marked))
    with pytest.raises(CalibrationError, match="row 3, column `value`: the limit was expected"):
        read(table(**marked | {"value": [2.0, -0.1, 1.0]}))
    said = read(table(**marked, lloq=["", 0.0, ""]))  # the limit of a logarithm may be 0
    assert list(said.censored) == [0, -1, 0] and said.value[1] == 0.0
    said.to_csv(tmp_path / "m.csv")
    np.testing.assert_array_equal(Measurements.read_csv(tmp_path / "m.csv", MODEL).censored, said.censored)
    assert list(read(table(**marked | {"value": [2.0, 0.0, -1.0]})).censored) == [0, -1, 0]  # seen below zero


def test_a_scaled_observable_keeps_a_unit_of_its_own():
    blot = {"blot": Observed("C", scaling="k")}
    m = read(table(observable="blot", value=[1.0, 2.0]), units={"blot": "AU"}, observables=blot)
    assert m.units == {"blot": "AU"} and m.observed == blot
    with pytest.raises(UnitError, match=r"row 2.*`blot` is measured in `AU`.*scaling"):
        read(table(observable="blot", value=[1.0]), units={"blot": "AU"}, observables={"blot": "C"})


def test_written_and_read_again(tmp_path):
    frame = table(
        observable=["C", "C", "depot"],
        arm=["007", "b", "b"],
        study=["s", "", ""],
        subject=[1, 2, 3],
        value=[0.1 + 0.2, 1e-17, 3.0],
        sd=["", 0.3, ""],
        n=[1, 5, 1],
        censored=["below", "", ""],
        before=[False, True, False],
    )
    m = read(frame, units={"C": "nM", "depot": "nmol"})
    m.to_csv(tmp_path / "m.csv")
    again = Measurements.read_csv(tmp_path / "m.csv", MODEL)
    pd.testing.assert_frame_equal(again.to_dataframe(), m.to_dataframe())  # bit for bit
    assert again.arms == ("007", "b") and list(again.before) == [False, True, False]


def test_summary_rows_and_plot():
    m = read(table(arm=["a", "a", "b"], subject=[1, 2, 3], lloq=1.5))
    summary = m.summary()
    assert list(summary["values"]) == [2, 1] and list(summary["below"]) == [1, 0]
    assert list(summary["least"]) == [2.0, 3.0] and list(summary["subjects"]) == [2, 1]
    axes = m.plot()
    assert axes.get_ylabel() == "C (nM)" and len(axes.get_legend().get_texts()) == 2
    assert len(m.rows(m.arm == "a")) == 2 and list(m.rows(np.array([2, 2])).value) == [3.0, 3.0]


def test_tables_of_several_studies_are_joined():
    one, two = read(table(study="one", value=[1.0])), read(table(study="two", value=[2.0, 0.1], lloq=1.0))
    m = combined([one, two.without_censored()])
    assert list(m.study) == ["one", "two"] and m.dropped == {"below the limit": 1}
    other = read(table(value=[1.0]), observables={"C": "depot"}, units="nmol")
    with pytest.raises(CalibrationError, match="`C` does not mean the same"):
        combined([one, other])


# what a user may get wrong ------------------------------------------------------------------------------------------

MISTAKES = {
    "no column of values": (table().drop(columns="value"), {}, "no column `value`.*columns="),
    "unknown observable": (table(observable=["C", "c_plasma"]), {}, r"row 3, column `observable`.*`c_plasma`.*depot"),
    "observable of another case": (table(observable=["c"]), {}, r"row 2.*Did you mean `C`\?"),
    "observable of another model": (table(value=[1.0]), {"observables": {"C": "CP"}}, "`observables` says is `CP`"),
    "no unit": (table(value=[1.0]), {"units": None}, r"unit of `C` is not said.*units=\{\"C\": \"nM\"\}"),
    "unit of nothing": (table(value=[1.0]), {"units": {"D": "nM"}}, "names `D`"),
    "no time unit": (table(value=[1.0]), {"time_unit": None}, "`time_unit` must say"),
    "text for a number": (table(value=[1.0, "high"]), {}, r"row 3, column `value`: a finite number.*`high`"),
    "missing value": (table(value=[1.0, "NA"]), {}, r"row 3, column `value`: a number was expected, but `NA`"),
    "missing time": (table(time=[1.0, ""]), {}, "row 3, column `time`"),
    "negative sd": (table(sd=[0.1, -0.1]), {}, r"row 3, column `sd`: a standard deviation > 0.*`-0.1`"),
    "sd of zero": (table(sd=[0.0]), {}, r"row 2, column `sd`.*blank"),
    "half a patient": (table(n=[1, 2.5]), {}, r"row 3, column `n`: a whole number"),
    "censored mean": (table(n=[3], censored=["below"]), {}, "row 2, column `n`: 1 was expected.*censored"),
    "unknown code": (table(censored=["maybe"]), {}, r"row 2, column `censored`.*`maybe`"),
    "copied row": (table(time=[1, 2, 1], value=[5.0, 6.0, 5.0]), {}, r"row 4: it is a copy of row 2.*replicates=True"),
    "empty table": (table(value=[1.0]).iloc[:0], {}, "holds no row"),
    "no frame": ({"time": [1]}, {}, "pandas DataFrame, but dict"),
    "two columns of one meaning": (table(DV=[1.0]), {}, "`value` and `DV`.*both be `value`.*columns="),
    "wrong column": (table(value=[1.0]), {"columns": {"conc": "value"}}, "names `conc`, which the table lacks"),
    "wrong meaning": (table(value=[1.0]), {"columns": {"value": "valeu"}}, "Did you mean `value`"),
    "mixed time units": (table(time_unit=["h", "day"]), {"time_unit": None}, "mixes time units"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_repair(name):
    frame, how, message = MISTAKES[name]
    with pytest.raises(CalibrationError, match=message):
        read(frame, **how)


def test_a_wrong_unit_is_named_with_its_row():
    with pytest.raises(UnitError, match=r"row 2: `C` is measured in `mg/L`.*molar mass"):
        read(table(value=[1.0]), units="mg/L")
    with pytest.raises(UnitError, match="Cannot convert `kg` to `day`"):
        read(table(value=[1.0]), time_unit="kg")
    with pytest.raises(CalibrationError, match=r"nowhere\.csv cannot be read"):
        Measurements.read_csv("nowhere.csv", MODEL)


def test_replicates_that_agree():
    frame = table(time=[1, 1], value=[5.0, 5.0])
    assert len(read(frame, replicates=True)) == 2
    assert len(read(frame.assign(replicate=[1, 2]))) == 2


# event tables -------------------------------------------------------------------------------------------------------


class Oral(AbstractModel):
    time_unit = "h"
    depot = Species("mg")
    central = Species("mg")
    CL = Parameter(2.8, "L/h")
    V = Parameter(32.0, "L")
    KA = Parameter(1.5, "1/h")
    CP = Observable("mg/L", "drug in plasma")
    effect = Observable("", "share of the dose that is gone")

    def rates(self, t, y, p):
        absorbed = p.KA * y.depot
        return {"depot": -absorbed, "central": absorbed - p.CL / p.V * y.central}

    def observables(self, t, y, p):
        return {"CP": y.central / p.V, "effect": y.central / (y.central + y.depot)}


ORAL = Oral()


def events(*rows) -> EventTable:
    """Rows of (ID, TIME, EVID, AMT, DV, DVID, MDV)."""
    frame = pd.DataFrame(rows, columns=["ID", "TIME", "EVID", "AMT", "DV", "DVID", "MDV"]).assign(CMT=1)
    return EventTable.read(frame, ORAL, unit="mg", time_unit="h")


def test_observations_of_an_event_table():
    t = events(
        (1, 0, 0, 0, 0.1, 1, 0),
        (1, 0, 1, 100, ".", ".", 1),
        (1, 2, 0, 0, 2.5, 1, 0),
        (1, 2, 0, 0, 0.7, 2, 0),
        (7, 0, 1, 100, ".", ".", 1),
        (7, 2, 0, 0, ".", 1, 1),
        (7, 4, 0, 0, 1500, 1, 0),
    )
    m = Measurements.from_events(t, {1: "CP", 2: "effect"}, units={1: "ug/L", "effect": ""})
    assert list(m.observable) == ["CP", "CP", "effect", "CP"] and list(m.arm) == ["1", "1", "1", "7"]
    np.testing.assert_allclose(m.value, [1e-4, 2.5e-3, 0.7, 1.5], rtol=1e-12)
    assert list(m.before) == [True, False, False, False] and list(m.row) == [2, 4, 5, 8]
    with pytest.raises(CalibrationError, match=r"row 5, column `DVID`.*does not say what `2` means"):
        Measurements.from_events(t, {1: "CP"}, units="mg/L")


def test_an_observation_between_two_doses_of_one_time_is_refused():
    t = events((1, 0, 1, 100, ".", 1, 1), (1, 0, 0, 0, 1.0, 1, 0), (1, 0, 1, 50, ".", 1, 1))
    with pytest.raises(CalibrationError, match="row 3: the observation stands between two records"):
        Measurements.from_events(t, "CP", units="mg/L")


def test_an_event_table_without_observations_is_refused():
    with pytest.raises(CalibrationError, match="holds no observation"):
        Measurements.from_events(events((1, 0, 1, 100, ".", 1, 1)), "CP", units="mg/L")


def test_theophylline(reference_dir):
    """132 concentrations of 12 subjects (Boeckmann, Sheiner & Beal 1994); EVID 101 is classic RxODE's bolus."""
    frame = pd.read_csv(reference_dir / "nlme" / "theo_sd.csv").replace({"EVID": {101: 1}})
    m = Measurements.from_events(EventTable.read(frame, ORAL, unit="mg", time_unit="h"), "CP", units="mg/L")
    assert len(m) == 132 and len(m.arms) == 12
    np.testing.assert_array_equal(m.value, frame.loc[frame["EVID"] == 0, "DV"])
    np.testing.assert_array_equal(m.time, frame.loc[frame["EVID"] == 0, "TIME"])
