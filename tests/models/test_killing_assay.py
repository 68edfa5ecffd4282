"""The killing assay: equilibrium of Schropp 2019, its peak, and what the curve can tell of receptor numbers."""

import numpy as np
import pytest

from qspx.fih import equilibrium_trimer, hook_position


@pytest.fixture(scope="module")
def module(model_file):
    return model_file("killing_assay")


@pytest.fixture(scope="module")
def model(module):
    return module.KillingAssay()


STILL = {"kmax": 0.0, "kint_BCMA": 0.0, "kint_CD3": 0.0}


@pytest.mark.parametrize("concentration", [0.01, 0.5, 3.2, 100.0])
def test_trimers_without_turnover_are_those_of_the_equilibrium(module, model, concentration):
    """Closed form of qspx.fih, at the free drug that the simulation ends with."""
    free, trimer = (module.after(model, concentration, o, 300.0, **STILL) for o in ("C", "X"))
    p = model.values_of(model.theta)
    total_B, total_R = (float(x) for x in model.totals(p.N0, p))
    expected = equilibrium_trimer(free, total_R, total_B, float(p.KD_CD3), float(p.KD_BCMA)).trimer
    assert trimer == pytest.approx(float(expected), rel=1e-5)


def test_trimers_peak_at_the_geometric_mean_of_affinities(module, model):
    grid = np.geomspace(1.0, 10.0, 13)
    trimers = [module.after(model, c, "X", 300.0, **STILL) for c in grid]
    assert grid[int(np.argmax(trimers))] == pytest.approx(hook_position(0.5, 20.8), rel=0.25)


def test_background_and_top(module, model):
    assert module.after(model, 1e-7) == pytest.approx(0.252, abs=1e-4)
    alive = np.exp(-0.0366 * 48.0)  # at most: the death rate everywhere near its largest
    assert module.after(model, 2.0, X50=1e-3) == pytest.approx(1 - (1 - 0.252) * alive, rel=1e-3)


def test_curve_tells_the_product_of_receptor_numbers_only(module, model):
    """Half the BCMA and double the CD3 is the same curve while neither binds much of the drug."""
    other = {"BCMA_per_cell": 12_590.0 / 2, "CD3_per_T": 120_000.0}
    for concentration in (0.05, 0.1, 0.5):
        same = module.after(model, concentration)
        assert module.after(model, concentration, **other) == pytest.approx(same, abs=0.01)
