"""Distributions of an experiment file as a `Joint`, in the units that the model declares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qspx._errors import ConfigError
from qspx.distributions import (
    Empirical,
    Joint,
    LogitNormal,
    LogNormal,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
)
from qspx.distributions.base import AbstractDistribution
from qspx.model import AbstractModel
from qspx.units import conversion

from .place import at
from .schema import CorrelationTable, DistributionTable

# Numbers that each kind needs and may have; those in SCALED carry the unit of the parameter.
KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "normal": (("mean", "sd"), ()),
    "lognormal": ((), ("median", "cv", "omega")),
    "truncated_normal": (("mean", "sd"), ("low", "high")),
    "uniform": (("low", "high"), ()),
    "loguniform": (("low", "high"), ()),
    "logitnormal": (("median", "omega"), ("low", "high")),
    "empirical": (("values",), ("weights",)),
}
SCALED = ("median", "mean", "sd", "low", "high", "values")


def build_joint(
    tables: Mapping[str, DistributionTable], correlations: Sequence[CorrelationTable], model: AbstractModel, place: str
) -> Joint:
    """The joint distribution. Raises `ConfigError` naming the parameter."""
    marginals = {}
    for name, table in tables.items():
        with at(f"{place}, distributions, {name}"):
            marginals[name] = build_distribution(table, name, model)
    with at(f"{place}, correlations"):
        return Joint(marginals, {c.between: c.rho for c in correlations})


def build_distribution(table: DistributionTable, name: str, model: AbstractModel) -> AbstractDistribution:
    """One distribution, its numbers converted to the unit of the parameter."""
    given: dict[str, Any] = _given(table)
    model.parameter_index(name)
    declared = model.parameters[name]
    if "median" not in given and table.kind == "lognormal":
        if table.unit is not None:
            conversion(table.unit, declared.unit)  # scales nothing here, but a wrong unit is a mistake to be told
        given["median"] = declared.value
    else:
        factor = _factor(table, declared.unit)
        given = {k: _scaled(v, factor) if k in SCALED else v for k, v in given.items()}
    match table.kind:
        case "normal":
            return Normal(**given)
        case "lognormal":
            return _log_normal(given)
        case "truncated_normal":
            return TruncatedNormal(**given)
        case "uniform":
            return Uniform(**given)
        case "loguniform":
            return LogUniform(**given)
        case "logitnormal":
            return LogitNormal(**given)
        case _:
            return Empirical(**given)


def _given(table: DistributionTable) -> dict[str, Any]:
    needed, optional = KEYS[table.kind]
    given = {k: v for k, v in table.model_dump(exclude={"kind", "unit", "source"}).items() if v is not None}
    for key in needed:
        if key not in given:
            raise ConfigError(f"`{key}` is missing: {table.kind} needs {_listed(needed)}")
    for key in given:
        if key not in (*needed, *optional):
            raise ConfigError(f"`{key}` does not belong to {table.kind}, which takes {_listed((*needed, *optional))}")
    return given


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _factor(table: DistributionTable, declared: str) -> float:
    if table.unit is None and declared:
        raise ConfigError(
            f'`unit` is missing: the model declares this parameter in {declared}. Add unit = "{declared}", or the unit '
            "of your numbers"
        )
    return conversion(table.unit or "", declared)


def _scaled(value: Any, factor: float) -> Any:
    return [x * factor for x in value] if isinstance(value, list) else value * factor


def _log_normal(given: Mapping[str, float]) -> LogNormal:
    if ("cv" in given) == ("omega" in given):
        raise ConfigError("exactly one of `cv` (0.3 for 30 %) and `omega` (sd of the logarithm) must be given")
    if "cv" in given:
        return LogNormal(given["median"], given["cv"])
    return LogNormal.from_omega(given["median"], given["omega"])


def typical_values(joint: Joint, model: AbstractModel, place: str) -> None:
    """Raise `ConfigError` unless each median is the model's typical value: draws over it become factors."""
    for name, marginal in joint.marginals.items():
        centre, typical = float(marginal.quantile(0.5)), model.parameters[name].value
        if not math.isclose(centre, typical, rel_tol=0.05):
            raise ConfigError(
                f"{place}, distributions, {name}: the median is {centre:g}, but the model's typical value is "
                f"{typical:g}. Leave `median` out of a lognormal to centre it there."
            )
