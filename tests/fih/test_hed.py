"""FDA 2005 table, human equivalent doses and MRSD, with the worked examples of the guidance's arithmetic."""

import csv
from pathlib import Path

import pytest

from qspx._errors import DoseError, UnitError
from qspx.fih import (
    SPECIES,
    AnimalDose,
    DoseContext,
    Input,
    Noael,
    NoaelExposure,
    default_scaling,
    human_equivalent_dose,
    mg_per_kg_to_mg_per_m2,
    species_size,
)

TABLE = Path(__file__).resolve().parents[1] / "data" / "fih" / "fda2005_km.csv"

# species: km, divisor of mg/kg (guidance Table 1)
GUIDANCE = {
    "mouse": (3, 12.3),
    "hamster": (5, 7.4),
    "rat": (6, 6.2),
    "ferret": (7, 5.3),
    "guinea_pig": (8, 4.6),
    "rabbit": (12, 3.1),
    "dog": (20, 1.8),
    "monkey": (12, 3.1),
    "marmoset": (6, 6.2),
    "squirrel_monkey": (7, 5.3),
    "baboon": (20, 1.8),
    "micropig": (27, 1.4),
    "minipig": (35, 1.1),
}


def test_table_matches_the_transcribed_file():
    rows = list(csv.DictReader(TABLE.read_text().splitlines()))
    assert len(rows) == 14
    for row in rows:
        size = species_size(row["species"])
        assert size.weight_kg == float(row["reference_weight_kg"])
        assert size.km == float(row["Km"])
        assert size.km / 37 == pytest.approx(float(row["HED_factor_Km_animal_over_37"]), abs=6e-4)  # three decimals


@pytest.mark.parametrize("name", GUIDANCE)
def test_table_factors(name):
    km, divisor = GUIDANCE[name]
    size = species_size(name)
    assert (size.km, size.divide_by) == (km, divisor)
    # the rounded factors and km/37 are the same fact: within 4 % (coarse for the one-digit factors)
    assert size.multiply_by == pytest.approx(km / 37, rel=0.045)
    assert 1 / divisor == pytest.approx(km / 37, rel=0.045)
    # reference weight inside the working range, and km is weight over surface to the guidance's rounding
    assert size.in_working_range(size.weight_kg)
    assert size.weight_kg / size.surface_m2 == pytest.approx(km, rel=0.08)


def test_thirteen_animals_and_two_human_rows():
    assert sum(size.is_human for size in SPECIES.values()) == 2
    assert len(SPECIES) == 15


@pytest.mark.parametrize(
    ("species", "noael", "exact", "table"),
    [("rat", 30.0, 4.865, 4.839), ("dog", 5.0, 2.703, 2.778), ("monkey", 50.0, 16.22, 16.13)],
)
def test_worked_hed(species, noael, exact, table):
    dose = AnimalDose(species, noael, "mg/kg")
    # printed to four digits
    assert human_equivalent_dose(dose, rounding="exact") == pytest.approx(exact, rel=4e-4)
    assert human_equivalent_dose(dose) == pytest.approx(table, rel=4e-4)
    assert human_equivalent_dose(dose, scaling="mg_per_kg") == noael


def test_power_form_only_outside_the_working_range():
    inside = AnimalDose("rat", 30.0, "mg/kg", weight_kg=0.25)
    outside = AnimalDose("rat", 30.0, "mg/kg", weight_kg=0.4)
    assert human_equivalent_dose(inside) == 30.0 / 6.2
    assert human_equivalent_dose(outside) == pytest.approx(30.0 * (0.4 / 60) ** 0.33, rel=1e-14)
    # at the reference weight the power form and the table are the same rule: 14 % apart for the rat
    assert 30.0 * (0.15 / 60) ** 0.33 == pytest.approx(30.0 / 6.2, rel=0.15)


def test_mrsd_from_the_most_sensitive_species():
    method = Noael(doses=(AnimalDose("rat", 30.0, "mg/kg"), AnimalDose("dog", 5.0, "mg/kg")))
    estimate = method.estimate()
    # dog 2.78 mg/kg / 10 = 0.278 mg/kg; 16.7 mg at 60 kg (16 mg with the exact ratio)
    assert estimate.dose_ug_per_kg == pytest.approx(277.8, rel=2e-4)
    assert estimate.body_weight_kg == 60.0
    assert "dog" in estimate.limiting_criterion and "lowest HED" in estimate.limiting_criterion
    exact = Noael(doses=method.doses, rounding="exact").estimate()
    assert exact.dose_ug_per_kg == pytest.approx(270.3, rel=2e-4)
    assert exact.dose_flat_ug == pytest.approx(16_216, rel=1e-4)
    assert Noael(doses=method.doses, species="rat").estimate().dose_ug_per_kg == pytest.approx(483.9, rel=2e-4)


def test_tgn1412_mrsd():
    # cynomolgus 50 mg/kg: BSA 16.2 -> 1.62 mg/kg; the sponsor gave 0.1 mg/kg, a further 16-fold
    dose = AnimalDose("cynomolgus", 50.0, "mg/kg")
    estimate = Noael(doses=dose, scaling="bsa", rounding="exact").estimate()
    assert estimate.dose_ug_per_kg == pytest.approx(1620.0, rel=2e-3)
    assert estimate.dose_ug_per_kg / 100.0 == pytest.approx(16.0, rel=0.02)


