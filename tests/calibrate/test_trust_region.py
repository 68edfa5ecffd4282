"""Which of its two models the trust region goes by: closed forms in one dimension."""

from __future__ import annotations

import numpy as np
import pytest

from qspx.calibrate.bounded_step import BoundedStep
from qspx.calibrate.fit_status import FitStatus
from qspx.calibrate.objective import Evaluation
from qspx.calibrate.search import Search
from qspx.calibrate.trust_region import _remembered

G, F, S = 2.0, 4.0, -3.0  # gradient, information, correction
STEP = G / F


def after(gain: float, corrected: bool = False, *, limited: bool = False) -> dict[str, np.ndarray]:
    """What is remembered after a step to the maximum of the model without correction, which gave `gain`."""

    def one(x: float) -> np.ndarray:
        return np.array([x])

    memory = {"information": one(F)[:, None, None], "correction": one(S)[:, None, None]}
    memory |= {"corrected": np.array([corrected]), "radius": one(STEP)}
    search = Search(one(0.3)[:, None], one(0.0), one(G)[:, None], np.array([FitStatus.RUNNING]), one(0), one(0), memory)
    found = Evaluation(one(gain), one(G)[:, None], one(F)[:, None, None], np.array([True]))
    step = BoundedStep(one(STEP)[:, None], one(-FORESEEN), np.array([limited]))
    return _remembered(search, step, found, one(gain), np.array([gain > 0]))


FORESEEN = G * STEP - 0.5 * F * STEP**2
CORRECTED = G * STEP - 0.5 * (F + S) * STEP**2


def test_a_gain_that_the_correction_foresaw_better_but_the_information_did_not_overstate_changes_nothing():
    assert CORRECTED > FORESEEN
    assert not after(CORRECTED)["corrected"][0]


@pytest.mark.parametrize("gain", [0.3 * FORESEEN, 0.0])
def test_information_that_promised_too_much_gives_way(gain, monkeypatch):
    monkeypatch.setattr(f"{__name__}.S", 3.0)  # a correction that promised less
    assert after(gain)["corrected"][0]


def test_the_correction_gives_way_to_information_that_foresaw_better():
    assert not after(FORESEEN, corrected=True)["corrected"][0]
    assert after(CORRECTED, corrected=True)["corrected"][0]


def test_the_radius_follows_the_foreseen_change():
    assert after(FORESEEN, limited=True)["radius"][0] == 2 * STEP
    assert after(FORESEEN)["radius"][0] == STEP
    assert after(0.2 * FORESEEN)["radius"][0] == 0.25 * STEP
