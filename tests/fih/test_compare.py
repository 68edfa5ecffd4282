"""`compare_doses` end to end on a model with closed forms: folds, ledger, curves, alternatives, a user's own method."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from linear_model import SINGLE, Linear

import qspx
from qspx._errors import DoseError, ThresholdError
from qspx.fih import (
    AbstractDoseMethod,
    Alternative,
    BolusCmax,
    DoseEstimate,
    Escalation,
    Mabel,
    Mpad,
    Noael,
    Potency,
    ProfilePlan,
    Proposal,
    Qsp,
    RationaleContext,
    ReceptorOccupancy,
    SimulatedMatch,
    compare_doses,
)
from qspx.fih.hed import AnimalDose
from qspx.report import write_report

PEAK = qspx.Max("C", end=14.0)
STEPS = qspx.Regimen.step_up(1.0, "ug/kg", "C", fractions=(0.1, 0.3, 1.0), at=(0.0, 3.0, 7.0))
LEVELS = tuple(np.geomspace(0.1, 1000, 9))


@dataclass(frozen=True)
class TenthOfMabel(AbstractDoseMethod):
    """A method made outside the package."""

    ec: float

    def estimate(self, context=None):
        dose = context.ug_per_kg(self.ec * 3.0) / 10
        return DoseEstimate(
            method="a tenth of MABEL",
            family="own",
            dose_ug_per_kg=dose,
            body_weight_kg=context.body_weight_kg,
            route="IV",
            regimen="single dose",
            applies_to="single dose",
            analyte="free",
            target_level="EC20",
            pk_model="volume",
            limiting_criterion="EC20",
        )


def methods():
    potency = Potency.from_ec20_ec50(assay="killing", ec20=257.0, ec50=585.0, unit="pM")
    return [
        Mabel(
            potency=potency,
            match=SimulatedMatch(PEAK, SINGLE, "free"),
            analyte="free",
            level=0.2,
            label="MABEL",
        ),
        ReceptorOccupancy(kd_nM=2.0, match=BolusCmax(volume_L=3.0), analyte="free", occupancy=0.1, target="CD3"),
        Noael(doses=AnimalDose("monkey", 1.0, "mg/kg", source="made up")),
        Mpad(metric=PEAK, threshold=2.0, regimen=SINGLE, label="MPAD"),
        Qsp(metric=PEAK, threshold=5.0, label="QSP"),
        TenthOfMabel(0.257),
    ]


@pytest.fixture(scope="module")
def inputs():
    model = Linear()
    joint = qspx.Joint({"V": qspx.LogNormal(3.0, 0.3), "CL": qspx.LogNormal(0.3, 0.3)})
    return model, joint, qspx.sample_cohort(model, joint, 60, key=1)


@pytest.fixture(scope="module")
def rationale(inputs, tmp_path_factory):
    model, joint, cohort = inputs
    return compare_doses(
        model,
        cohort,
        Escalation(STEPS, LEVELS),
        methods(),
        key=0,
        proposal=Proposal(5.0, (0.1, 0.3, 1.0), (0.0, 3.0, 7.0), "as an example"),
        context=RationaleContext(product="<example>"),
        modality="CD3_engager",
        distribution=joint,
        distribution_sources={"V": "made up"},
        alternatives=[Alternative("double volume", "V 6 L", parameters={"V": 6.0})],
        profiles=ProfilePlan(tuple(np.linspace(0, 14, 29)), {"C": "drug"}),
        limitations=["an example"],
        out=tmp_path_factory.mktemp("compare") / "runs",
        progress=False,
    )


def test_folds_name_first_injection_and_target(rationale):
    folds = rationale.folds.set_index("method")
    mabel = rationale.estimate("MABEL").dose_ug_per_kg
    assert mabel == pytest.approx(0.257 * 3.0 * 150 / 70, rel=1e-5)
    assert folds.loc["MABEL", "fold_target"] == pytest.approx(5.0 / mabel)
    assert folds.loc["MABEL", "fold_first_injection"] == pytest.approx(0.5 / mabel)
    assert folds.loc["MABEL", "cohorts_saved_half_log"] == pytest.approx(np.log(5.0 / mabel) / np.log(np.sqrt(10)))
    assert folds.loc["MABEL", "cohorts_saved_doubling"] == pytest.approx(np.log2(5.0 / mabel))
    assert folds.loc["a tenth of MABEL", "fold_target"] == pytest.approx(50.0 / mabel, rel=1e-5)


def test_occupancy_is_shown_but_never_decides_for_a_cd3_engager(rationale):
    ro = next(e for e in rationale.estimates if e.family == "RO")
    assert not ro.decision_relevant
    assert any("receptor occupancy" in text.lower() for text in rationale.advisories)


def test_ledger_adds_up(rationale, inputs):
    assert rationale.ledger["n"].sum() == rationale.ledger_total == 60


def test_curves_equal_the_closed_form(rationale, inputs):
    single = rationale.curves[rationale.curves["metric"] == "peak C, days 0 to 14, single dose"]
    v = inputs[2].column("V")
    expected = single["dose_ug_per_kg"] * 70 / 150 * np.quantile(1 / v, 0.5)
    assert np.allclose(single["q50"], expected, rtol=1e-6)
    assert (single["n_ok"] == 60).all()
    assert set(rationale.curves["metric"]) == {"peak C, days 0 to 14, single dose", "peak C, days 0 to 14, schedule"}


def test_probability_of_exceeding_a_threshold_at_the_proposed_doses(rationale, inputs):
    table = rationale.exceedance.set_index(["metric", "dose"])
    peak = 5.0 * 70 / 150 / inputs[2].column("V")  # nM after a single dose of the target
    row = table.loc[("peak C, days 0 to 14, single dose", "target")]
    assert row["probability"] == pytest.approx((peak > 2.0).mean())
    assert row["low_5"] <= row["probability"] <= row["high_95"]
    assert table.loc[("peak C, days 0 to 14, single dose", "first injection"), "probability"] == 0.0


def test_alternatives_are_relative_to_the_typical_subject(rationale):
    table = rationale.alternatives.set_index("scenario")
    assert table.loc["double volume", "fold_to_base"] == pytest.approx(2.0, rel=1e-4)
    assert table["dose_ug_per_kg"].iloc[0] == pytest.approx(2.0 * 3 * 150 / 70, rel=1e-4)


def test_sensitivity_names_what_the_dose_depends_on(rationale):
    rows = rationale.sensitivity.set_index(["metric", "parameter"])
    single = rows.loc["peak C, days 0 to 14, single dose"]
    # the peak of a bolus is dose WT / (MW V): the dose that reaches a level is proportional to V MW / WT
    assert single.loc["V", "elasticity_dose"] == pytest.approx(1.0, rel=1e-5)
    assert single.loc["WT", "elasticity_dose"] == pytest.approx(-1.0, rel=1e-5)
    assert single.loc["V", "rank_correlation"] == pytest.approx(-1.0, abs=1e-6)
    assert "hook" in rationale.insensitive()


def test_profiles_and_dose_times(rationale):
    assert rationale.dose_times == [(0.0, 0.5), (3.0, 1.5), (7.0, 5.0)]
    assert set(rationale.profiles["panel"]) == {"drug"}
    assert (rationale.profiles["q05"] <= rationale.profiles["q95"]).all()


def test_everything_is_json_and_the_report_is_written(rationale, tmp_path):
    html = write_report(rationale, tmp_path / "report")
    text = html.read_text()
    assert "<example>" not in text and "&lt;example&gt;" in text
    data = json.loads((tmp_path / "report" / "rationale.json").read_text())
    assert data["ledger_total"] == 60
    doses = {e["method"]: e["dose_ug_per_kg"] for e in data["estimates"]}
    assert doses == {e.method: e.dose_ug_per_kg for e in rationale.estimates}
    assert isinstance(rationale.estimates_table(), pd.DataFrame)


def test_a_second_run_in_the_same_directory_simulates_nothing_again(inputs, tmp_path):
    model, _, cohort = inputs
    arguments = dict(key=0, out=tmp_path / "runs", progress=False)
    first = compare_doses(model, cohort, Escalation(STEPS, LEVELS), methods()[3:5], **arguments)
    markers = {f: f.stat().st_mtime_ns for f in (tmp_path / "runs").rglob("shards/*.json")}
    again = compare_doses(model, cohort, Escalation(STEPS, LEVELS), methods()[3:5], **arguments)
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "runs").rglob("shards/*.json")} == markers
    assert [e.dose_ug_per_kg for e in again.estimates] == [e.dose_ug_per_kg for e in first.estimates]
    assert again.proposal is None and len(again.folds) == 0


def test_errors_name_the_method(inputs):
    model, _, cohort = inputs
    escalation = Escalation(STEPS, LEVELS)
    with pytest.raises(ThresholdError, match="method 'high'.*never reached"):
        compare_doses(model, cohort, escalation, [Qsp(metric=PEAK, threshold=1e9, label="high")], key=0, progress=False)
    with pytest.raises(DoseError, match="at least one dose method"):
        compare_doses(model, cohort, escalation, [], key=0)
    with pytest.raises((DoseError, TypeError)):  # the typing hook of the tests may answer first
        compare_doses(model, cohort, escalation, [TenthOfMabel], key=0)  # type: ignore[list-item]
    with pytest.raises(ThresholdError, match="falls with dose.*rises with dose"):
        falling = Qsp(metric=qspx.Last("trimer", end=0.001), threshold=1.0, regimen=SINGLE, label="falling")
        compare_doses(model, cohort, Escalation(STEPS, (100.0, 300.0, 1000.0)), [falling], key=0, progress=False)
    twice = [Mpad(metric=PEAK, threshold=2.0, regimen=SINGLE, label="same")] * 2
    with pytest.raises(DoseError, match="two methods are called 'same'"):
        compare_doses(model, cohort, escalation, twice, key=0, progress=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Proposal(-1.0, (1.0,), (0.0,), "x"), "target_ug_per_kg"),
        (lambda: Proposal(1.0, (1.0,), (0.0, 1.0), "x"), "same length"),
        (lambda: Proposal(1.0, (1.0,), (0.0,), " "), "reason"),
        (lambda: Escalation(STEPS, (1.0, 0.5, 2.0)), "increasing"),
        (lambda: Escalation(qspx.Regimen.single(1.0, "mg", "C"), LEVELS), "ug/kg"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(DoseError, match=message):
        make()
