"""ICH S9 arithmetic and its rule for choosing between rodent and non-rodent."""

import pytest

from qspx._errors import DoseError
from qspx.fih import AnimalDose, DoseContext, IchS9

RAT = AnimalDose("rat", 10.0, "mg/kg")
MONKEY = AnimalDose("monkey", 3.0, "mg/kg")


def test_std10():
    # 10 mg/kg = 60 mg/m2 -> 6 mg/m2 -> / 37 = 0.162 mg/kg
    estimate = IchS9(std10=RAT).estimate()
    assert estimate.dose_ug_per_kg == pytest.approx(6000 / 37, rel=1e-12)
    assert estimate.safety_factor == 10.0
    assert "6 mg/m²" in estimate.notes


def test_hnstd():
    # 3 mg/kg = 36 mg/m2 -> 6 mg/m2 -> 0.162 mg/kg; an IgG: 3/6 = 0.5 mg/kg
    assert IchS9(hnstd=MONKEY).estimate().dose_ug_per_kg == pytest.approx(6000 / 37, rel=1e-12)
    igg = IchS9(hnstd=MONKEY).estimate(DoseContext(molar_mass_g_per_mol=150_000))
    assert igg.dose_ug_per_kg == pytest.approx(500.0, rel=1e-12)
    assert any("MABEL should be considered" in note for note in igg.notes)


def test_rodent_dose_that_is_severely_toxic_in_the_non_rodent():
    # STD10/10 = 6 mg/m2; HNSTD 36 mg/m2 tolerates it, 4.8 mg/m2 (0.4 mg/kg) does not
    assert IchS9(std10=RAT, hnstd=MONKEY).estimate().target_level == "STD10/10"
    low = AnimalDose("monkey", 0.4, "mg/kg")
    switched = IchS9(std10=RAT, hnstd=low).estimate()
    assert switched.target_level == "HNSTD/6"
    assert switched.dose_ug_per_kg == pytest.approx(4.8 / 6 / 37 * 1000, rel=1e-12)
    assert IchS9(std10=RAT, hnstd=low, tenth_std10_severely_toxic=False).estimate().target_level == "STD10/10"
    assert IchS9(std10=RAT, hnstd=MONKEY, tenth_std10_severely_toxic=True).estimate().target_level == "HNSTD/6"


def test_refuses():
    with pytest.raises(DoseError, match="both be missing"):
        IchS9()
    with pytest.raises(DoseError, match="std10"):
        IchS9(std10=MONKEY)
    with pytest.raises(DoseError, match="hnstd"):
        IchS9(hnstd=RAT)
    with pytest.raises(DoseError, match="hnstd"):
        IchS9(std10=RAT, tenth_std10_severely_toxic=True)
