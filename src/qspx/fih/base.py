"""What every starting-dose method takes and gives: `DoseContext` in, `DoseEstimate` out.

One record for all methods, so that estimates can be put side by side: a dose means little without the body weight,
molar mass, matched analyte, exposure model and inputs that it came from, so all of them travel with it.
"""

from __future__ import annotations

import abc
import dataclasses
import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._errors import DoseError
from ._checks import number, one_of, positive

if TYPE_CHECKING:
    import jax

ANALYTES = ("free", "total", "not applicable")
APPLIES_TO = ("single dose", "first injection", "target dose")
MODALITIES = ("CD3_engager", "mab", "small_molecule", "other")


@dataclass(frozen=True)
class Input:
    """One number (or word) that a dose estimate used, with its unit and where it came from."""

    name: str
    value: float | str
    unit: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            raise DoseError("Argument `name` must name the input, but is empty.")
        if not isinstance(self.value, str):
            object.__setattr__(self, "value", number(f"value of {self.name}", self.value))

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else f"{self.value:.6g}"
        return f"{self.name} = {value} {self.unit}".rstrip() + (f" ({self.source})" if self.source else "")


@dataclass(frozen=True)
class DoseEstimate:
    """A human starting dose by one method, with everything needed to judge it.

    `dose_ug_per_kg` in ug/kg (never mg/kg); `body_weight_kg` is the weight that turns it into `dose_flat_ug`.
    `interval` holds the 5, 50 and 95 % points of the dose in ug/kg. `applies_to` says whether the number is a single
    dose, the first injection of a fractionated cycle, or the target dose of that cycle. `decision_relevant=False`
    means: shown for context, must neither set nor raise the recommended dose.

    Raises `DoseError` for a dose or body weight that is not positive and finite, an interval out of order, or an
    unknown `analyte` or `applies_to`.
    """

    method: str
    family: str
    dose_ug_per_kg: float
    body_weight_kg: float
    route: str
    regimen: str
    applies_to: str
    analyte: str
    target_level: str
    pk_model: str
    limiting_criterion: str
    safety_factor: float = 1.0
    molar_mass_g_per_mol: float | None = None
    interval: tuple[float, float, float] | None = None
    decision_relevant: bool = True
    inputs: tuple[Input, ...] = ()
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("method", "family"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise DoseError(f"Argument `{name}` must be a text that is not empty, but is {getattr(self, name)!r}.")
        for name in ("dose_ug_per_kg", "body_weight_kg", "safety_factor"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        if self.molar_mass_g_per_mol is not None:
            positive("molar_mass_g_per_mol", self.molar_mass_g_per_mol)
        one_of("analyte", self.analyte, ANALYTES)
        one_of("applies_to", self.applies_to, APPLIES_TO)
        object.__setattr__(self, "interval", _ordered(self.interval))
        for name in ("inputs", "assumptions", "notes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def dose_flat_ug(self) -> float:
        """The dose in ug at `body_weight_kg`."""
        return self.dose_ug_per_kg * self.body_weight_kg

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `json.dumps` takes; `from_dict` reads it back."""
        data = dataclasses.asdict(self)
        data["interval"] = None if self.interval is None else list(self.interval)
        data["inputs"] = [dataclasses.asdict(item) for item in self.inputs]
        data["assumptions"], data["notes"] = list(self.assumptions), list(self.notes)
        data["dose_flat_ug"] = self.dose_flat_ug
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DoseEstimate:
        """Rebuild an estimate from `to_dict()`."""
        fields = {key: value for key, value in data.items() if key != "dose_flat_ug"}
        fields["inputs"] = tuple(Input(**item) for item in fields.get("inputs", ()))
        for name in ("interval", "assumptions", "notes"):
            if fields.get(name) is not None:
                fields[name] = tuple(fields[name])
        return cls(**fields)

    def _rows(self) -> list[tuple[str, str]]:
        interval = "" if self.interval is None else " / ".join(f"{x:.4g}" for x in self.interval) + " µg/kg"
        rows = [
            ("method", f"{self.method} [{self.family}]"),
            ("dose", f"{self.dose_ug_per_kg:.4g} µg/kg = {self.dose_flat_ug:.4g} µg at {self.body_weight_kg:g} kg"),
            ("5 / 50 / 95 %", interval),
            ("applies to", f"{self.applies_to}; {self.route}; {self.regimen}"),
            ("matched", f"{self.target_level}; analyte: {self.analyte}"),
            ("exposure model", self.pk_model),
            ("limited by", self.limiting_criterion),
            ("safety factor", f"{self.safety_factor:g}"),
            ("molar mass", "" if self.molar_mass_g_per_mol is None else f"{self.molar_mass_g_per_mol:g} g/mol"),
            ("decision relevant", "yes" if self.decision_relevant else "no: shown for context only"),
        ]
        rows += [("input", str(item)) for item in self.inputs]
        rows += [("assumption", text) for text in self.assumptions]
        rows += [("note", text) for text in self.notes]
        return [(name, value) for name, value in rows if value]

    def __str__(self) -> str:
        rows = self._rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def _repr_html_(self) -> str:
        body = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in self._rows()
        )
        return f"<table>{body}</table>"


def _ordered(interval: Any) -> tuple[float, float, float] | None:
    if interval is None:
        return None
    points = tuple(positive("interval", point) for point in interval)
    if len(points) != 3 or not points[0] <= points[1] <= points[2]:
        raise DoseError(
            f"Argument `interval` must hold the 5, 50 and 95 % points of the dose in rising order, but is {points}."
        )
    return points


@dataclass(frozen=True, kw_only=True)
class DoseContext:
    """What is common to all methods of one comparison.

    `molar_mass_g_per_mol` links molar potencies to doses by mass; give its source, because the dose is proportional
    to it. `modality` switches the advice for CD3 engagers on. `model`, `population`, `escalation`, `integrator`,
    `key`, `responses` (metric against dose over the population, simulated once for all methods) and `uncertainty` (of
    the typical parameter values) serve methods that simulate; closed-form methods do not read them.
    """

    body_weight_kg: float = 70.0
    molar_mass_g_per_mol: float | None = None
    molar_mass_source: str = ""
    modality: str = "other"
    model: Any = None
    population: Any = None
    escalation: Any = None
    integrator: Any = None
    key: jax.Array | int | None = None
    responses: Any = None
    uncertainty: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "body_weight_kg", positive("body_weight_kg", self.body_weight_kg))
        if self.molar_mass_g_per_mol is not None:
            positive("molar_mass_g_per_mol", self.molar_mass_g_per_mol)
        one_of("modality", self.modality, MODALITIES)

    def molar_mass(self) -> float:
        """The molar mass in g/mol; `DoseError` when it was not given."""
        if self.molar_mass_g_per_mol is None:
            raise DoseError(
                "This method turns nmol into µg and needs a molar mass, but the context has none. "
                "Give `DoseContext(molar_mass_g_per_mol=..., molar_mass_source=...)`."
            )
        return self.molar_mass_g_per_mol

    def ug_per_kg(self, amount_nmol: float) -> float:
        """Dose in ug/kg of `amount_nmol` at the body weight and molar mass of this context."""
        # nmol * g/mol = ng, hence the factor 1000
        return amount_nmol * self.molar_mass() / 1000.0 / self.body_weight_kg

    def nmol(self, dose_ug_per_kg: float) -> float:
        """Amount in nmol of a dose in ug/kg."""
        return dose_ug_per_kg * self.body_weight_kg * 1000.0 / self.molar_mass()

    def molar_mass_input(self) -> Input:
        """The molar mass as an [`Input`][qspx.fih.base.Input], with its source."""
        return Input("molar mass", self.molar_mass(), "g/mol", self.molar_mass_source or "source not stated")


class AbstractDoseMethod(abc.ABC):
    """A way to a starting dose. A final subclass is a frozen dataclass of its inputs with one method.

    A method that reads metric against dose over the population names the (schedule, endpoint) pairs it will ask
    `context.responses` for in `endpoints`, so that `compare_doses` can simulate those of all methods in one run.
    """

    def endpoints(self, context: DoseContext) -> tuple[tuple[Any, Any], ...]:
        """(regimen, summary) pairs that the method needs; none for a closed form."""
        return ()

    @abc.abstractmethod
    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        """The starting dose by this method. Raises `DoseError` when the context lacks what the method needs."""
