"""Multi-starts from random places in the bounds: qspx, and pyPESTO with Fides on AMICI's gradient and information."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Sequence

import numpy as np
from numerical_core.measure import clocked

import qspx

from .by_amici import CACHE
from .problems import Problem

HIT = 0.1  # as in Hass 2019: a start has found the optimum when it is so close to the best known


def hold(problem: Problem, starts: int, peers: Sequence[str], best: float) -> list[dict[str, object]]:
    """One row per peer that is installed."""
    found = []
    for name, run in (("qspx", by_qspx), ("AMICI", by_pypesto)):
        if name not in peers or (
            name == "AMICI" and not all(map(importlib.util.find_spec, ("amici", "pypesto", "fides")))
        ):
            continue
        (values, evaluations), cpu, wall = clocked(lambda run=run: run(problem, starts))  # type: ignore[misc]
        hits = int((values < best + HIT).sum())
        said = "qspx fit" if name == "qspx" else "pyPESTO + Fides + AMICI"
        found.append(
            {"problem": problem.name, "peer": said, "starts": starts, "hits": hits, "best": float(np.min(values)),
             "cpu": cpu, "wall": wall, "evaluations": evaluations}
        )  # fmt: skip
    return found


def by_qspx(problem: Problem, starts: int) -> tuple[np.ndarray, int]:
    """Negative log-likelihood where each start ended, and the number of evaluations."""
    found = qspx.fit(qspx.load_petab(problem.path), key=1, starts=starts, progress=False).starts
    return -found["value"].to_numpy(), int(found["evaluations"].sum())


def by_pypesto(problem: Problem, starts: int) -> tuple[np.ndarray, int]:
    """The same with the settings that pyPESTO's documentation shows for Fides; AMICI's default tolerances."""
    import petab.v1 as petab
    import pypesto.optimize
    import pypesto.petab
    from pypesto.startpoint import LatinHypercubeStartpoints

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = petab.Problem.from_yaml(str(problem.path))
        folder, name = str(CACHE / problem.name), f"calibration_{problem.name}"
        importer = pypesto.petab.PetabImporter(said, output_folder=folder, model_name=name)
        factory = importer.create_objective_creator()
        objective = factory.create_objective()
        whole = importer.create_problem(objective, startpoint_method=LatinHypercubeStartpoints(check_fval=True))
        np.random.seed(1)
        optimizer = pypesto.optimize.FidesOptimizer(verbose=logging.ERROR, options={"maxiter": 1000})
        result = pypesto.optimize.minimize(whole, optimizer=optimizer, n_starts=starts, progress_bar=False)
    ended = result.optimize_result.list
    return np.array([r.fval for r in ended]), int(sum(r.n_grad for r in ended))
