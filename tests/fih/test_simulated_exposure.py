"""Simulated match against the closed forms of linear PK, and its errors."""

from __future__ import annotations

import numpy as np
import pytest
from linear_model import SINGLE, Linear

import qspx
from qspx._errors import DoseError, ThresholdError
from qspx.fih import BolusCmax, DoseContext, Mabel, Potency, SimulatedMatch, dose_for_metric

PEAK = qspx.Max("C", end=1.0)


@pytest.fixture(scope="module")
def model():
    return Linear()


def test_bolus_peak_equals_the_closed_form(model):
    context = DoseContext(molar_mass_g_per_mol=150_000.0, model=model)
    simulated = SimulatedMatch(PEAK, SINGLE, "free").dose(0.257e-3, context)
    assert simulated == pytest.approx(BolusCmax(volume_L=3.0).dose(0.257e-3), rel=1e-6)


def test_area_and_average(model):
    dose = dose_for_metric(model, qspx.Regimen.single(1.0, "nmol", "C"), qspx.AUC("C", end=400.0), 5.0)
    assert dose == pytest.approx(5.0 * 0.3, rel=1e-6)  # AUC = dose / CL


def test_bell_shape_takes_the_rising_limb(model):
    metric = qspx.Max("trimer", start=0.0, end=1e-6)
    dose = dose_for_metric(model, qspx.Regimen.single(1.0, "nmol", "C"), metric, 1.0)
    rising = min(np.roots([0.01, 0.2 - 1, 1.0]).real)
    assert dose == pytest.approx(3.0 * rising, rel=1e-4)
    with pytest.raises(ThresholdError, match="never reached"):
        dose_for_metric(model, SINGLE, metric, 3.0)


def test_range_errors(model):
    with pytest.raises(ThresholdError, match="always exceeded"):
        dose_for_metric(model, SINGLE, PEAK, 1e-9, dose_range=(1.0, 10.0))
    with pytest.raises(ThresholdError, match="never reached"):
        dose_for_metric(model, SINGLE, PEAK, 1e9, dose_range=(1.0, 10.0))


def test_mabel_with_a_simulated_match(model):
    potency = Potency.from_ec20_ec50(assay="killing", ec20=0.257, ec50=0.585, unit="pM")
    context = DoseContext(molar_mass_g_per_mol=150_000.0, model=model)
    estimate = Mabel(potency=potency, match=SimulatedMatch(PEAK, SINGLE, "free"), analyte="free", level=0.2).estimate(
        context
    )
    assert estimate.dose_ug_per_kg == pytest.approx(0.257e-3 * 3.0 * 150.0 / 70.0, rel=1e-5)
    assert estimate.analyte == "free"


def test_analyte_must_be_chosen_and_agree(model):
    with pytest.raises((DoseError, TypeError), match="analyte"):
        SimulatedMatch(PEAK, SINGLE, None)  # type: ignore[arg-type]
    potency = Potency.from_ec20_ec50(assay="killing", ec20=0.257, ec50=0.585, unit="pM")
    with pytest.raises(DoseError, match="analyte"):
        Mabel(potency=potency, match=SimulatedMatch(PEAK, SINGLE, "total"), analyte="free", level=0.2)


def test_metric_in_another_unit_is_refused(model):
    class InMass(Linear):
        mass = qspx.Observable("ng/L")

        def observables(self, t, y, p):
            return {**super().observables(t, y, p), "mass": y.C * p.MW}

    match = SimulatedMatch(qspx.Max("mass", end=1.0), SINGLE, "free", model=InMass())
    with pytest.raises(DoseError, match="in nM, but `mass` is in 'ng/L'"):
        match.dose(1.0, DoseContext(molar_mass_g_per_mol=1.0))
    with pytest.raises(DoseError, match="needs a model"):
        SimulatedMatch(PEAK, SINGLE, "free").dose(1.0, DoseContext(molar_mass_g_per_mol=1.0))


def test_the_dose_that_keeps_a_level_for_a_time(model):
    """A bolus D is above c for ln(D / (V c)) / k."""
    metric = qspx.TimeAbove("C", 2.0, end=50.0)
    dose = dose_for_metric(model, qspx.Regimen.single(1.0, "nmol", "C"), metric, 10.0)
    p = {name: parameter.value for name, parameter in model.parameters.items()}
    assert dose == pytest.approx(2.0 * p["V"] * np.exp(10.0 * p["CL"] / p["V"]), rel=1e-5)


@pytest.mark.parametrize("metric", [qspx.Tmax("C", end=1.0), qspx.TimeAbove("C", 2.0, end=1.0)])
def test_a_time_is_no_exposure_to_match(metric):
    with pytest.raises(DoseError, match="`metric` must be an exposure .*but t.* was given"):
        SimulatedMatch(metric, SINGLE, "free")


def test_the_route_is_that_of_the_dosed_species(model):
    context = DoseContext(molar_mass_g_per_mol=150_000.0, model=model)
    potency = Potency.from_ec20_ec50(assay="killing", ec20=0.257, ec50=0.585, unit="pM")
    estimate = Mabel(potency=potency, match=SimulatedMatch(PEAK, SINGLE, "free"), analyte="free", level=0.2).estimate(
        context
    )
    assert estimate.route == "IV"
    assert estimate.method.endswith("free Cmax IV")
