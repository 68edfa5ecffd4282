"""Tables of an experiment file that describe potencies, exposure matches and dose methods.

Their keys carry quantities with units (`kd = "1.9 nM"`); the classes of `qspx.fih` they stand for say what each does.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from .table import (
    CellDensity,
    Clearance,
    Days,
    Flag,
    HourlyClearance,
    Hours,
    Kilograms,
    Litres,
    Measure,
    MeasureOrName,
    Molar,
    Number,
    Numbers,
    Positive,
    Rate,
    Scalar,
    SquareMetres,
    SurfaceClearance,
    Table,
    Text,
    Words,
)

Analyte = Literal["free", "total"]
Schedule = Literal["single", "escalation"]
Aggregate = Literal["min", "p05", "median", "geomean"]
Scaling = Literal["bsa", "mg_per_kg"]
Rounding = Literal["fda_table", "exact"]
Fraction = Annotated[Number, Field(gt=0, lt=1)]


def _name_or_table(value: Any) -> str:
    return "name" if isinstance(value, str) else "table"


class Metric(Table):
    """An endpoint of a simulation, over the window from `start` to `end` (the model's time unit)."""

    kind: Literal["max", "min", "average", "auc", "last"]
    observable: Words = Field(description="an observable or species of the model")
    end: Number = Field(description="when the simulation ends, in the model's time unit")
    start: Number | None = None


class TimeMetric(Table):
    """A time, or share of the time, that an observable of a simulation spends above or below a threshold."""

    kind: Literal["time_above", "time_below", "fraction_above"]
    observable: Words = Field(description="an observable or species of the model")
    threshold: MeasureOrName = Field(
        description="in a unit that converts to that of the observable, or the name of a parameter of the model"
    )
    end: Number = Field(description="when the simulation ends, in the model's time unit")
    start: Number | None = None


class PotencyTable(Table):
    """Concentrations that reach an effect level in one assay; one value per donor."""

    assay: Words
    values: Numbers = Field(description="one concentration per donor")
    unit: Words = Field(description="unit of `values`, such as pM or ng/mL")
    level: Fraction = 0.5
    slope: Positive | None = None
    readout: Text = ""
    system: Text = "cell line"
    effector_to_target: Text = ""
    incubation: Hours | None = None
    antigen_per_cell: Positive | None = None
    serum: Text = ""
    source: Words = Field(description="where the values come from")


class Reading(Table):
    """A measured number: name, value with unit, source."""

    name: Words
    value: Measure
    source: Words = Field(description="where the value comes from")


class AnimalDoseTable(Table):
    """A dose found in an animal study."""

    species: Words
    dose: Measure = Field(description='a dose per body weight, such as "0.3 mg/kg"')
    source: Words = Field(description="where the dose comes from")
    weight: Kilograms | None = None


class SimulatedMatchTable(Table):
    """The exposure of the typical subject, simulated. `switches` select another variant of the model file."""

    kind: Literal["simulated"]
    metric: Metric
    analyte: Analyte | None = None
    schedule: Schedule = "single"
    dose_range: tuple[Measure, Measure] | None = None
    switches: dict[str, Scalar] = {}
    source: Text = ""


class BolusTable(Table):
    kind: Literal["bolus"]
    volume: Litres
    source: Words = Field(description="where the volume comes from")


class InfusionTable(Table):
    kind: Literal["infusion"]
    clearance: Clearance
    volume: Litres
    duration: Days
    source: Words = Field(description="where the parameters come from")


class SubcutaneousTable(Table):
    kind: Literal["sc"]
    clearance: Clearance
    volume: Litres
    ka: Rate
    bioavailability: Number
    source: Words = Field(description="where the parameters come from")


class AverageTable(Table):
    kind: Literal["average"]
    clearance: Clearance
    tau: Days
    bioavailability: Number = 1.0
    route: Text = "IV"
    source: Words = Field(description="where the parameters come from")


class SteadyInfusionTable(Table):
    kind: Literal["steady_infusion"]
    clearance: Clearance
    source: Words = Field(description="where the clearance comes from")


MatchTable = Annotated[
    SimulatedMatchTable | BolusTable | InfusionTable | SubcutaneousTable | AverageTable | SteadyInfusionTable,
    Field(discriminator="kind"),
]
MatchKey = Annotated[Annotated[Words, Tag("name")] | Annotated[MatchTable, Tag("table")], Discriminator(_name_or_table)]
PotencyKey = Annotated[
    Annotated[Words, Tag("name")] | Annotated[PotencyTable, Tag("table")], Discriminator(_name_or_table)
]


class _Method(Table):
    label: Words | None = None


class MabelTable(_Method):
    kind: Literal["mabel"]
    potency: PotencyKey
    match: MatchKey
    analyte: Analyte | None = None
    level: Fraction = Field(description="the effect matched: 0.2 is EC20")
    aggregate: Aggregate = "min"


class ModifiedMabelTable(_Method):
    kind: Literal["modified_mabel"]
    potency: PotencyKey
    match: MatchKey
    analyte: Analyte | None = None
    cytokines: list[PotencyKey] = []
    level: Fraction = 0.5
    aggregate: Aggregate = "median"


class OccupancyTable(_Method):
    kind: Literal["receptor_occupancy"]
    target: Words
    kd: Molar
    match: MatchKey
    analyte: Analyte | None = None
    occupancy: Fraction = 0.1
    receptor: Molar | None = None
    source: Words = Field(description="where the dissociation constant comes from")


class NoaelTable(_Method):
    kind: Literal["noael"]
    doses: Annotated[list[AnimalDoseTable], Field(min_length=1)]
    safety_factor: Positive = 10.0
    species: Text | None = None
    scaling: Scaling | None = None
    rounding: Rounding = "fda_table"
    route: Text = "IV"
    human_weight: Kilograms = 60.0


class AucTable(Table):
    """An animal exposure at the NOAEL: concentration times time."""

    species: Words
    value: Measure
    source: Words = Field(description="where the AUC comes from")


class NoaelExposureTable(_Method):
    kind: Literal["noael_exposure"]
    auc: Annotated[list[AucTable], Field(min_length=1)]
    clearance: Clearance
    clearance_source: Words = Field(description="where the human clearance comes from")
    analyte: Analyte | None = None
    bioavailability: Number = 1.0
    safety_factor: Positive = 10.0
    species: Text | None = None
    route: Text = "IV"


class IchS9Table(_Method):
    kind: Literal["ich_s9"]
    std10: AnimalDoseTable | None = None
    hnstd: AnimalDoseTable | None = None
    tenth_std10_severely_toxic: Flag | None = None
    scaling: Scaling | None = None
    route: Text = "IV"
    human_weight: Kilograms = 60.0


class PadHedTable(_Method):
    kind: Literal["pad_hed"]
    dose: AnimalDoseTable
    scaling: Scaling | None = None
    rounding: Rounding = "fda_table"
    safety_factor: Positive = 1.0
    route: Text = "IV"
    human_weight: Kilograms = 60.0


class PadExposureTable(_Method):
    kind: Literal["pad_exposure"]
    concentration: Reading
    match: MatchKey
    analyte: Analyte | None = None
    potency_ratio: Positive = 1.0
    potency_source: Text = ""
    safety_factor: Positive = 1.0


class CssTable(_Method):
    kind: Literal["css"]
    concentration: Reading
    analyte: Analyte | None = None
    clearance: HourlyClearance | None = None
    clearance_per_m2: SurfaceClearance | None = None
    bsa: SquareMetres | None = None
    clearance_source: Words = Field(description="where the clearance comes from")


class TrimerTable(_Method):
    kind: Literal["trimer"]
    kd_a: Molar
    kd_b: Molar
    total_a: Molar
    total_b: Molar
    match: MatchKey
    analyte: Analyte | None = None
    trimer: Molar | None = None
    trimer_per_target_cell: Positive | None = None
    target_cells: CellDensity | None = None
    cooperativity: Positive = 1.0
    compartment: Text = "plasma"
    threshold_source: Words = Field(description="where the trimer threshold comes from")
    source: Words = Field(description="where the binding constants and totals come from")


class _ThresholdMethod(_Method):
    metric: Annotated[Metric | TimeMetric, Field(discriminator="kind")]
    threshold: Measure = Field(description="in a unit that converts to that of the metric")
    schedule: Schedule = "escalation"
    quantile: Fraction | None = None
    safety_factor: Positive = 1.0
    source: Words = Field(description="where the threshold comes from")


class MpadTable(_ThresholdMethod):
    kind: Literal["mpad"]


class QspTable(_ThresholdMethod):
    kind: Literal["qsp"]


class CytokineTable(_ThresholdMethod):
    kind: Literal["cytokine_threshold"]


MethodTable = Annotated[
    MabelTable
    | ModifiedMabelTable
    | OccupancyTable
    | NoaelTable
    | NoaelExposureTable
    | IchS9Table
    | PadHedTable
    | PadExposureTable
    | CssTable
    | TrimerTable
    | MpadTable
    | QspTable
    | CytokineTable,
    Field(discriminator="kind"),
]