def test_nivolumab_mrsd():
    # monkey 50 mg/kg: BSA/10 = 1.62 (exact) mg/kg, mg/kg/10 = 5 mg/kg; large intravenous protein -> mg/kg by default
    dose = AnimalDose("monkey", 50.0, "mg/kg")
    context = DoseContext(molar_mass_g_per_mol=146_000)
    estimate = Noael(doses=dose).estimate(context)
    assert estimate.dose_ug_per_kg == pytest.approx(5000.0, rel=1e-12)
    assert any("146 kDa, intravascular" in text for text in estimate.assumptions)
    assert Noael(doses=dose, scaling="bsa", rounding="exact").estimate(context).dose_ug_per_kg == pytest.approx(
        1621.6, rel=1e-4
    )


def test_ery974_mrsd():
    # monkey NOAEL 0.1 ug/kg, factor 10: 3.2 ng/kg by BSA (published start 3 ng/kg), 10 ng/kg by mg/kg
    dose = AnimalDose("monkey", 0.1, "ug/kg")
    context = DoseContext(molar_mass_g_per_mol=150_000, modality="CD3_engager")
    assert Noael(doses=dose, scaling="bsa").estimate(context).dose_ug_per_kg == pytest.approx(0.1 / 3.1 / 10, rel=1e-12)
    assert Noael(doses=dose).estimate(context).dose_ug_per_kg == pytest.approx(0.01, rel=1e-12)
    assert any("CD3 engager" in note for note in Noael(doses=dose).estimate(context).notes)


def test_default_scaling():
    assert default_scaling(150_000, "IV")[0] == "mg_per_kg"
    assert default_scaling(150_000, "SC")[0] == "bsa"
    assert default_scaling(100_000, "IV")[0] == "bsa"
    assert default_scaling(500, "IV")[0] == "bsa"
    assert default_scaling(None, "IV")[0] == "bsa"


def test_dose_per_surface():
    assert mg_per_kg_to_mg_per_m2(0.1) == pytest.approx(3.7, rel=1e-14)
    assert AnimalDose("rat", 10_000.0, "ug/kg").mg_per_m2 == pytest.approx(60.0, rel=1e-12)


def test_exposure_variant():
    # D = AUC CL / (F SF) = 1200 ug day/L x 0.25 L/day / (0.6 x 10) = 50 ug; the higher rat AUC does not decide
    method = NoaelExposure(
        auc={"monkey": Input("AUC", 28.8, "ug*h/mL"), "rat": Input("AUC", 60.0, "ug*h/mL")},
        clearance_L_per_day=0.25,
        bioavailability=0.6,
        analyte="free",
    )
    estimate = method.estimate(DoseContext(body_weight_kg=70.0))
    assert estimate.dose_flat_ug == pytest.approx(50.0, rel=1e-12)
    assert "monkey" in estimate.limiting_criterion
    # the same AUC in molar units needs the molar mass: 1200 ug day/L / 150 kDa = 8 nM day
    molar = NoaelExposure(auc={"monkey": Input("AUC", 8.0, "nM*day")}, clearance_L_per_day=0.25, analyte="free")
    context = DoseContext(molar_mass_g_per_mol=150_000)
    assert molar.estimate(context).dose_flat_ug == pytest.approx(1200 * 0.25 / 10, rel=1e-12)
    with pytest.raises(UnitError, match="molar"):
        molar.estimate()


def test_refuses():
    with pytest.raises(DoseError, match="Did you mean `rabbit`"):
        AnimalDose("rabit", 1.0, "mg/kg")
    with pytest.raises(DoseError, match="must be an animal"):
        AnimalDose("human", 1.0, "mg/kg")
    with pytest.raises(DoseError, match="value"):
        AnimalDose("rat", -1.0, "mg/kg")
    with pytest.raises(UnitError, match="per body weight"):
        Noael(doses=AnimalDose("rat", 1.0, "mg")).estimate()
    rat = AnimalDose("rat", 1.0, "mg/kg")
    with pytest.raises(DoseError, match="doses"):
        Noael(doses=())
    with pytest.raises(DoseError, match="once"):
        Noael(doses=(rat, rat))
    with pytest.raises(DoseError, match="species"):
        Noael(doses=rat, species="dog")
    with pytest.raises(DoseError, match="scaling"):
        Noael(doses=rat, scaling="allometric")
    with pytest.raises(DoseError, match="rounding"):
        Noael(doses=rat, rounding="fda")
    with pytest.raises(DoseError, match="safety_factor"):
        Noael(doses=rat, safety_factor=0.0)
    with pytest.raises(DoseError, match="analyte"):
        NoaelExposure(auc={"rat": Input("AUC", 1.0, "ug*h/mL")}, clearance_L_per_day=1.0)
    with pytest.raises(DoseError, match="bioavailability"):
        NoaelExposure(
            auc={"rat": Input("AUC", 1.0, "ug*h/mL")}, clearance_L_per_day=1.0, analyte="free", bioavailability=1.2
        )
