"""Continuous infusion: the constructed example and blinatumomab's two forms of clearance."""

import pytest

from qspx._errors import DoseError, UnitError
from qspx.fih import Css, DoseContext, Input

TARGET = Input("target", 200.0, "pg/mL")


def test_constructed():
    # 0.2 ug/L x 1.5 L/h x 24 h = 7.2 ug/day = 4.235 ug/m2/day at 1.7 m2
    method = Css(concentration=TARGET, clearance_L_per_h=1.5, bsa_m2=1.7, analyte="free")
    assert method.ug_per_day() == pytest.approx(7.2, rel=1e-12)
    assert method.ug_per_m2_day() == pytest.approx(4.235, abs=5e-4)
    estimate = method.estimate(DoseContext(body_weight_kg=60.0))
    assert estimate.dose_flat_ug == pytest.approx(7.2, rel=1e-12)
    assert "4.235 µg/m²/day" in estimate.notes[0]
    assert not any("none given" in text for text in estimate.assumptions)


def test_blinatumomab_and_the_assumed_surface():
    # EC90 470 pg/mL, CL 2 L/h, 1.8 m2: 12.5 ug/m2/day, below the 15 needed to exceed EC90
    ec90 = Input("EC90, leukaemia lines", 470.0, "pg/mL")
    method = Css(concentration=ec90, clearance_L_per_h=2.0, analyte="free")
    assert method.ug_per_m2_day() == pytest.approx(0.47 * 2 * 24 / 1.8, rel=1e-12)
    assert method.ug_per_m2_day() < 15.0
    assert any("1.8 m²" in text for text in method.estimate().assumptions)
    # clearance per m2: the rate per m2 does not depend on the surface
    per_area = [
        Css(concentration=ec90, clearance_L_per_m2_day=22.3, bsa_m2=bsa, analyte="free").ug_per_m2_day()
        for bsa in (1.2, 2.0)
    ]
    assert per_area == pytest.approx([0.47 * 22.3] * 2, rel=1e-12)


def test_molar_target_needs_molar_mass():
    molar = Css(concentration=Input("target", 200.0 / 54.0, "pM"), clearance_L_per_h=1.5, analyte="free")
    assert molar.ug_per_day(54_000) == pytest.approx(7.2, rel=1e-12)
    with pytest.raises(UnitError, match="molar"):
        molar.estimate()


def test_refuses():
    with pytest.raises(DoseError, match="Exactly one"):
        Css(concentration=TARGET, analyte="free")
    with pytest.raises(DoseError, match="Exactly one"):
        Css(concentration=TARGET, analyte="free", clearance_L_per_h=1.0, clearance_L_per_m2_day=1.0)
    with pytest.raises(DoseError, match="bsa_m2"):
        Css(concentration=TARGET, analyte="free", clearance_L_per_h=1.0, bsa_m2=-1.8)
    with pytest.raises(DoseError, match="analyte"):
        Css(concentration=TARGET, clearance_L_per_h=1.0)
