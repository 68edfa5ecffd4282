"""The experiment file: what a first-in-human dose rationale is made of, as one TOML document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from .schema_methods import MatchTable, MethodTable, PotencyTable
from .table import Count, Measure, Number, Positive, Scalar, Table, Text, Whole, Words

Switches = dict[str, Scalar]


class DistributionTable(Table):
    """Spread of one parameter. Numbers are in `unit` (default: the unit that the model declares, which must then be
    dimensionless unless only the typical value and a cv are used)."""

    kind: Literal["normal", "lognormal", "truncated_normal", "uniform", "loguniform", "logitnormal", "empirical"]
    unit: Text | None = None
    median: Number | None = None
    cv: Positive | None = None
    omega: Positive | None = None
    mean: Number | None = None
    sd: Positive | None = None
    low: Number | None = None
    high: Number | None = None
    values: list[Number] | None = None
    weights: list[Number] | None = None
    source: Words = Field(description="where the distribution comes from; say which part of it is assumed")


class CorrelationTable(Table):
    """Correlation of the normal scores of two parameters."""

    between: tuple[Words, Words]
    rho: Annotated[Number, Field(gt=-1, lt=1)]


class PopulationTable(Table):
    """Who is simulated."""

    size: Count = Field(description="number of virtual patients")
    distributions: Annotated[dict[str, DistributionTable], Field(min_length=1)]
    correlations: list[CorrelationTable] = []


class UncertaintyTable(Table):
    """How well the typical values are known; a lognormal without `median` is centred on the model's own value."""

    distributions: Annotated[dict[str, DistributionTable], Field(min_length=1)]
    correlations: list[CorrelationTable] = []
    draws: Annotated[Whole, Field(ge=2)] = 20
    subjects: Annotated[Whole, Field(ge=2)] = 40


class GridTable(Table):
    """Dose levels equally far apart on the logarithmic axis, both ends included."""

    start: Positive = Field(alias="from")
    end: Positive = Field(alias="to")
    per_decade: Positive = 4


def _list_or_grid(value: Any) -> str:
    return "list" if isinstance(value, list) else "grid"


Levels = Annotated[
    Annotated[list[Positive], Tag("list")] | Annotated[GridTable, Tag("grid")], Discriminator(_list_or_grid)
]


class EscalationTable(Table):
    """The schedule of the trial and the target doses to simulate. `fractions` of the target are given on the days `at`;
    the last of them is repeated every `every` until it has been given `n` times."""

    unit: Words = Field(description="unit of the dose levels: a mass per body weight such as ug/kg")
    into: Words = Field(description="the species that receives the dose")
    levels: Levels = Field(description="a list of doses, or {from, to, per_decade}")
    fractions: Annotated[list[Positive], Field(min_length=1)] = [1.0]
    at: Annotated[list[Number], Field(min_length=1)] = [0.0]
    every: Positive = 7.0
    n: Count = 1
    duration: Positive | None = None

    @model_validator(mode="after")
    def _same_length(self):
        if len(self.fractions) != len(self.at):
            raise PydanticCustomError(
                "lengths",
                "`fractions` and `at` must have the same length, but have {a} and {b}",
                {"a": len(self.fractions), "b": len(self.at)},
            )
        return self


class ProposalTable(Table):
    """The dose that the user proposes; its fractions and days are those of the escalation."""

    target: Measure = Field(description='a dose per body weight, such as "5 ug/kg"')
    reason: Words = Field(description="why this dose is proposed")


class ContextTable(Table):
    """What the dose is for, in the words of ICH M15."""

    product: Text = ""
    mechanism: Text = ""
    indication: Text = ""
    question_of_interest: Text = ""
    context_of_use: Text = ""
    model_influence: Text = ""
    decision_consequence: Text = ""
    model_risk: Text = ""
    model_impact: Text = ""
    route: Text = ""
    population_description: Text = ""


class AlternativeTable(Table):
    """Another assumption under which the first threshold dose is found again."""

    name: Words
    note: Text = ""
    switches: Switches = {}
    parameters: dict[str, Measure] = {}


class TimesTable(Table):
    """Equally spaced times, both ends included, in the model's time unit."""

    start: Number = Field(alias="from")
    end: Number = Field(alias="to")
    step: Positive


class PanelTable(Table):
    observable: Words
    title: Words


class ProfilesTable(Table):
    """Time courses to show for the proposed schedule."""

    times: TimesTable
    panels: Annotated[list[PanelTable], Field(min_length=1)]


class IntegratorTable(Table):
    """Settings of `qspx.integrate.AutomaticIntegrator`."""

    rtol: Positive = 1e-6
    atol: Positive = 1e-12
    atol_of: dict[str, Positive] = {}
    max_steps: Count = 100_000


class Experiment(Table):
    """The whole file."""

    title: Words
    seed: Annotated[Whole, Field(ge=0)] = Field(description="a whole number: the same seed gives the same numbers")
    model: Words = Field(description="path of the model file, relative to this file")
    modality: Literal["CD3_engager", "mab", "small_molecule", "other"] = "other"
    switches: Switches = {}
    context: ContextTable = ContextTable()
    population: PopulationTable
    uncertainty: UncertaintyTable | None = None
    escalation: EscalationTable
    proposal: ProposalTable | None = None
    potencies: dict[str, PotencyTable] = {}
    matches: dict[str, MatchTable] = {}
    methods: Annotated[list[MethodTable], Field(min_length=1)]
    alternatives: list[AlternativeTable] = []
    profiles: ProfilesTable | None = None
    integrator: IntegratorTable = IntegratorTable()
    limitations: list[Text] = []
