"""Human PK of antibodies from animals: the cynomolgus table, regression, Dedrick, and typical values."""

import numpy as np
import pytest

from qspx._errors import DoseError
from qspx.fih import (
    BETTS_2018,
    DENG_2011,
    EXPONENTS,
    OITATE_2011_MEMBRANE,
    OITATE_2011_SOLUBLE,
    ROWLAND_2024,
    ROWLAND_2024_UNMODIFIED_FC,
    TYPICAL_MAB_COMBINED,
    TYPICAL_MAB_CYNOMOLGUS,
    TYPICAL_MAB_HUMAN,
    TYPICAL_MAB_TG32_MOUSE,
    TwoCompartmentPK,
    dedrick,
    fit_allometry,
)


def pk_values(pk):
    return pk.clearance_L_per_day, pk.v1_L, pk.q_L_per_day, pk.v2_L


def test_typical_cynomolgus_and_human():
    # as printed for 3 kg and 70 kg
    assert pk_values(TYPICAL_MAB_CYNOMOLGUS) == pytest.approx((0.01944, 0.11787, 0.072, 0.08268), rel=1e-12)
    assert pk_values(TYPICAL_MAB_HUMAN) == pytest.approx((0.252, 3.242, 0.4536, 2.203), rel=2e-4)
    assert TYPICAL_MAB_HUMAN.terminal_half_life_day == pytest.approx(16.53, abs=5e-3)
    assert TYPICAL_MAB_TG32_MOUSE.weight_kg == 0.02
    assert TYPICAL_MAB_COMBINED.clearance_L_per_day == pytest.approx(0.16 * 70 * 0.024, rel=1e-12)


@pytest.mark.parametrize(
    ("exponents", "expected"),
    [
        (DENG_2011, (0.2828, 2.750, 1.0474, 1.929, 12.03)),
        (BETTS_2018, (0.3208, 2.582, 0.5941, 1.648, 9.99)),
        (ROWLAND_2024_UNMODIFIED_FC, (0.2416, 4.014, 0.6739, 1.869, 17.54)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_cynomolgus_to_human(exponents, expected):
    human = TYPICAL_MAB_CYNOMOLGUS.scaled(exponents, 70.0)
    # four digits are printed
    assert (*pk_values(human), human.terminal_half_life_day) == pytest.approx(expected, rel=5e-4)
    assert exponents.name in human.source


def test_published_exponents():
    # CL, V1, Q, V2; Q and V2 follow CL and V1 where a source gives none
    table = {
        DENG_2011: (0.85, 1.0, 0.85, 1.0),
        OITATE_2011_SOLUBLE: (0.79, 1.12, 0.79, 1.12),
        OITATE_2011_MEMBRANE: (0.96, 1.0, 0.96, 1.0),
        BETTS_2018: (0.89, 0.98, 0.67, 0.95),
        ROWLAND_2024: (0.74, 1.12, 0.71, 0.99),
        ROWLAND_2024_UNMODIFIED_FC: (0.80, 1.12, 0.71, 0.99),
    }
    assert {exponents: exponents.values() for exponents in EXPONENTS} == table


def test_half_life_is_the_slow_eigenvalue():
    pk = TYPICAL_MAB_HUMAN
    k10, k12, k21 = pk.clearance_L_per_day / pk.v1_L, pk.q_L_per_day / pk.v1_L, pk.q_L_per_day / pk.v2_L
    slow = -np.linalg.eigvals(np.array([[-k10 - k12, k21], [k12, -k21]])).max()
    assert pk.terminal_half_life_day == pytest.approx(np.log(2) / slow, rel=1e-10)


def test_regression_recovers_a_power_law():
    weights = [0.02, 0.25, 3.0, 10.0]
    fit = fit_allometry(weights, [0.005 * w**0.85 for w in weights])
    assert (fit.coefficient, fit.exponent) == pytest.approx((0.005, 0.85), rel=1e-10)
    assert fit.at(70.0) == pytest.approx(0.005 * 70**0.85, rel=1e-10)
    assert fit.r_squared == pytest.approx(1.0, abs=1e-12)
    assert fit.species == 4
    noisy = fit_allometry([1.0, 10.0, 100.0], [1.0, 12.0, 100.0])
    # least squares by hand in log10: slope 1, residuals a third and two thirds of log10(1.2)
    assert noisy.exponent == pytest.approx(1.0, rel=1e-12)
    e = np.log(1.2)
    assert noisy.residual_sd == pytest.approx(np.sqrt((2 * (e / 3) ** 2 + (2 * e / 3) ** 2) / 1), rel=1e-10)


def test_dedrick_is_exact_for_one_compartment():
    # CL and V scaled by the same exponents give the same curve as the transformed animal curve
    weight, ratio, t = 3.0, 70.0 / 3.0, np.linspace(0.0, 20.0, 11)
    cl, v = 0.02, 0.12
    animal = 3.0 / v * np.exp(-cl / v * t)
    time, concentration = dedrick(
        t, animal, animal_weight_kg=weight, exponents=DENG_2011, animal_dose=3.0, human_dose=100.0
    )
    cl_h, v_h = cl * ratio**0.85, v * ratio**1.0
    np.testing.assert_allclose(time, t * ratio**0.15, rtol=1e-12)
    np.testing.assert_allclose(concentration, 100.0 / v_h * np.exp(-cl_h / v_h * time), rtol=1e-12)


def test_refuses():
    with pytest.raises(DoseError, match="three different weights"):
        fit_allometry([1.0, 2.0, 2.0], [1.0, 2.0, 2.0])
    with pytest.raises(DoseError, match="one length"):
        fit_allometry([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(DoseError, match="values"):
        fit_allometry([1.0, 2.0, 3.0], [1.0, 2.0, -3.0])
    with pytest.raises(DoseError, match="v1_L"):
        TwoCompartmentPK(1.0, 0.0, 1.0, 1.0, 70.0)
    with pytest.raises(DoseError, match="weight_kg"):
        TYPICAL_MAB_CYNOMOLGUS.scaled(DENG_2011, -70.0)
