"""Tapes that are kept from a run to its sweep change no bit of a derivative, and save the second run."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sweeps import Clock, asked

from qspx import Dose, Regimen
from qspx.dose_events import dose_events
from qspx.integrate import BatchIntegrator, kept_tapes, sweep_call
from qspx.integrate.kept_tapes import KEPT, Kept, KeptTapes
from qspx.integrate.native_call import Tape

MODEL = Clock()
ENGINE = BatchIntegrator(rtol=1e-8, atol=1e-12)
REQUEST = asked(MODEL, (1.0, 5.0, 13.0, 24.0), ("C", "E"))
REGIMEN = Regimen((Dose(8.0, "1", "C", every=12, additional=1),), "h")


def loss(theta):
    values = ENGINE.solve_one(REQUEST, theta, dose_events(REGIMEN, MODEL))[0]
    return (values**2).sum()


def thetas(rows: int = 5) -> jax.Array:
    spread = 1 + 0.3 * np.random.default_rng(0).uniform(-1, 1, (rows, len(MODEL.theta)))
    return jnp.asarray(MODEL.theta * spread)


SWEEPS = {"reverse": jax.jit(jax.vmap(jax.grad(loss))), "forward": jax.jit(jax.vmap(jax.jacfwd(loss)))}


@pytest.fixture(scope="module")
def again() -> dict[str, np.ndarray]:
    """Derivatives from runs that are made once more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptTapes, "take", lambda self, key: None)
        return {name: np.asarray(sweep(thetas())) for name, sweep in SWEEPS.items()}


@pytest.mark.parametrize("name", SWEEPS)
def test_a_kept_tape_gives_the_same_derivative_without_a_second_run(name, again, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the subjects were run once more")

    monkeypatch.setattr(sweep_call, "forward", never)
    np.testing.assert_array_equal(SWEEPS[name](thetas()), again[name])


@pytest.mark.parametrize("name", SWEEPS)
def test_subjects_with_more_steps_than_there_is_room_for_are_run_again(name, again, monkeypatch):
    steps = np.asarray(jax.vmap(lambda th: ENGINE.solve_one(REQUEST, th, dose_events(REGIMEN, MODEL))[3])(thetas()))
    monkeypatch.setattr(kept_tapes, "ROOM", int(np.median(steps)))
    rows = []
    monkeypatch.setattr(
        sweep_call, "forward", lambda *a, forward=sweep_call.forward: rows.append(len(a[2])) or forward(*a)
    )
    np.testing.assert_array_equal(SWEEPS[name](thetas()), again[name])
    assert 0 < sum(rows) < len(steps)


def test_a_run_without_derivatives_keeps_nothing():
    before = len(KEPT._found)
    jax.jit(jax.vmap(loss))(thetas())
    assert len(KEPT._found) == before


def test_the_oldest_tapes_go_first_and_each_is_taken_once(monkeypatch):
    def kept(records: int) -> Kept:
        return Kept(Tape(np.zeros((records, 8)), np.zeros(1, np.int64), records), np.zeros((1, 0, 3)))

    monkeypatch.setattr(kept_tapes, "LARGEST", kept(10).size * 2)
    tapes = KeptTapes()
    for name in "abc":
        tapes.add(name, kept(10))
    assert [tapes.take(name) is None for name in "aabcc"] == [True, True, False, False, True]
    tapes.add("large", kept(100))
    assert tapes.take("large") is None
