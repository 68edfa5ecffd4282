"""AMICI: SBML to C++ with a sparse Jacobian, CVODES with KLU. Needs a C++ compiler; doses are SBML events."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..problems import HERE, Problem
from .base import AbstractPeer, Answer, Solve, not_importable, version
from .roadrunner_sbml import antimony_text, sbml_text

FOLDER = HERE.parents[1] / ".cache" / "amici"


def dosed(problem: Problem) -> tuple[str, np.ndarray, np.ndarray]:
    """(SBML with the doses after the first as events, doses and states of its amounts q0, q1, …)."""
    dose, state = np.nonzero(problem.jumps[:, 1:].any(axis=0))
    dose = dose + 1
    lines = [f"q{k} = 0;" for k in range(len(dose))]
    lines += [
        f"at (time >= {float(problem.dose_times[d])!r}): y{q} = y{q} + q{k};"
        for k, (d, q) in enumerate(zip(dose.tolist(), state.tolist(), strict=True))
    ]
    return sbml_text(antimony_text(problem, tuple(lines))), dose, state


@dataclasses.dataclass(frozen=True)
class Amici(AbstractPeer):
    @property
    def name(self) -> str:
        return "AMICI (CVODES, KLU)"

    @property
    def settings(self) -> str:
        return f"AMICI {version('amici')}, generated C++ with sparse J, KLU, doses as events; its compilation is stored"

    def missing(self) -> str | None:
        return not_importable("amici", "antimony")

    def prepare(self, problem: Problem) -> Solve:
        from amici.sim import sundials

        sbml, dose, state = dosed(problem)
        model = self._model(sbml, problem.states)
        solver = model.create_solver()
        solver.set_linear_solver(sundials.LinearSolver_KLU)
        solver.set_max_steps(100_000)
        solver.set_return_data_reporting_mode(sundials.RDataReporting_observables_likelihood)
        model.set_timepoints(problem.times)
        values = self._parameters(problem, dose, state, model.get_free_parameter_ids())
        start = problem.initial + problem.jumps[:, 0]

        def solve(n: int, rtol: float, atol: float) -> Answer:
            solver.set_relative_tolerance(rtol)
            solver.set_absolute_tolerance(atol)
            states = np.full((n, len(problem.times), problem.states), np.nan)
            for i in range(n):
                model.set_free_parameters(values[i])
                model.set_initial_state(start[i])
                found = sundials.run_simulation(model, solver)
                if found.status == sundials.AMICI_SUCCESS:
                    states[i] = found.y
            return Answer(states, None)

        solve(1, problem.workload.rtol, problem.workload.atol)
        return solve

    def _parameters(self, problem: Problem, dose: np.ndarray, state: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        """Shape (patients, names)."""
        column: dict[str, Callable[[int], np.ndarray]] = {
            "p": lambda k: problem.theta[:, k],
            "c": lambda k: problem.fixed[:, k],
            "q": lambda k: problem.jumps[:, dose[k], state[k]],
        }
        return np.stack([column[name[0]](int(name[1:])) for name in names], axis=1)

    def _model(self, sbml: str, states: int):
        """The compiled model, from `.cache` where an equal one has been compiled."""
        import amici

        digest = hashlib.sha256(f"{version('amici')} {sbml}".encode()).hexdigest()[:16]
        name, folder = f"workload_{digest}", FOLDER / digest
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not (folder / "done").exists():
                self._compile(sbml, name, folder, states)
                (folder / "done").touch()
            return amici.import_model_module(name, folder).get_model()

    def _compile(self, sbml: str, name: str, folder: Path, states: int) -> None:
        from amici import MeasurementChannel, SbmlImporter

        # the SWIG that AMICI was built with lies beside the interpreter, an older one may lie on the path
        path = os.environ["PATH"]
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"
        try:
            SbmlImporter(sbml, from_file=False).sbml2amici(
                name,
                folder,
                observation_model=[MeasurementChannel(f"o{i}", formula=f"y{i}") for i in range(states)],
                generate_sensitivity_code=False,
                verbose=False,
            )
        finally:
            os.environ["PATH"] = path
