"""The common record of all dose methods: what it refuses, and that it survives being saved."""

import json

import pytest

from qspx._errors import DoseError
from qspx.fih import DoseContext, DoseEstimate, Input

GOOD = dict(
    method="MABEL: EC20",
    family="MABEL",
    dose_ug_per_kg=5.0,
    body_weight_kg=70.0,
    route="SC",
    regimen="single dose",
    applies_to="single dose",
    analyte="free",
    target_level="EC20",
    pk_model="bolus",
    limiting_criterion="EC20 <in vitro>",
)


def test_flat_dose_is_per_kg_times_weight():
    # fih.md 1.0: 5 ug/kg at 70 kg is 350 ug, exactly
    assert DoseEstimate(**GOOD).dose_flat_ug == 350.0


def test_amount_follows_from_molar_mass():
    # 5 ug/kg, 70 kg, 194,000 g/mol -> 1.804 nmol; printed to four digits
    context = DoseContext(body_weight_kg=70, molar_mass_g_per_mol=194_000)
    assert context.nmol(5.0) == pytest.approx(1.804, rel=3e-4)
    assert context.ug_per_kg(context.nmol(5.0)) == pytest.approx(5.0, rel=1e-14)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dose_ug_per_kg": -1.0}, "dose_ug_per_kg"),
        ({"dose_ug_per_kg": 0.0}, "dose_ug_per_kg"),
        ({"dose_ug_per_kg": float("nan")}, "dose_ug_per_kg"),
        ({"dose_ug_per_kg": float("inf")}, "dose_ug_per_kg"),
        ({"body_weight_kg": 0.0}, "body_weight_kg"),
        ({"safety_factor": -10.0}, "safety_factor"),
        ({"molar_mass_g_per_mol": 0.0}, "molar_mass_g_per_mol"),
        ({"analyte": "fre"}, "Did you mean `free`"),
        ({"applies_to": "maintenance"}, "applies_to"),
        ({"interval": (3.0, 2.0, 4.0)}, "interval"),
        ({"interval": (-1.0, 2.0, 4.0)}, "interval"),
        ({"method": ""}, "method"),
    ],
)
def test_refuses(change, named):
    with pytest.raises(DoseError, match=named):
        DoseEstimate(**{**GOOD, **change})


def test_json_round_trip():
    estimate = DoseEstimate(
        **GOOD,
        interval=(1.0, 5.0, 9.0),
        inputs=(Input("Kd", 1.88, "nM", "paper"), Input("readout", "IL-6")),
        assumptions=("a",),
        notes=("n",),
    )
    data = json.loads(json.dumps(estimate.to_dict()))
    assert data["dose_flat_ug"] == 350.0
    assert DoseEstimate.from_dict(data) == estimate


def test_prints_what_a_reader_needs_and_escapes_html():
    estimate = DoseEstimate(**GOOD, decision_relevant=False, inputs=(Input("Kd", 1.88, "nM", "paper"),))
    text, page = str(estimate), estimate._repr_html_()
    for expected in ("5 µg/kg = 350 µg at 70 kg", "analyte: free", "for context only", "Kd = 1.88 nM (paper)"):
        assert expected in text
        assert expected in page
    assert "&lt;in vitro&gt;" in page and "<in vitro>" not in page


def test_context_refuses():
    with pytest.raises(DoseError, match="body_weight_kg"):
        DoseContext(body_weight_kg=-70.0)
    with pytest.raises(DoseError, match="Did you mean `CD3_engager`"):
        DoseContext(modality="CD3_engagr")
    with pytest.raises(DoseError, match="molar_mass_g_per_mol"):
        DoseContext().ug_per_kg(1.0)
