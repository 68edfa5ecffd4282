"""From the tables of an experiment file to the objects that `compare_doses` takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qspx._errors import ConfigError
from qspx.cohort import Cohort, sample_cohort
from qspx.distributions import Joint
from qspx.dose_events import dose_events
from qspx.dosing import Regimen
from qspx.fih import (
    AbstractDoseMethod,
    Alternative,
    Escalation,
    ProfilePlan,
    Proposal,
    RationaleContext,
    TypicalValueUncertainty,
)
from qspx.integrate import AutomaticIntegrator
from qspx.loading import load_model
from qspx.model import AbstractModel

from .build_distributions import build_joint, typical_values
from .build_methods import MethodBuilder
from .load import ExperimentFile
from .place import at
from .quantity import Quantity
from .schema import EscalationTable, Experiment, GridTable, ProfilesTable


@dataclass(frozen=True)
class Plan:
    """Everything an experiment file asks for, as objects of qspx; nothing was simulated yet."""

    title: str
    seed: int
    size: int
    modality: str
    model: AbstractModel
    context: RationaleContext
    distribution: Joint
    distribution_sources: Mapping[str, str]
    uncertainty: TypicalValueUncertainty | None
    escalation: Escalation
    proposal: Proposal | None
    methods: tuple[AbstractDoseMethod, ...]
    alternatives: tuple[Alternative, ...]
    profiles: ProfilePlan | None
    integrator: AutomaticIntegrator
    limitations: tuple[str, ...]

    def sample(self) -> Cohort:
        """The virtual patients."""
        return sample_cohort(self.model, self.distribution, self.size, key=self.seed)


def build(file: ExperimentFile, model_path: Path | None = None) -> Plan:
    """The plan of an experiment file, checked against its model before any compute.

    Args:
        file: what `load_experiment` gave.
        model_path: the model file, where it is not the one that the experiment names.

    Raises:
        ConfigError: naming the place in the file, what was found and what is expected.
    """
    content, path = file.content, model_path or file.model_path
    try:
        return _Builder(content, path).plan()
    except ConfigError as error:
        raise ConfigError(f"{file.path.name}: {error}") from error


@dataclass(frozen=True)
class _Builder:
    content: Experiment
    path: Path

    def variant(self, switches: Mapping[str, Any]) -> AbstractModel:
        return load_model(self.path, **{**self.content.switches, **switches})

    def plan(self) -> Plan:
        c = self.content
        if not self.path.is_file():
            raise ConfigError(f"model: the model file {c.model!r} does not exist (looked for {self.path})")
        with at("model"):
            model = self.variant({})
        with at("escalation"):
            escalation = build_escalation(c.escalation, model)
        with at("integrator"):
            integrator = AutomaticIntegrator(**c.integrator.model_dump())
        return Plan(
            title=c.title,
            seed=c.seed,
            size=c.population.size,
            modality=c.modality,
            model=model,
            context=RationaleContext(**c.context.model_dump()),
            distribution=build_joint(c.population.distributions, c.population.correlations, model, "population"),
            distribution_sources={name: table.source for name, table in c.population.distributions.items()},
            uncertainty=self.uncertainty(model),
            escalation=escalation,
            proposal=self.proposal(),
            methods=self.methods(model, escalation),
            alternatives=tuple(self.alternative(i, model) for i in range(len(c.alternatives))),
            profiles=c.profiles and build_profiles(c.profiles, model),
            integrator=integrator,
            limitations=tuple(c.limitations),
        )

    def uncertainty(self, model: AbstractModel) -> TypicalValueUncertainty | None:
        table = self.content.uncertainty
        if table is None:
            return None
        joint = build_joint(table.distributions, table.correlations, model, "uncertainty")
        typical_values(joint, model, "uncertainty")
        return TypicalValueUncertainty(joint, table.draws, table.subjects)

    def proposal(self) -> Proposal | None:
        table, schedule = self.content.proposal, self.content.escalation
        if table is None:
            return None
        with at("proposal"):
            return Proposal(table.target.ug_per_kg(), tuple(schedule.fractions), tuple(schedule.at), table.reason)

    def methods(self, model: AbstractModel, escalation: Escalation) -> tuple[AbstractDoseMethod, ...]:
        c = self.content
        single = Regimen.single(1.0, "ug/kg", c.escalation.into, duration=c.escalation.duration)
        builder = MethodBuilder(model, self.variant, single, escalation.regimen, c.potencies, c.matches)
        built = []
        for i, table in enumerate(c.methods):
            with at(f"methods no. {i + 1} ({table.kind})"):
                built.append(builder.build(table))
        return tuple(built)

    def alternative(self, i: int, model: AbstractModel) -> Alternative:
        table = self.content.alternatives[i]
        with at(f"alternatives no. {i + 1} ({table.name})"):
            other = self.variant(table.switches) if table.switches else None
            parameters = {name: _parameter(name, q, other or model) for name, q in table.parameters.items()}
            return Alternative(table.name, table.note, other, parameters)


def build_escalation(table: EscalationTable, model: AbstractModel) -> Escalation:
    """The schedule and the dose levels in ug/kg, after a check that the model can receive the doses."""
    levels = table.levels if isinstance(table.levels, list) else grid_levels(table.levels)
    levels = [Quantity(x, table.unit).ug_per_kg() for x in levels]
    steps = (table.fractions, table.at, table.every, table.n)
    shape = Regimen.step_up(1.0, "ug/kg", table.into, *steps, duration=table.duration)
    dose_events(shape, model)
    return Escalation(shape, tuple(levels))


def grid_levels(grid: GridTable) -> list[float]:
    """At least `per_decade` doses a decade from start to end, equally far apart on the logarithmic axis."""
    if not grid.start < grid.end:
        raise ConfigError(f"levels: `from` must be below `to`, but is {grid.start:g}, and `to` is {grid.end:g}")
    span = math.log10(grid.end / grid.start)
    steps = max(2, math.ceil(grid.per_decade * span - 1e-9))
    return [float(f"{grid.start * 10 ** (span * i / steps):.6g}") for i in range(steps + 1)]


def build_profiles(table: ProfilesTable, model: AbstractModel) -> ProfilePlan:
    """Times and panels of the time courses."""
    t = table.times
    n = round((t.end - t.start) / t.step)
    if n < 1 or not math.isclose(t.start + n * t.step, t.end, rel_tol=1e-9, abs_tol=1e-9):
        raise ConfigError(f"profiles, times: `step` must divide the range {t.start:g} to {t.end:g}, but is {t.step:g}")
    panels: dict[str, str] = {}
    for i, panel in enumerate(table.panels):
        with at(f"profiles, panels no. {i + 1}"):
            model.require_outputs([panel.observable])
            panels[panel.observable] = panel.title
    return ProfilePlan(tuple(t.start + i * t.step for i in range(n + 1)), panels)


def _parameter(name: str, value: Quantity, model: AbstractModel) -> float:
    model.parameter_index(name)
    with at(f"parameters, {name}"):
        return value.to(model.parameters[name].unit)
