"""One contract for every dose method of the package: a method without an example here fails the suite."""

from __future__ import annotations

import inspect
import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from linear_model import SINGLE, Linear

import qspx
from qspx import fih
from qspx.fih import AbstractDoseMethod, BolusCmax, DoseContext, DoseEstimate, DoseResponses, Escalation, Input
from qspx.fih.hed import AnimalDose

PEAK = qspx.Max("C", end=1.0)
LEVELS = tuple(np.geomspace(0.1, 1000, 9))
BOLUS = BolusCmax(volume_L=3.0, source="made up")
POTENCY = fih.Potency.from_ec20_ec50(assay="killing", ec20=0.257, ec50=0.585, unit="pM")
MONKEY = AnimalDose("monkey", 1.0, "mg/kg", source="made up")
THRESHOLD = dict(metric=PEAK, threshold=1.0, regimen=SINGLE, threshold_source="made up")

PURE_NUMBERS = ("factor", "slope", "quantile", "bioavailability", "occupancy", "ratio", "cooperativity")

EXAMPLES = {
    "Mabel": fih.Mabel(potency=POTENCY, match=BOLUS, analyte="free", level=0.2),
    "ModifiedMabel": fih.ModifiedMabel(potency=POTENCY, match=BOLUS, analyte="free"),
    "ReceptorOccupancy": fih.ReceptorOccupancy(kd_nM=2.0, match=BOLUS, analyte="free", target="CD3", source="made up"),
    "TrimerMabel": fih.TrimerMabel(
        kd_a_nM=1.0, kd_b_nM=1.0, total_a_nM=1.0, total_b_nM=2.0, match=BOLUS, analyte="free", trimer_nM=0.01,
        threshold_source="made up", source="made up",
    ),
    "WithDraws": fih.WithDraws(
        method=fih.Mabel(potency=POTENCY, match=BOLUS, analyte="free", level=0.2),
        draws=[fih.Mabel(potency=POTENCY, match=BolusCmax(v), analyte="free") for v in np.linspace(2, 4, 10)],
        basis="the volume",
    ),
    "Noael": fih.Noael(doses=MONKEY),
    "NoaelExposure": fih.NoaelExposure(
        auc={"monkey": Input("AUC", 100.0, "ug day/L", "made up")}, clearance_L_per_day=0.3, analyte="total",
        clearance_source="made up",
    ),
    "IchS9": fih.IchS9(hnstd=MONKEY),
    "PadByHed": fih.PadByHed(dose=MONKEY),
    "PadByExposure": fih.PadByExposure(concentration=Input("Cavg", 3.0, "nM", "made up"), match=BOLUS, analyte="free"),
    "Css": fih.Css(
        concentration=Input("EC90", 470.0, "pg/mL", "made up"), analyte="free", clearance_L_per_h=2.0,
        clearance_source="made up",
    ),
    "Mpad": fih.Mpad(**THRESHOLD),
    "Qsp": fih.Qsp(**THRESHOLD),
    "CytokineThreshold": fih.CytokineThreshold(**THRESHOLD),
}  # fmt: skip


@pytest.fixture(scope="module")
def context():
    model = Linear()
    cohort = qspx.sample_cohort(model, qspx.Joint({"V": qspx.LogNormal(3.0, 0.4)}), 60, key=3)
    return DoseContext(molar_mass_g_per_mol=150_000.0, molar_mass_source="made up", modality="CD3_engager", model=model,
                       population=cohort, escalation=Escalation(SINGLE, LEVELS), key=0,
                       responses=DoseResponses(model, cohort, LEVELS, progress=False))  # fmt: skip


def test_every_method_of_the_package_has_an_example():
    found = {
        name
        for name, item in vars(fih).items()
        if inspect.isclass(item) and issubclass(item, AbstractDoseMethod) and not name.startswith("Abstract")
    }
    assert found == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_contract(name, context):
    method = EXAMPLES[name]
    estimate = method.estimate(context)
    assert isinstance(estimate, DoseEstimate)
    assert np.isfinite(estimate.dose_ug_per_kg) and estimate.dose_ug_per_kg > 0
    assert estimate.inputs, "a dose without inputs cannot be traced"
    for item in estimate.inputs:
        if isinstance(item.value, float) and item.unit == "":
            assert any(word in item.name for word in PURE_NUMBERS), f"{item} has no unit"
    assert estimate.method and estimate.target_level and estimate.pk_model and estimate.limiting_criterion
    assert DoseEstimate.from_dict(json.loads(json.dumps(estimate.to_dict()))) == estimate
    assert method.estimate(context) == estimate, "the same question must get the same answer"
    with pytest.raises(FrozenInstanceError):
        method.label = "changed"
    if estimate.interval is not None:
        assert estimate.interval[0] <= estimate.interval[2]


def test_only_occupancy_is_not_decision_relevant_for_a_cd3_engager(context):
    shown_only = {name for name, m in EXAMPLES.items() if not m.estimate(context).decision_relevant}
    assert shown_only == {"ReceptorOccupancy"}
