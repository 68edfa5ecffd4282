"""Activity-based MABEL: ISB 2001 anchors by plasma volume, aggregates over donors, and what must be chosen."""

import numpy as np
import pytest

from qspx._errors import DoseError, UnitError
from qspx.fih import BolusCmax, DoseContext, Mabel, ModifiedMabel, Potency, aggregate_donors

ISB = DoseContext(body_weight_kg=70.0, molar_mass_g_per_mol=194_000, modality="CD3_engager")
KILLING = Potency.from_ec20_ec50(assay="cytotoxicity", ec20=0.257, ec50=0.585, unit="pM")
PLASMA = BolusCmax(2.81)
DONORS = Potency(assay="killing", values=(4.0, 1.0, 2.0, 8.0), unit="pM", slope=1.0)


@pytest.mark.parametrize(
    ("level", "nM", "ng_per_mL", "ug_per_kg"),
    [
        (0.1, 0.000159, 0.031, 0.0012),
        (0.2, 0.000257, 0.050, 0.0020),
        (0.3, 0.000354, 0.069, 0.0028),
        (0.5, 0.000585, 0.113, 0.0046),
    ],
)
def test_isb2001_activity_by_plasma_volume(level, nM, ng_per_mL, ug_per_kg):
    # IV, 2.81 L, 70 kg, 194 kDa; last printed digit
    assert KILLING.at_nM(level, None)[0] == pytest.approx(nM, abs=6e-7)
    assert KILLING.at_nM(level, None)[0] * 194 == pytest.approx(ng_per_mL, abs=6e-4)
    estimate = Mabel(potency=KILLING, level=level, match=PLASMA, analyte="free").estimate(ISB)
    assert estimate.dose_ug_per_kg == pytest.approx(ug_per_kg, abs=6e-5)


def test_units_of_potency_agree():
    # 1 nM of a 150 kDa antibody is 150 ng/mL; a level measured in mass gives the same dose
    mass = Potency(assay="killing", values=0.05, unit="ng/mL", level=0.2)
    molar = Potency(assay="killing", values=0.05 / 194.0, unit="nM", level=0.2)
    doses = [Mabel(potency=p, match=PLASMA, analyte="free").estimate(ISB).dose_ug_per_kg for p in (mass, molar)]
    assert doses[0] == pytest.approx(doses[1], rel=1e-12)
    assert doses[0] == pytest.approx(0.0020, abs=6e-5)
    assert Potency(assay="a", values=150.0, unit="ng/mL").at_nM(0.5, 150_000)[0] == pytest.approx(1.0, rel=1e-12)


def test_aggregates():
    values = np.array([4.0, 1.0, 2.0, 8.0])
    assert aggregate_donors(values, "min") == 1.0
    assert aggregate_donors(values, "median") == 3.0
    assert aggregate_donors(values, "geomean") == pytest.approx(64**0.25, rel=1e-12)
    assert aggregate_donors(values, "p05") == pytest.approx(1.0 + 0.15 * 1.0, rel=1e-12)  # 5 % of 3 gaps from the first
    ratio = [
        Mabel(potency=DONORS, aggregate=name, match=PLASMA, analyte="free").estimate(ISB).dose_ug_per_kg
        for name in ("min", "p05", "geomean", "median")
    ]
    assert ratio == sorted(ratio)
    assert ratio[3] / ratio[0] == pytest.approx(3.0, rel=1e-12)


def test_interval_is_the_spread_of_donors():
    estimate = Mabel(potency=DONORS, level=0.5, aggregate="median", match=PLASMA, analyte="free").estimate(ISB)
    assert estimate.interval is not None
    assert estimate.interval[1] == pytest.approx(estimate.dose_ug_per_kg, rel=1e-12)
    assert estimate.interval[0] < estimate.interval[1] < estimate.interval[2]
    assert Mabel(potency=KILLING, match=PLASMA, analyte="free").estimate(ISB).interval is None


