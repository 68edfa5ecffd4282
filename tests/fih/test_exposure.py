"""Exposure matches against superposition of the one-compartment curve they come from."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from qspx._errors import DoseError
from qspx.fih import (
    AverageConcentration,
    BolusCmax,
    DoseContext,
    InfusionCmax,
    SteadyInfusion,
    SubcutaneousCmax,
)


def bateman_peak(dose, cl, volume, ka, f):
    k = cl / volume

    def minus(t):
        return -f * dose * ka / (volume * (ka - k)) * (math.exp(-k * t) - math.exp(-ka * t))

    found = minimize_scalar(minus, bounds=(0.0, 60.0), method="bounded", options={"xatol": 1e-10})
    return -found.fun, found.x


@pytest.mark.parametrize("ka", [0.02, 0.2, 0.5, 3.0])
def test_subcutaneous_peak(ka):
    match = SubcutaneousCmax(clearance_L_per_day=0.25, volume_L=3.0, ka_per_day=ka, bioavailability=0.7)
    peak, tmax = bateman_peak(match.dose(0.02), 0.25, 3.0, ka, 0.7)
    assert peak == pytest.approx(0.02, rel=1e-9)
    assert match.tmax_day == pytest.approx(tmax, rel=1e-4)  # a flat maximum locates its argument to the root of eps


def test_subcutaneous_limit_of_equal_rates():
    k = 0.25 / 3.0
    at = SubcutaneousCmax(0.25, 3.0, k, 0.7)
    near = SubcutaneousCmax(0.25, 3.0, k * (1 + 1e-6), 0.7)
    # ka = k: C(t) = F D k t exp(-k t) / V peaks at 1/k with F D / (V e)
    assert at.tmax_day == pytest.approx(1 / k, rel=1e-12)
    assert at.dose(1.0) == pytest.approx(3.0 * math.e / 0.7, rel=1e-12)
    assert near.dose(1.0) == pytest.approx(at.dose(1.0), rel=1e-6)


def test_infusion_peak():
    match = InfusionCmax(clearance_L_per_day=0.25, volume_L=3.0, duration_day=0.1)
    rate, k = match.dose(0.02) / 0.1, 0.25 / 3.0
    assert rate / 0.25 * (1 - math.exp(-k * 0.1)) == pytest.approx(0.02, rel=1e-12)
    # a very short infusion is a bolus
    assert InfusionCmax(0.25, 3.0, 1e-9).dose(1.0) == pytest.approx(BolusCmax(3.0).dose(1.0), rel=1e-9)


def test_average_and_steady_state():
    assert AverageConcentration(0.25, 7.0, 0.6).dose(3.0) == pytest.approx(8.75, rel=1e-12)
    assert SteadyInfusion(36.0).dose(0.2) == pytest.approx(7.2, rel=1e-12)
    # average over tau of a long bolus curve equals the target
    match, k = AverageConcentration(0.25, 7.0), 0.25 / 3.0
    t = np.linspace(0, 7, 20001)
    steady = match.dose(1.0) / 3.0 * np.exp(-k * t) / (1 - math.exp(-k * 7.0))
    assert np.trapezoid(steady, t) / 7.0 == pytest.approx(1.0, rel=1e-7)


def test_teclistamab_bolus_concentration():
    # 0.3 ug/kg IV, 74 kg, V1 4.13 L -> C0 5.38 ng/mL (label PK), at any molar mass
    context = DoseContext(body_weight_kg=74.0, molar_mass_g_per_mol=146_000)
    c0_nM = 5.38 / 146.0
    assert context.ug_per_kg(BolusCmax(4.13).dose(c0_nM)) == pytest.approx(0.3, rel=2e-3)


def test_matches_say_what_they_are():
    match = SubcutaneousCmax(0.25, 3.0, 0.5, 0.7, source="poster")
    assert (match.exposure, match.route, match.applies_to) == ("Cmax", "SC", "single dose")
    assert "ka 0.5 /day" in match.describe()
    assert {item.name: item.unit for item in match.inputs()}["clearance"] == "L/day"
    assert AverageConcentration(0.25, 7.0, route="SC").regimen == "every 7 day"
    assert SteadyInfusion(1.0).exposure == "Css"


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: BolusCmax(0.0), "volume_L"),
        (lambda: InfusionCmax(-1.0, 1.0, 1.0), "clearance_L_per_day"),
        (lambda: SubcutaneousCmax(1.0, 1.0, 0.0, 0.5), "ka_per_day"),
        (lambda: SubcutaneousCmax(1.0, 1.0, 1.0, 1.5), "bioavailability"),
        (lambda: AverageConcentration(1.0, 0.0), "tau_day"),
        (lambda: SteadyInfusion(float("nan")), "clearance_L_per_day"),
        (lambda: BolusCmax(1.0).dose(-1.0), "target_concentration_nM"),
    ],
)
def test_refuses(build, named):
    with pytest.raises(DoseError, match=named):
        build()
