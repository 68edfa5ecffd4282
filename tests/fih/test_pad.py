"""Pharmacologically active dose by its three routes."""

import pytest

from qspx._errors import DoseError, UnitError
from qspx.fih import AnimalDose, AverageConcentration, DoseContext, Input, PadByExposure, PadByHed

ACTIVE = Input("Cavg at PAD, monkey", 12.0, "ng/mL")
MATCH = AverageConcentration(clearance_L_per_day=0.25, tau_day=7.0, bioavailability=0.6, route="SC")
CONTEXT = DoseContext(molar_mass_g_per_mol=150_000, molar_mass_source="label")


def test_potency_corrected_exposure():
    # 12 ng/mL x 0.25 = 3 ug/L; 3 x 0.25 x 7 / 0.6 = 8.75 ug, whatever the molar mass
    method = PadByExposure(concentration=ACTIVE, match=MATCH, analyte="free", potency_ratio=0.25)
    for molar_mass in (55_000.0, 150_000.0):
        estimate = method.estimate(DoseContext(molar_mass_g_per_mol=molar_mass))
        assert estimate.dose_flat_ug == pytest.approx(8.75, rel=1e-12)
    assert estimate.applies_to == "target dose"
    assert estimate.route == "SC"


def test_exposure_without_correction_is_four_times_that():
    plain = PadByExposure(concentration=ACTIVE, match=MATCH, analyte="free").estimate(CONTEXT)
    assert plain.dose_flat_ug == pytest.approx(35.0, rel=1e-12)
    assert "equal potency in animal and human" in plain.assumptions
    halved = PadByExposure(concentration=ACTIVE, match=MATCH, analyte="free", safety_factor=2.0).estimate(CONTEXT)
    assert halved.dose_flat_ug == pytest.approx(17.5, rel=1e-12)


def test_hed():
    # the same scaling rules as the NOAEL: 0.9 ug/kg in monkey / 3.1
    dose = AnimalDose("monkey", 0.9, "ug/kg")
    assert PadByHed(dose=dose).estimate().dose_ug_per_kg == pytest.approx(0.9 / 3.1, rel=1e-12)
    assert PadByHed(dose=dose).estimate(CONTEXT).dose_ug_per_kg == pytest.approx(0.9, rel=1e-12)


def test_refuses():
    with pytest.raises(DoseError, match="potency_ratio"):
        PadByExposure(concentration=ACTIVE, match=MATCH, analyte="free", potency_ratio=0.0)
    with pytest.raises(DoseError, match="analyte"):
        PadByExposure(concentration=ACTIVE, match=MATCH)
    with pytest.raises(UnitError, match="molar mass"):
        PadByExposure(concentration=ACTIVE, match=MATCH, analyte="free").estimate()
