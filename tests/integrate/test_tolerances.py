"""Absolute tolerances by species: what they do, the same in every engine, and what is refused."""

from __future__ import annotations

import diffrax
import numpy as np
import pytest
from cuda_host import instead_of_a_gpu

from qspx import (
    AbstractModel,
    Arm,
    Cohort,
    Dose,
    Parameter,
    Protocol,
    Regimen,
    Species,
    simulate,
    simulate_cohort,
)
from qspx._errors import SolveError
from qspx.dose_events import DoseEvents, dose_events
from qspx.integrate import AutomaticIntegrator, BatchIntegrator, CudaIntegrator, DiffraxIntegrator, SolveRequest

TIMES = (0.5, 1.0, 2.0, 4.0)


class Apart(AbstractModel):
    """A species whose numbers are near 1e9 turns into one whose numbers are near 1e-9: x' = -k x, s' = 1e-18 k x."""

    cells = Species("1")
    signal = Species("mol")
    k = Parameter(2.0, "1/day")
    scale = Parameter(1e-18, "mol")

    def rates(self, t, y, p):
        flow = p.k * y.cells
        return {"cells": -flow, "signal": p.scale * flow}


MODEL = Apart()
GIVEN = Regimen((Dose(1e9, "", "cells"),))
REQUEST = SolveRequest(MODEL, TIMES, ("cells", "signal"), (), 0.0, 4.0)
ENGINES = [BatchIntegrator, AutomaticIntegrator, DiffraxIntegrator, CudaIntegrator]


def solved(integrator):
    events = DoseEvents(*(field[None] for field in dose_events(GIVEN, MODEL)))
    if isinstance(integrator, CudaIntegrator):
        with instead_of_a_gpu():
            return integrator.solve_batch(REQUEST, MODEL.theta[None], events)
    return integrator.solve_batch(REQUEST, MODEL.theta[None], events)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tolerance_of_its_own_makes_a_small_species_accurate(engine):
    """One atol for the cells leaves the signal to chance: here the cells stop to matter below 1e6, from where on only
    the signal's own tolerance holds the steps."""
    exact = 1e-9 * -np.expm1(-2.0 * np.array(TIMES))
    loose = solved(engine(rtol=1e-9, atol=1e6))
    tight = solved(engine(rtol=1e-9, atol=1e6, atol_of={"signal": 1e-18}))
    error = [np.abs(x.values[0, :, 1] / exact - 1).max() for x in (loose, tight)]
    assert error[0] > 1e-5 and error[1] < 1e-7  # rtol times the steps, and some; as far as atol 1e-18 goes
    assert tight.steps[0] > loose.steps[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_number_for_every_species_is_that_number_for_all(engine):
    one = solved(engine(rtol=1e-7, atol=1e-10))
    each = solved(engine(rtol=1e-7, atol=1.0, atol_of={"signal": 1e-10, "cells": 1e-10}))
    np.testing.assert_array_equal(one.values, each.values)
    np.testing.assert_array_equal(one.steps, each.steps)


def test_an_implicit_solver_takes_the_smallest_for_its_equations():
    """Newton's iteration of Kvaerno5 has one number; it must not stop before the most demanding species."""
    found = solved(DiffraxIntegrator(diffrax.Kvaerno5(), rtol=1e-7, atol=1e6, atol_of={"signal": 1e-18}))
    np.testing.assert_allclose(found.values[0, :, 1], 1e-9 * -np.expm1(-2.0 * np.array(TIMES)), rtol=1e-5)


def test_run_ins_to_a_steady_state_use_it():
    """Once-daily doses: cells at the steady state just after a dose are D / (1 - exp(-k)); with an atol of the size of
    the doses the run-in is taken for converged at once."""
    regimen = Regimen((Dose(1.0, "", "cells", every=1.0, steady_state=1),))
    given = {"parameters": {"k": 0.2}, "observables": ("cells",)}
    found = simulate(MODEL, regimen, [0.0, 1.0], **given, integrator=BatchIntegrator(atol=1.0, atol_of={"cells": 1e-9}))
    assert found["cells"][0] == pytest.approx(1 / -np.expm1(-0.2), rel=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_not_a_tolerance_of_a_species_is_refused(engine):
    with pytest.raises(SolveError, match=r"(?s)`atol_of` names `signl`, but Apart has no species.*`signal`"):
        engine(atol_of={"signl": 1e-9}).chosen(REQUEST)
    with pytest.raises(SolveError, match="`atol_of` must hold numbers > 0, but -1 was given for `signal`"):
        engine(atol_of={"signal": -1})


@pytest.mark.parametrize("engine", ENGINES)
def test_settings_say_it_only_where_it_is_given(engine):
    assert "atol_of" not in engine().settings
    assert engine(atol_of={"signal": 1e-15}).settings["atol_of"] == {"signal": 1e-15}
    assert isinstance(hash(engine(atol_of={"signal": 1e-15})), int)
    assert engine(atol_of={"signal": 1e-15}) != engine(atol_of={"signal": 1e-14})


def test_the_manifest_of_a_run_has_it():
    cohort = Cohort(MODEL, MODEL.theta[None], np.zeros(1))
    protocol = Protocol((Arm("one", GIVEN, TIMES),))
    integrator = BatchIntegrator(atol_of={"signal": 1e-15})
    result = simulate_cohort(MODEL, cohort, protocol, integrator=integrator, progress=False)
    assert result.manifest["identity"]["integrator"]["atol_of"] == {"signal": 1e-15}
