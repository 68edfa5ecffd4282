"""Units of outputs, targets and bounds; mistakes in acceptance tables."""

import numpy as np
import pandas as pd
import pytest

import qspx
from qspx._status import Status
from qspx.steady_state import SteadyState
from qspx.vpop import (
    SKIP,
    AbstractSimulator,
    AtRest,
    Bins,
    InUnits,
    MaximumEntropy,
    Mean,
    MeanSd,
    Plausibility,
    PopulationError,
    PopulationProblem,
    Quantiles,
    Screening,
    VirtualPopulation,
    targets_from_table,
)


class Plasma(qspx.AbstractModel):
    M = qspx.Species("mg/L", "marker in plasma")
    k = qspx.Parameter(4.0, "mg/L/day", "synthesis")
    l = qspx.Parameter(0.5, "1/day", "loss")  # noqa: E741

    def rates(self, t, y, p):
        return {"M": p.k - p.l * y.M}


@pytest.fixture(scope="module")
def rest():
    return AtRest(SteadyState(Plasma(), within=100.0), ("M",))


PRIOR = qspx.Joint({"k": qspx.Uniform(2.0, 8.0)})


def test_outputs_in_units_of_choice(rest, tmp_path):
    """M is k / l mg/L at rest: 0.4 to 1.6 mg/dL. Targets, bounds, reasons and files speak of mg/dL."""
    simulator = InUnits(rest, {"M": "mg/dL"})
    plausible = Plausibility({"M": (0.5, 1.5)}, units={"M": "mg/dL"})
    target = MeanSd("M", 0.9, 0.2, unit="mg/dL")
    problem = PopulationProblem(simulator, PRIOR, plausible, [target])
    found = Screening(batch=128).sample(problem, 100, key=0)
    np.testing.assert_allclose(found.values[:, 0], found.cohort.column("k") / 5, rtol=1e-6)
    assert found.units == {"M": "mg/dL"} and rest.units == {"M": "mg/L"}
    assert any(r == "M above 1.5 mg/dL" for r in found.ledger.reasons[Status.IMPLAUSIBLE])
    vpop = MaximumEntropy().fit(found, problem.targets, key=0)
    assert vpop.target_table()["unit"].tolist() == ["mg/dL", "mg/dL"] and not vpop.unreached
    vpop.save(tmp_path / "vpop")
    assert VirtualPopulation.load(tmp_path / "vpop", Plasma(), start=rest.begin).outputs.units == {"M": "mg/dL"}
    with pytest.raises(PopulationError, match=r"MeanSd of `M` is in mg/L, but the output is in mg/dL.*InUnits"):
        MaximumEntropy().fit(found, [MeanSd("M", 9.0, 2.0, unit="mg/L")], key=0)
    molar = InUnits(rest, {"M": "mmol/L"}, {"M": 386.65})
    values = molar(problem.cohort(np.array([[5.0]]), "one", 0)).values
    np.testing.assert_allclose(values, 10 / 386.65, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda s: InUnits(s, {"M": "day"}), r"output `M`: Cannot convert `mg/L` to `day`"),
        (lambda s: InUnits(s, {"M": "mmol/L"}), r"output `M`.*molar_mass"),
        (lambda s: InUnits(s, {"M": "parsnip"}), r"output `M`.*parsnip"),
        (lambda s: InUnits(s, {"m": "mg/L"}), r"does not compute `m`.*Did you mean `M`"),
        (lambda s: PopulationProblem(s, PRIOR, Plausibility({"M": (1, 2)}, {"M": "g/L"})), r"bound of `M` is in g/L"),
        (lambda s: PopulationProblem(s, PRIOR, Plausibility({}), [Mean("M", 1, unit="g/L")]), r"Mean of `M` is in g/L"),
        (lambda s: PopulationProblem(s, PRIOR, Plausibility({}), [Mean("M", 1, unit="oops")]), r"Mean of `M`.*oops"),
        (lambda s: Plausibility({"M": (1, 2)}, {"L": "g"}), r"`units` names \['L'\]"),
    ],
)
def test_units_that_do_not_fit(rest, make, says):
    with pytest.raises(PopulationError, match=says):
        make(rest)


