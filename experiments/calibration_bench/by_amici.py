"""AMICI: CVODES on generated C++, forward and adjoint sensitivities. Needs amici, petab and a C++ compiler."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .problems import Problem

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "amici_petab"
TOGETHER = 5  # starts are taken one after the other, so that a few tell what one takes
COMPILES_AT_FIRST_CALL = False
Answer = tuple[np.ndarray, np.ndarray | None]


def missing() -> str | None:
    absent = [name for name in ("amici", "petab") if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def ways(problem: Problem, rtol: float, atol: float) -> dict[str, Callable[[np.ndarray], Answer]]:
    """As `by_qspx.ways`. Experimental data and the parameter mapping are made once, as pyPESTO does."""
    import petab.v1 as petab
    from amici.importers.petab.v1 import import_petab_problem
    from amici.sim import sundials
    from amici.sim.sundials.petab.v1 import create_edatas, simulate_petab
    from amici.sim.sundials.petab.v1._parameter_mapping import create_parameter_mapping

    # the SWIG that AMICI was built with lies beside the interpreter, an older one may lie on the path
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = petab.Problem.from_yaml(str(problem.path))
        model = import_petab_problem(
            said, output_dir=str(CACHE / problem.name), model_name=f"calibration_{problem.name}", verbose=logging.ERROR
        )
        conditions = said.get_simulation_conditions_from_measurement_df()
        mapping = create_parameter_mapping(
            petab_problem=said, simulation_conditions=conditions, scaled_parameters=True, amici_model=model
        )
        data = create_edatas(amici_model=model, petab_problem=said, simulation_conditions=conditions)
    os.environ["PATH"] = path
    logging.disable(logging.WARNING)  # one line for each step that fails

    def way(order: int, method: int | None) -> Callable[[np.ndarray], Answer]:
        solver = model.create_solver()
        solver.set_relative_tolerance(rtol)
        solver.set_absolute_tolerance(atol)
        solver.set_max_steps(100_000)
        solver.set_sensitivity_order(sundials.SensitivityOrder(order))
        if method is not None:
            solver.set_sensitivity_method(sundials.SensitivityMethod(method))
        solver.set_return_data_reporting_mode(sundials.RDataReporting_likelihood)
        mode = sundials.SteadyStateSensitivityMode.integrateIfNewtonFails
        model.set_steady_state_sensitivity_mode(mode)  # Newton's equations are singular for Brannmark
        model.set_steady_state_computation_mode(sundials.SteadyStateComputationMode.integrateIfNewtonFails)

        def run(x: np.ndarray) -> Answer:
            values, gradients = np.empty(len(x)), np.empty((len(x), len(problem.names)))
            for i, place in enumerate(x):
                named = dict(zip(problem.names, place.tolist(), strict=True))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # adjoints where rates jump
                    found = simulate_petab(
                        said,
                        amici_model=model,
                        solver=solver,
                        problem_parameters=named,
                        scaled_parameters=True,
                        scaled_gradients=True,
                        edatas=data,
                        parameter_mapping=mapping,
                    )
                values[i] = found["llh"]
                slopes = found["sllh"] if order else None
                gradients[i] = np.nan if slopes is None else [slopes[name] for name in problem.names]
                run.inside += sum(r.cpu_time_total for r in found["rdatas"]) / 1e3  # type: ignore[attr-defined]
            return values, gradients if order else None

        run.inside = 0.0  # type: ignore[attr-defined]
        return run

    kinds = sundials.SensitivityMethod
    return {
        "objective": way(0, None),
        "gradient, forward": way(1, kinds.forward),
        "gradient, adjoint": way(1, kinds.adjoint),
    }
