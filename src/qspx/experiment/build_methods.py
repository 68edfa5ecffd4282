"""Method, match and potency tables of an experiment file as the objects of `qspx.fih`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qspx._errors import ConfigError, closest
from qspx.dosing import Regimen
from qspx.fih import (
    AbstractDoseMethod,
    AbstractExposureMatch,
    AnimalDose,
    AverageConcentration,
    BolusCmax,
    Css,
    CytokineThreshold,
    IchS9,
    InfusionCmax,
    Input,
    Mabel,
    ModifiedMabel,
    Mpad,
    Noael,
    NoaelExposure,
    PadByExposure,
    PadByHed,
    Potency,
    Qsp,
    ReceptorOccupancy,
    SimulatedMatch,
    SteadyInfusion,
    SubcutaneousCmax,
    TrimerMabel,
)
from qspx.fih._checks import free_or_total
from qspx.model import AbstractModel
from qspx.summaries import AUC, AbstractSummary, Average, FractionAbove, Last, Max, Min, TimeAbove, TimeBelow

from . import schema_methods as tables
from .place import at
from .quantity import Quantity

METRICS = {c.kind: c for c in (Max, Min, Average, AUC, Last)}
TIME_METRICS = {c.kind: c for c in (TimeAbove, TimeBelow, FractionAbove)}


@dataclass(frozen=True)
class MethodBuilder:
    """What method tables refer to: the model and its variants, the two schedules, named potencies and matches."""

    model: AbstractModel
    variant: Callable[[Mapping[str, Any]], AbstractModel]
    single: Regimen
    escalation: Regimen
    potencies: Mapping[str, tables.PotencyTable]
    matches: Mapping[str, Any]

    def build(self, table: Any) -> AbstractDoseMethod:
        """The method of one table. Raises `QspxError` for what does not fit."""
        match table:
            case tables.MabelTable():
                return Mabel(
                    potency=self.potency(table.potency),
                    match=self.match(table.match, table.analyte),
                    analyte=self.analyte(table),
                    level=table.level,
                    aggregate=table.aggregate,
                    label=table.label,
                )
            case tables.ModifiedMabelTable():
                return ModifiedMabel(
                    potency=self.potency(table.potency),
                    match=self.match(table.match, table.analyte),
                    analyte=self.analyte(table),
                    cytokines=[self.potency(c) for c in table.cytokines],
                    level=table.level,
                    aggregate=table.aggregate,
                    label=table.label,
                )
            case tables.OccupancyTable():
                return ReceptorOccupancy(
                    kd_nM=table.kd,
                    match=self.match(table.match, table.analyte),
                    analyte=self.analyte(table),
                    occupancy=table.occupancy,
                    receptor_nM=table.receptor,
                    target=table.target,
                    source=table.source,
                    label=table.label,
                )
            case tables.TrimerTable():
                return TrimerMabel(
                    kd_a_nM=table.kd_a,
                    kd_b_nM=table.kd_b,
                    total_a_nM=table.total_a,
                    total_b_nM=table.total_b,
                    match=self.match(table.match, table.analyte),
                    analyte=self.analyte(table),
                    trimer_nM=table.trimer,
                    trimer_per_target_cell=table.trimer_per_target_cell,
                    target_cells_per_L=table.target_cells,
                    cooperativity=table.cooperativity,
                    compartment=table.compartment,
                    threshold_source=table.threshold_source,
                    source=table.source,
                    label=table.label,
                )
            case tables.PadExposureTable():
                return PadByExposure(
                    concentration=_input(table.concentration),
                    match=self.match(table.match, table.analyte),
                    analyte=self.analyte(table),
                    potency_ratio=table.potency_ratio,
                    potency_source=table.potency_source,
                    safety_factor=table.safety_factor,
                    label=table.label,
                )
            case tables.MpadTable() | tables.QspTable() | tables.CytokineTable():
                return self.threshold_method(table)
            case _:
                return build_without_model(table)

    # parts ----------------------------------------------------------------------------------------------------------

    def threshold_method(self, table: Any) -> AbstractDoseMethod:
        """Mpad, Qsp or CytokineThreshold, with the threshold in the unit of the metric."""
        cls = {"mpad": Mpad, "qsp": Qsp, "cytokine_threshold": CytokineThreshold}[table.kind]
        metric = self.metric(table.metric)
        more = {} if table.quantile is None else {"quantile": table.quantile}
        return cls(
            metric=metric,
            threshold=self.threshold(table.threshold, metric),
            regimen=self.single if table.schedule == "single" else None,
            safety_factor=table.safety_factor,
            threshold_source=table.source,
            label=table.label,
            **more,
        )

    def threshold(self, threshold: Quantity, metric: AbstractSummary) -> float:
        with at("threshold"):
            return threshold.to(metric.unit_in(self.model))

    def metric(self, table: tables.Metric | tables.TimeMetric, model: AbstractModel | None = None) -> AbstractSummary:
        """The endpoint, after a check that the model has what it names."""
        model = model or self.model
        with at("metric, observable"):
            model.require_outputs([table.observable])
        if isinstance(table, tables.Metric):
            return METRICS[table.kind](table.observable, table.start, table.end)
        level = table.threshold
        with at("metric, threshold"):
            if not isinstance(level, str):
                level = level.to(model.outputs[table.observable].unit)
            found = TIME_METRICS[table.kind](table.observable, level, table.start, table.end)
            found.check(model)
        return found

    def potency(self, given: str | tables.PotencyTable) -> Potency:
        table = _named(given, self.potencies, "potencies") if isinstance(given, str) else given
        return Potency(
            assay=table.assay,
            values=table.values,
            unit=table.unit,
            level=table.level,
            slope=table.slope,
            readout=table.readout,
            system=table.system,
            effector_to_target=table.effector_to_target,
            incubation_h=table.incubation,
            antigen_per_cell=table.antigen_per_cell,
            serum=table.serum,
            source=table.source,
        )

    def analyte(self, table: Any) -> str | None:
        """That of the method, else that of its simulated match."""
        found = _named(table.match, self.matches, "matches") if isinstance(table.match, str) else table.match
        return table.analyte or getattr(found, "analyte", None)

    def match(self, given: Any, analyte: str | None) -> AbstractExposureMatch:
        table = _named(given, self.matches, "matches") if isinstance(given, str) else given
        match table:
            case tables.SimulatedMatchTable():
                return self.simulated(table, analyte)
            case tables.BolusTable():
                return BolusCmax(table.volume, table.source)
            case tables.InfusionTable():
                return InfusionCmax(table.clearance, table.volume, table.duration, table.source)
            case tables.SubcutaneousTable():
                return SubcutaneousCmax(table.clearance, table.volume, table.ka, table.bioavailability, table.source)
            case tables.AverageTable():
                return AverageConcentration(
                    table.clearance, table.tau, table.bioavailability, table.route, table.source
                )
            case _:
                return SteadyInfusion(table.clearance, table.source)

    def simulated(self, table: tables.SimulatedMatchTable, analyte: str | None) -> SimulatedMatch:
        model = self.variant(table.switches) if table.switches else None
        metric = self.metric(table.metric, model)
        found = (model or self.model).outputs[metric.observable].unit
        if found != "nM":
            raise ConfigError(
                f"match, metric, observable: must be in nM, but `{metric.observable}` is in {found or 'no unit'}"
            )
        more: dict[str, Any] = {}
        if table.dose_range is not None:
            low, high = (q.ug_per_kg() for q in table.dose_range)
            if not 0 < low < high:
                raise ConfigError(
                    f"match, dose_range: must be two increasing doses above 0, but is {low:g} and {high:g}"
                )
            more["dose_range"] = (low, high)
        return SimulatedMatch(
            metric=metric,
            regimen_given=self.single if table.schedule == "single" else self.escalation,
            analyte=free_or_total(table.analyte or analyte),
            model=model,
            source=table.source,
            **more,
        )


def build_without_model(table: Any) -> AbstractDoseMethod:
    """Methods that need neither model nor match."""
    match table:
        case tables.NoaelTable():
            return Noael(
                doses=[_animal(d) for d in table.doses],
                safety_factor=table.safety_factor,
                species=table.species,
                scaling=table.scaling,
                rounding=table.rounding,
                route=table.route,
                human_weight_kg=table.human_weight,
                label=table.label,
            )
        case tables.NoaelExposureTable():
            return NoaelExposure(
                auc={
                    a.species: Input(f"AUC at NOAEL, {a.species}", a.value.value, a.value.unit, a.source)
                    for a in table.auc
                },
                clearance_L_per_day=table.clearance,
                analyte=table.analyte,
                bioavailability=table.bioavailability,
                safety_factor=table.safety_factor,
                species=table.species,
                route=table.route,
                clearance_source=table.clearance_source,
                label=table.label,
            )
        case tables.IchS9Table():
            return IchS9(
                std10=table.std10 and _animal(table.std10),
                hnstd=table.hnstd and _animal(table.hnstd),
                tenth_std10_severely_toxic=table.tenth_std10_severely_toxic,
                scaling=table.scaling,
                route=table.route,
                human_weight_kg=table.human_weight,
                label=table.label,
            )
        case tables.PadHedTable():
            return PadByHed(
                dose=_animal(table.dose),
                scaling=table.scaling,
                rounding=table.rounding,
                safety_factor=table.safety_factor,
                route=table.route,
                human_weight_kg=table.human_weight,
                label=table.label,
            )
        case tables.CssTable():
            return Css(
                concentration=_input(table.concentration),
                analyte=table.analyte,
                clearance_L_per_h=table.clearance,
                clearance_L_per_m2_day=table.clearance_per_m2,
                bsa_m2=table.bsa,
                clearance_source=table.clearance_source,
                label=table.label,
            )
        case _:
            raise TypeError(f"no method is built from {type(table).__name__}")


def _animal(table: tables.AnimalDoseTable) -> AnimalDose:
    return AnimalDose(table.species, table.dose.value, table.dose.unit, table.source, table.weight)


def _input(table: tables.Reading) -> Input:
    return Input(table.name, table.value.value, table.value.unit, table.source)


def _named(name: str, known: Mapping[str, Any], key: str) -> Any:
    if name not in known:
        raise ConfigError(f"there is no [{key}.{name}] in the file.{closest(name, known)}")
    return known[name]