def test_the_same_unit_in_other_words(rest):
    PopulationProblem(rest, PRIOR, Plausibility({}), [Quantiles("M", [0.5], [9.0], unit="ug/mL"), Mean("k", 4.0)])


def test_a_simulator_that_says_no_unit(plain):
    class Own(AbstractSimulator):
        model, names = plain, ("A",)

        def traced(self, theta):
            return theta[:, :1], np.zeros(len(theta))

    with pytest.raises(PopulationError, match=r"Own does not say in which unit `A` is.*`units`"):
        InUnits(Own(), {"A": "mg"})


def table(*rows, columns=("Group", "Time", "Data", "LB", "UB")):
    return pd.DataFrame([list(r) for r in rows], columns=list(columns), dtype=object)


def known(group, time, data):
    return {"LDL": "LDL", "HDL": "HDL", "unused": SKIP}.get(data)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([(1, 0, "LDl", 1, 2)], r"row 1 \(Group 1, Time 0, Data LDl\): `name\(1, 0, 'LDl'\)`.*returned None.*SKIP"),
        ([(1, 0, "HDL", 1, 2), (1, 0, "LDL", "<0.5", 2)], r"row 2 .*column LB: a number.*'<0.5'"),
        ([(1, "day 1", "LDL", 1, 2)], r"row 1 .*column Time: a number.*'day 1'"),
        ([(1, 0, "LDL", 5, 4)], r"no value of `LDL`.*row 1 .*with 5 to 4"),
        ([(1, 0, "LDL", 5, 9), (2, 0, "LDL", 1, 4)], r"`LDL` .*row 1 .*5 to 9 and row 2 .*1 to 4"),
    ],
)
def test_mistakes_in_acceptance_tables(rows, says):
    with pytest.raises(PopulationError, match=says):
        Plausibility.from_table(table(*rows), known)


def test_what_an_acceptance_table_leaves_out_and_open():
    found = Plausibility.from_table(table((1, 0, "LDL", 5, None), (1, 0, "unused", 1, 2), (2, 0, "LDL", "", 9)), known)
    assert found.bounds == {"LDL": (5.0, 9.0)} and found.left_out == ("row 2 (Group 1, Time 0, Data unused)",)


def test_units_of_tables():
    columns = ("Group", "Time", "Data", "LB", "UB", "Unit")
    found = Plausibility.from_table(
        table((1, 0, "LDL", 5, 9, "mg/dL"), (1, 0, "HDL", 5, 9, None), columns=columns), known
    )
    assert found.units == {"LDL": "mg/dL"}
    with pytest.raises(PopulationError, match=r"row 2 .*column Unit: .*`LDL` are in mg/dL in row 1.*mmol/L here"):
        Plausibility.from_table(
            table((1, 0, "LDL", 5, 9, "mg/dL"), (2, 0, "LDL", 1, 9, "mmol/L"), columns=columns), known
        )
    columns = ("Group", "Time", "Data", "Type", "Value1", "Value2", "Value3", "Unit")
    rows = [(1, 0, "LDL", "MEAN_STD", 5, 9, None, "mg/dL"), (1, 0, "HDL", "BIN", "-inf", 9, 0.4, "mg/dL")]
    rows.append((1, 0, "HDL", "BIN", 9, "inf", 0.6, "mg/dL"))
    one, two = targets_from_table(table(*rows, columns=columns), known)
    assert one.units == {"LDL": "mg/dL"} and isinstance(two, Bins) and two.unit == "mg/dL"
    rows[1] = (*rows[1][:-1], "mg/L")
    with pytest.raises(PopulationError, match=r"row 2 .*column Unit: the rows of one target have one unit"):
        targets_from_table(table(*rows, columns=columns), known)
