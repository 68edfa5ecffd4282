"""Equilibrium trimer: the reference table, mass balance, the peak, and the rising limb only."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qspx._errors import DoseError, ThresholdError
from qspx.fih import (
    BolusCmax,
    DoseContext,
    TrimerMabel,
    equilibrium_trimer,
    free_drug_for_trimer,
    hook_position,
)

# K1 = K2 = 0.01 nM, A = 10, B = 100 nM, a = 1: free drug, then R_A, R_B, dimer A, dimer B, trimer, total drug
TABLE = [
    (1e-4, 0.11083, 89.22, 0.0011083, 0.8922, 9.8881, 10.781),
    (1e-3, 0.012204, 81.83, 0.0012204, 8.183, 9.9866, 18.172),
    (1e-2, 0.0022211, 45.002, 0.0022211, 45.002, 9.9956, 55.01),
    (1.0, 0.0011083, 0.8922, 0.11083, 89.22, 9.8881, 100.22),
    (10.0, 9.9097e-4, 0.090901, 0.99097, 90.901, 9.0080, 110.90),
    (100.0, 5.1249e-4, 0.0095116, 5.1249, 95.116, 4.8746, 205.12),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"C={row[0]:g}")
def test_reference_table(row):
    state = equilibrium_trimer(row[0], 10.0, 100.0, 0.01, 0.01)
    # four to five digits are printed
    np.testing.assert_allclose([float(x) for x in state], row[1:], rtol=1e-4)


def schropp(c, a, b, k1, k2, alpha):
    """Eqs 20-30 of Schropp 2019 as printed."""
    qa = (1 + c / k2) * c / (alpha * k1 * k2)
    qb = c * (a - b) / (alpha * k1 * k2) + (1 + c / k1) * (1 + c / k2)
    qd = -b * (1 + c / k1)
    r_b = (-qb + np.sqrt(qb * qb - 4 * qa * qd)) / (2 * qa)
    r_a = a / (1 + c / k1 + r_b * c / (alpha * k1 * k2))
    return r_a, r_b, c * r_a / k1, c * r_b / k2, c * r_a * r_b / (alpha * k1 * k2)


@pytest.mark.parametrize("alpha", [0.05, 1.0, 20.0])
@pytest.mark.parametrize(("a", "b"), [(10.0, 100.0), (100.0, 10.0), (3.0, 3.0)])
def test_collapsed_form_is_the_published_one(a, b, alpha):
    c = np.logspace(-3, 3, 13)
    state = equilibrium_trimer(c, a, b, 0.4, 25.0, alpha)
    np.testing.assert_allclose(np.stack(state[:5]), np.stack(schropp(c, a, b, 0.4, 25.0, alpha)), rtol=1e-8)
    # each receptor is free, in its dimer or in the trimer
    np.testing.assert_allclose(state.free_a + state.dimer_a + state.trimer, a, rtol=1e-12)
    np.testing.assert_allclose(state.free_b + state.dimer_b + state.trimer, b, rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.05, 1.0, 20.0])
def test_peak_lies_at_the_geometric_mean_of_the_constants(alpha):
    k1, k2 = 0.4, 25.0
    grid = np.logspace(-4, 4, 4001)
    trimer = np.asarray(equilibrium_trimer(grid, 10.0, 100.0, k1, k2, alpha).trimer)
    assert grid[trimer.argmax()] == pytest.approx(hook_position(k1, k2), rel=5e-3)  # grid step 0.46 %
    top = trimer.argmax()
    assert (np.diff(trimer[: top + 1]) > 0).all() and (np.diff(trimer[top:]) < 0).all()


def test_peak_lies_between_the_totals():
    # the maximum lies where min(A, B) <= total drug <= max(A, B)
    state = equilibrium_trimer(hook_position(0.01, 0.01), 10.0, 100.0, 0.01, 0.01)
    assert 10.0 <= float(state.drug_total) <= 100.0


def test_limits_and_gradient():
    assert [float(x) for x in equilibrium_trimer(0.0, 10.0, 100.0, 0.01, 0.02)] == [10.0, 100.0, 0.0, 0.0, 0.0, 0.0]
    assert float(equilibrium_trimer(1e9, 10.0, 100.0, 0.01, 0.01).trimer) < 1e-5

    def trimer(c):
        return equilibrium_trimer(c, 10.0, 100.0, 0.4, 25.0).trimer

    step = 1e-5
    numeric = (trimer(1.0 + step) - trimer(1.0 - step)) / (2 * step)
    assert float(jax.grad(trimer)(1.0)) == pytest.approx(float(numeric), rel=1e-7)
    assert jnp.isfinite(jax.grad(trimer)(0.0))


@pytest.mark.parametrize("share", [1e-6, 0.1, 0.9, 0.999999])
@pytest.mark.parametrize("alpha", [0.05, 1.0, 20.0])
def test_inverse_is_on_the_rising_limb(share, alpha):
    totals = (0.4, 0.06, 41.0, 1.9, alpha)
    hook = hook_position(41.0, 1.9)
    wanted = share * float(equilibrium_trimer(hook, *totals).trimer)
    free = free_drug_for_trimer(wanted, *totals)
    assert free < hook
    assert float(equilibrium_trimer(free, *totals).trimer) == pytest.approx(wanted, rel=1e-9)


MARROW = dict(kd_a_nM=41.0, kd_b_nM=1.9, total_a_nM=0.81, total_b_nM=0.0588, match=BolusCmax(2.81))
CONTEXT = DoseContext(molar_mass_g_per_mol=194_000)


def test_dose_method():
    by_free = TrimerMabel(trimer_nM=1e-5, analyte="free", **MARROW)
    by_total = TrimerMabel(trimer_nM=1e-5, analyte="total", **MARROW)
    free = by_free.estimate(CONTEXT)
    assert free.dose_ug_per_kg == pytest.approx(CONTEXT.ug_per_kg(by_free.free_drug_nM * 2.81), rel=1e-12)
    assert by_total.estimate(CONTEXT).dose_ug_per_kg > free.dose_ug_per_kg
    assert any("hook" in note for note in free.notes)


def test_threshold_per_cell():
    # molecules per cell x cells/L / N_A: 1 x 1.77e10 cells/L = 2.94e-5 nM
    method = TrimerMabel(trimer_per_target_cell=1.0, target_cells_per_L=1.77e10, analyte="free", **MARROW)
    assert method.threshold_nM == pytest.approx(2.939e-5, rel=1e-3)
    same = TrimerMabel(trimer_nM=method.threshold_nM, analyte="free", **MARROW)
    assert same.free_drug_nM == pytest.approx(method.free_drug_nM, rel=1e-14)


def test_refuses():
    with pytest.raises(ThresholdError, match="peak"):
        free_drug_for_trimer(10.0, 10.0, 100.0, 0.01, 0.01)
    with pytest.raises(ThresholdError, match="peak"):
        TrimerMabel(trimer_nM=0.05, analyte="free", **MARROW)
    with pytest.raises(DoseError, match="Exactly one"):
        TrimerMabel(analyte="free", **MARROW)
    with pytest.raises(DoseError, match="target_cells_per_L"):
        TrimerMabel(trimer_per_target_cell=1.0, analyte="free", **MARROW)
    with pytest.raises(DoseError, match="was not chosen"):
        TrimerMabel(trimer_nM=1e-5, **MARROW)
