"""The interval of a closed form is that of its draws; the dose is its own."""

import numpy as np
import pytest

from qspx import fih
from qspx._errors import DoseError

POTENCY = fih.Potency(assay="killing", values=[1.0, 2.0, 4.0], unit="nM", slope=1.0)
CONTEXT = fih.DoseContext(body_weight_kg=70.0, molar_mass_g_per_mol=150_000.0)


def bolus(volume):
    return fih.Mabel(potency=POTENCY, match=fih.BolusCmax(volume), analyte="total", level=0.5, aggregate="median")


def test_interval_of_draws_and_dose_of_the_method():
    volumes = np.linspace(2.0, 4.0, 21)
    found = fih.WithDraws(method=bolus(3.0), draws=[bolus(v) for v in volumes], basis="the volume").estimate(CONTEXT)
    assert found.dose_ug_per_kg == bolus(3.0).estimate(CONTEXT).dose_ug_per_kg
    per_litre = (
        2.0 * 150_000 / 1000 / 70
    )  # C V M / weight: linear in the volume, so that quantiles are those of volumes
    np.testing.assert_allclose(found.interval, np.quantile(volumes, [0.05, 0.5, 0.95]) * per_litre, rtol=1e-12)


def test_basis_replaces_what_the_method_said_of_its_interval():
    alone = bolus(3.0).estimate(CONTEXT)
    drawn = fih.WithDraws(method=bolus(3.0), draws=[bolus(3.0)] * 10, basis="the volume").estimate(CONTEXT)
    assert any(a.startswith("interval: spread of 3 donors") for a in alone.assumptions)
    assert [a for a in drawn.assumptions if a.startswith("interval:")] == ["interval: 10 draws; the volume"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"draws": [bolus(3.0)] * 9}, "at least 10"),
        ({"basis": " "}, "`basis`"),
    ],
)
def test_mistakes(change, told):
    with pytest.raises(DoseError, match=told):
        fih.WithDraws(**{"method": bolus(3.0), "draws": [bolus(3.0)] * 10, "basis": "x", **change})
