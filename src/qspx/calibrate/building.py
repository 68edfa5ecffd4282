"""From a problem as a person writes it to the arrays of an objective."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspx.calibrate.arms import Given
from qspx.calibrate.assigned import Assigned
from qspx.calibrate.error_models import AbstractErrorModel
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.names import Names, Number
from qspx.calibrate.objective import Formula, Group, Objective
from qspx.calibrate.phases import Phase, settling
from qspx.calibrate.preequilibration import PreEquilibration
from qspx.calibrate.runs import Runs
from qspx.distributions import Joint
from qspx.integrate import AbstractIntegrator
from qspx.measured_observables import Observed
from qspx.measurements import Measurements
from qspx.model import AbstractModel
from qspx.starting import starting_from


@dataclasses.dataclass(frozen=True, eq=False)
class Builder:
    """Everything but the measurements. One run per arm and study that has measurements."""

    model: AbstractModel
    arms: Mapping[str, Given]
    estimated: tuple[Estimated, ...]
    names: Names
    noise: Mapping[str, AbstractErrorModel]
    prior: Joint | None
    before: Mapping[str, PreEquilibration]
    integrator: AbstractIntegrator

    def objective(self, m: Measurements) -> Objective:
        """The likelihood of these measurements."""
        pairs = list(dict.fromkeys(zip(m.arm, m.study, strict=True)))
        place = {pair: i for i, pair in enumerate(pairs)}
        run = np.array([place[pair] for pair in zip(m.arm, m.study, strict=True)], dtype=int)
        phases = self._phases(pairs, m, run)
        sampled = phases[-1].runs
        samples = zip(run, m.time, m.before, strict=True)
        return Objective(
            estimated=self.estimated,
            phases=phases,
            run=run,
            column=np.array([sampled.column(int(r), float(t), bool(b)) for r, t, b in samples], dtype=int),
            time=m.time,
            value=m.value,
            censored=m.censored,
            groups=tuple(self._group(m, name) for name in m.observables),
            integrator=self.integrator,
            joint=self.prior,
        )

    # runs -----------------------------------------------------------------------------------------------------------

    def _phases(self, pairs: Sequence[tuple[str, str]], m: Measurements, run: np.ndarray) -> tuple[Phase, ...]:
        times: list[list[tuple[float, bool]]] = [[] for _ in pairs]
        for r, t, b in zip(run, m.time, m.before, strict=True):
            times[r].append((float(t), bool(b)))
        regimens = [self.arms[arm].regimen for arm, _ in pairs]
        rows = [self.parameters(arm, study) for arm, study in pairs]
        theta = Assigned.of(rows, self.names.estimated, len(self.model.parameters))
        if not any(arm in self.before for arm, _ in pairs):
            return (Phase(Runs.of(self.model, regimens, times), theta),)
        earlier: dict[tuple[Number, ...], int] = {}  # arms with equal parameters before them share a run
        follows = np.full(len(pairs), -1)
        for i, (arm, study) in enumerate(pairs):
            if arm in self.before:
                row = tuple(self.parameters(arm, study, self.before[arm].parameters))
                follows[i] = earlier.setdefault(row, len(earlier))
        within = 10 * max(self.before[arm].within for arm, _ in pairs if arm in self.before)  # see PreEquilibration
        rest = settling(self.model, Assigned.of(list(earlier), self.names.estimated), within=within)
        return rest, Phase(Runs.of(starting_from(self.model), regimens, times), theta, follows)

    def parameters(self, arm: str, study: str, first: Mapping[str, Number] | None = None) -> list[Number]:
        """Of a run, in the order of the model: what is said `first`, for this arm, this study, as its covariate, as
        estimated, as fixed; else the model's."""
        covariates, found = self.arms[arm].covariates, []
        for name, declared in self.model.parameters.items():
            special = self.names.special(name, arm, study)
            if first and name in first:
                found.append(self.names.of(first[name], arm, study))
            elif special is not None:
                found.append(special)
            elif name in covariates:
                found.append(float(covariates[name]))
            elif name in self.names.estimated:
                found.append(name)
            else:
                found.append(float(self.names.fixed.get(name, declared.value)))
        return found

    # observations ---------------------------------------------------------------------------------------------------

    def _group(self, m: Measurements, name: str) -> Group:
        rows, observed, error = np.flatnonzero(m.observable == name), m.observed[name], self.noise[name]
        numbers = (observed.scaling, observed.offset, *error.numbers.values())
        resolved: dict[tuple[str, str], list[Number]] = {}
        local = []
        for i in rows:
            pair = (m.arm[i], m.study[i])
            if pair not in resolved:
                resolved[pair] = [self.names.of(x, *pair) for x in numbers]
            local.append([*resolved[pair], float(m.sd[i]), float(m.n[i])])
        formula = prediction_and_spread(self.model, observed, error)
        return Group(rows, formula, Assigned.of(local, self.names.estimated), error.family)


def prediction_and_spread(model: AbstractModel, observed: Observed, error: AbstractErrorModel) -> Formula:
    """Local parameters: scaling, offset, numbers of the error model, sd in the table, n."""

    def formula(t: Any, y: Any, theta: Any, local: Any) -> tuple[Any, Any]:
        output = model.observables_vector(t, y, theta, [observed.output])[0]
        prediction = local[1] + local[0] * output
        spread = error.spread(prediction, local[2:-2], local[-2])
        return prediction, spread / jnp.sqrt(local[-1])

    return formula