def test_record_holds_the_assay():
    potency = Potency(
        assay="IL-6 release",
        values=3.0,
        unit="pM",
        slope=1.0,
        effector_to_target="5:1",
        incubation_h=24.0,
        antigen_per_cell=12_000.0,
        serum="10 % human",
        readout="IL-6",
    )
    names = {item.name for item in potency.as_inputs()}
    for condition in ("effector to target", "incubation", "antigen", "serum", "readout", "system"):
        assert f"{condition}, IL-6 release" in names
    estimate = Mabel(potency=potency, match=PLASMA, analyte="total").estimate(ISB)
    assert estimate.analyte == "total"
    assert "molar mass" in {item.name for item in estimate.inputs}
    assert "lowest" not in estimate.limiting_criterion and "one value" in estimate.limiting_criterion


def test_modified_mabel_reports_cytokine_release():
    primary = Potency(assay="primary killing", values=(0.5, 2.0, 8.0), unit="pM", system="primary cells, autologous")
    il6 = Potency(assay="IL-6", values=(2.0, 6.0), unit="pM", slope=1.0)
    estimate = ModifiedMabel(potency=primary, match=PLASMA, analyte="free", cytokines=(il6,)).estimate(ISB)
    assert estimate.family == "modified MABEL"
    # median EC50 2 pM is the IL-6 EC50 of the most sensitive donor
    assert any("EC50 " in note and "IL-6" in note for note in estimate.notes)
    assert not any("modified MABEL asks" in note for note in estimate.notes)
    bare = ModifiedMabel(potency=KILLING, match=PLASMA, analyte="free").estimate(ISB)
    assert bare.dose_ug_per_kg == pytest.approx(0.0046, abs=6e-5)
    assert any("not assessed" in note for note in bare.notes)
    assert any("primary" in note for note in bare.notes)


def test_simulated_match_slots_in():
    from dataclasses import dataclass

    from qspx.fih import AbstractExposureMatch

    @dataclass(frozen=True)
    class Sink(AbstractExposureMatch):
        analyte = "free"
        route = "SC"

        def dose(self, target_concentration_nM, context=None):
            return target_concentration_nM * 2.81 + 0.01

        def describe(self):
            return "sink"

    estimate = Mabel(potency=KILLING, match=Sink(), analyte="free").estimate(ISB)
    assert estimate.dose_ug_per_kg == pytest.approx(ISB.ug_per_kg(0.000257 * 2.81 + 0.01), rel=1e-12)
    with pytest.raises(DoseError, match="analyte"):
        Mabel(potency=KILLING, match=Sink(), analyte="total")


def test_refuses():
    with pytest.raises(DoseError, match="was not chosen"):
        Mabel(potency=KILLING, match=PLASMA)
    with pytest.raises(DoseError, match="'bound'"):
        Mabel(potency=KILLING, match=PLASMA, analyte="bound")
    with pytest.raises(DoseError, match="aggregate"):
        Mabel(potency=KILLING, match=PLASMA, analyte="free", aggregate="mean")
    with pytest.raises(DoseError, match="Write 0.2 for 20 %"):
        Mabel(potency=KILLING, match=PLASMA, analyte="free", level=20.0)
    with pytest.raises(DoseError, match="slope"):
        Mabel(potency=Potency(assay="a", values=1.0, unit="nM"), match=PLASMA, analyte="free")
    with pytest.raises(DoseError, match="molar mass"):
        Mabel(potency=KILLING, match=PLASMA, analyte="free").estimate(DoseContext())
    with pytest.raises(UnitError, match="molar mass"):
        Mabel(potency=Potency(assay="a", values=1.0, unit="ng/mL", level=0.2), match=PLASMA, analyte="free").estimate()
    with pytest.raises(DoseError, match="values"):
        Potency(assay="a", values=(1.0, -2.0), unit="nM")
    with pytest.raises(UnitError):
        Potency(assay="a", values=1.0, unit="nanomol per L per")
    with pytest.raises(DoseError, match="slope"):
        ModifiedMabel(
            potency=KILLING, match=PLASMA, analyte="free", cytokines=(Potency(assay="a", values=1.0, unit="nM"),)
        )
