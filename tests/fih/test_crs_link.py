"""Hibma CRS link: published exposures and the inverse."""

import numpy as np
import pytest

from qspx._errors import DoseError
from qspx.fih import HibmaCrs

LINK = HibmaCrs()


def test_probability_after_single_doses():
    # free day-4 trough after 4, 12, 20, 32, 76 mg, low burden; printed to two digits
    probability = np.asarray(LINK.probability(np.array([90.7, 288.6, 509.0, 884.0, 2644.0])))
    np.testing.assert_allclose(probability, [0.17, 0.50, 0.68, 0.82, 0.95], atol=5e-3)


def test_inverse():
    assert LINK.trough(0.10) == pytest.approx(56.8, abs=0.05)
    for p in (0.01, 0.5, 0.9):
        for burden in (False, True):
            assert float(LINK.probability(LINK.trough(p, burden), burden)) == pytest.approx(p, rel=1e-12)
    assert LINK.trough(0.1, True) < LINK.trough(0.1, False)


def test_no_drug_no_risk():
    assert float(LINK.probability(0.0)) == 0.0


def test_refuses():
    with pytest.raises(DoseError, match="Write 0.1 for 10 %"):
        LINK.trough(10.0)
    with pytest.raises(DoseError, match="slope"):
        HibmaCrs(slope=-1.0)
