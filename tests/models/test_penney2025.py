"""Penney 2025: half-lives against the affinity for CD3, and limits with a closed form."""

import math

import numpy as np
import pytest

import qspx


@pytest.fixture(scope="module")
def module(model_file):
    return model_file("penney2025")


@pytest.fixture(scope="module")
def model(module):
    return module.build()


@pytest.mark.parametrize(("KD", "printed"), [(10.0, "4.46"), (40.0, "9.20"), (1000.0, "15.1")])
def test_half_life(module, model, same_digits, KD, printed):
    same_digits(module.half_life(model, KD), printed)


def test_cd3_concentration(model, same_digits):
    """1,500 T cells per microlitre with 50,000 CD3 each."""
    start = qspx.simulate(model, qspx.Regimen.single(0.01, "mg/kg", "C"), [0.0, 1.0], observables=["R3_0", "C", "R3"])
    same_digits(start["R3_0"][0], "0.12454")
    assert start["R3"][0] == pytest.approx(start["R3_0"][0], rel=1e-12)
    # 0.01 mg/kg of 150 kDa in 40 mL/kg
    assert start["C"][0] == pytest.approx(1e4 / 150 / 40, rel=1e-9)


def test_the_other_printed_internalisation_rate_does_not_fit(module, model):
    """1.4 % per minute gives 5.2 d, and not the 4.4 d that the paper prints."""
    slow = module.half_life(model, 10.0, kint=0.014 * 1440.0)
    assert slow > 5.0


def two_compartment_half_life(CL, Q, V1, V2):
    a, b, c = CL / V1, Q / V1, Q / V2
    s = a + b + c
    return 2.0 * math.log(2) / (s - math.sqrt(s * s - 4.0 * a * c))


@pytest.mark.parametrize(("species", "intrinsic"), [("human", 15.0), ("cynomolgus", 9.0)])
def test_without_t_cells_only_the_disposition_is_left(module, model, species, intrinsic):
    CL = math.log(2) * 0.1 / intrinsic
    expected = two_compartment_half_life(CL, 10.0 * CL, 0.04, 0.06)
    found = module.half_life(model, 10.0, T_cells=0.0, **module.parameters_for(species))
    assert found == pytest.approx(expected, rel=1e-6)


def test_unknown_species_is_an_error(module):
    with pytest.raises(KeyError, match="rat"):
        module.parameters_for("rat")


def test_antigen_shortens_the_half_life(module, model):
    with_target = module.build(taa=True)
    none, some = (module.half_life(with_target, 10.0, RT_0=r) for r in (0.0, 0.1))
    assert none == pytest.approx(module.half_life(model, 10.0), rel=1e-6)
    assert some < 0.8 * none


def test_antigen_occupancy(module):
    model = module.build(taa=True)
    p = model.values_of(model.theta)
    solution = qspx.simulate(model, qspx.Regimen.single(0.01, "mg/kg", "C"), [0.0, 1.0, 200.0],
                             observables=["C", "RT", "XT", "RO_T"])  # fmt: skip
    # equal turnover of free and bound antigen keeps their sum
    np.testing.assert_allclose(solution["RT"] + solution["XT"], p.RT_0, rtol=1e-6)
    # turnover takes half an hour: a day later binding is in a steady state with the drug
    C = solution["C"][1]
    assert solution["RO_T"][1] == pytest.approx(C / (C + p.KD_T + p.kint_T / p.kon_T), rel=0.02)
    assert solution["RO_T"][2] < 1e-3
