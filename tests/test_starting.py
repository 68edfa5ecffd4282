"""Runs that start from a given state, against runs that go through it."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from superposition import ENGINES
from systems import OneCompartment

from qspx import AbstractModel, Parameter, Species, load_model, simulate
from qspx._errors import ModelError
from qspx.dosing import Dose, Regimen
from qspx.starting import starting_from

LATER = Regimen((Dose(10.0, "nmol", "C", at=5.0),))


@pytest.mark.parametrize("engine", [engine(rtol=1e-9) for engine in ENGINES.values()], ids=ENGINES)
def test_a_run_from_where_another_one_was(engine):
    model, times = OneCompartment(), [2.0, 3.0, 6.0]
    early = Regimen((Dose(50.0, "nmol", "depot"),))
    whole = simulate(model, Regimen((*early.doses, *LATER.doses)), [1.0, *times], integrator=engine)
    own = starting_from(model)
    start = {"depot_at_start": float(whole["depot"][0]), "C_at_start": float(whole["C"][0])}
    assert [own.parameters[name].unit for name in start] == ["nmol", "nM"]
    shifted = Regimen((Dose(10.0, "nmol", "C", at=4.0),))
    again = simulate(own, shifted, [t - 1 for t in times], parameters=start, integrator=engine)
    np.testing.assert_allclose(again["C"], whole["C"][1:], rtol=1e-6)


def test_derivatives_by_the_start():
    """Elimination is linear: the derivative by the start is exp(-k t)."""
    from qspx.calibrate.runs import Runs
    from qspx.integrate import BatchIntegrator

    model = OneCompartment()
    own = starting_from(model)
    runs = Runs.of(own, [None], [[(1.0, False), (4.0, False)]])
    theta = jax.numpy.array([*model.theta, 0.0, 3.0])

    def last(start):
        return runs.states(theta.at[-1].set(start)[None], BatchIntegrator(rtol=1e-10))[0][0, :, 1]

    k = 0.3 / 3.0
    for mode in (jax.jacfwd, jax.jacrev):
        np.testing.assert_allclose(mode(last)(3.0), np.exp(-k * np.array([1.0, 4.0])), rtol=1e-8)


def test_twice_is_once():
    own = starting_from(OneCompartment())
    assert starting_from(own) is own
    assert own != OneCompartment()


def test_names_that_are_taken():
    class Taken(AbstractModel):
        A = Species("mg")
        A_at_start = Parameter(1.0, "1/day")

        def rates(self, t, y, p):
            return {"A": -p.A_at_start * y.A}

    with pytest.raises(ModelError, match="`A_at_start`.*rename"):
        starting_from(Taken())


def test_networks_too(repo_root):
    model = load_model(repo_root / "models/schropp2019.py")
    own = starting_from(model)
    theta = np.concatenate([model.theta, np.arange(1.0, len(model.species) + 1)])
    np.testing.assert_array_equal(own.initial_vector(theta), np.arange(1.0, len(model.species) + 1))
    y = np.linspace(0.5, 1.5, len(model.species))
    np.testing.assert_array_equal(own.rates_vector(1.0, y, theta), model.rates_vector(1.0, y, model.theta))
