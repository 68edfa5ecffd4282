"""libroadrunner: SBML compiled by LLVM, CVODE. The model goes in as Antimony text with one rate rule a state."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..printing import ANTIMONY, statements
from ..problems import Problem
from .base import AbstractPeer, Answer, Solve, not_importable, version

NAMES = {"y": "y{}", "theta": "p{}", "fixed": "c{}"}


def antimony_text(problem: Problem, more: tuple[str, ...] = ()) -> str:
    """The model as Antimony: states y0, y1, …, parameters p0, …, and c0, … for what depends on parameters alone."""

    def read(group: str, position: int) -> str:
        return "time" if group == "t" else NAMES[group].format(position)

    lines, found = statements(problem.lowered.rates, ANTIMONY, read)
    rules = [f"y{i}' = {value};" for i, value in enumerate(found["rates"])]
    start = [f"y{i} = {value!r};" for i, value in enumerate(problem.initial[0].tolist())]
    start += [f"p{i} = {value!r};" for i, value in enumerate(problem.theta[0].tolist())]
    start += [f"c{i} = {value!r};" for i, value in enumerate(problem.fixed[0].tolist())]
    return "\n".join(["model workload()", *start, *lines, *rules, *more, "end"])


def sbml_text(antimony_source: str) -> str:
    import antimony

    antimony.clearPreviousLoads()
    if antimony.loadAntimonyString(antimony_source) < 0:
        raise ValueError(f"Antimony refuses the model: {antimony.getLastError()}")
    return antimony.getSBMLString(antimony.getMainModuleName())


@dataclasses.dataclass(frozen=True)
class Roadrunner(AbstractPeer):
    @property
    def name(self) -> str:
        return "libroadrunner (CVODE)"

    @property
    def settings(self) -> str:
        return f"libroadrunner {version('libroadrunner')}, SBML with rate rules, BDF, restart at each dose"

    def missing(self) -> str | None:
        return not_importable("roadrunner", "antimony")

    def prepare(self, problem: Problem) -> Solve:
        import roadrunner

        roadrunner.Logger.setLevel(roadrunner.Logger.LOG_ERROR)
        simulator = roadrunner.RoadRunner(sbml_text(antimony_text(problem)))
        model, n_states = simulator.model, problem.states
        place = {name: i for i, name in enumerate(model.getGlobalParameterIds())}
        y_at = [place[f"y{i}"] for i in range(n_states)]
        p_at = [place[f"p{i}"] for i in range(problem.theta.shape[1])]
        p_at += [place[f"c{i}"] for i in range(problem.fixed.shape[1])]
        given = np.concatenate([problem.theta, problem.fixed], axis=1)
        simulator.timeCourseSelections = [f"y{i}" for i in range(n_states)]
        simulator.integrator.setValue("stiff", True)
        simulator.integrator.setValue("maximum_num_steps", 100_000)

        def solve(n: int, rtol: float, atol: float) -> Answer:
            simulator.integrator.setValue("relative_tolerance", rtol)
            simulator.integrator.setValue("absolute_tolerance", atol)
            states = np.full((n, len(problem.times), n_states), np.nan)
            for i in range(n):
                model.setGlobalParameterValues(p_at, given[i])
                y = problem.initial[i]
                for d, (start, end, saves) in enumerate(problem.segments):
                    model.setTime(start)
                    model.setGlobalParameterValues(y_at, y + problem.jumps[i, d])
                    at = [start, *problem.times[saves].tolist(), end]
                    found = np.array(simulator.simulate(times=at))
                    states[i, saves], y = found[1:-1], found[-1]
            return Answer(states, None)

        solve(1, problem.workload.rtol, problem.workload.atol)
        return solve
