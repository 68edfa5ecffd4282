"""A model is structure: declarations of species, parameters and observables, and three functions of plain `jax.numpy`.

It holds no number that varies between subjects: parameters are a vector `theta` (one subject) or a matrix (a cohort),
in the order of the declarations.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import keyword
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

import jax
import numpy as np

from qspx._checks import mapping, number
from qspx._errors import ModelError, UnitError, closest
from qspx.declarations import Event, Lint, Observable, Parameter, Published, Species
from qspx.units import unit
from qspx.values import Values, stack

if TYPE_CHECKING:
    import pandas as pd

DOSE_ROLES = ("volume", "bioavailability", "lag", "duration", "rate")  # parameters that act on doses into a species
_TRACED = "Derivatives by parameters: give them to a cohort, Cohort(model, theta).with_parameters({...})."
RESERVED = {"keys", "accessed", "t", "_names", "_vector", "_cache", "_kind", "_elements"}


@dataclass_transform(frozen_default=True, eq_default=False)
class AbstractModel(abc.ABC):
    """Base of every model. Subclasses declare `Species`, `Parameter` and `Observable` as class attributes; annotated
    attributes become switches, i.e. fields of a frozen dataclass. Units are checked when the model is made.

    Raises `ModelError` or `UnitError` on construction if a declaration or the unit of a rate is wrong.
    """

    time_unit: ClassVar[str] = "day"
    molar_mass: ClassVar[str | None] = None
    body_weight: ClassVar[str | None] = None
    citation: ClassVar[str] = ""
    doi: ClassVar[str] = ""
    published: ClassVar[tuple[Published, ...]] = ()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name, declared in vars(cls).items():
            if isinstance(declared, Species | Parameter | Observable) and hasattr(AbstractModel, name):
                raise ModelError(
                    f"`{name}` of {cls.__name__} cannot name a {type(declared).__name__.lower()}, because "
                    f"every model has an attribute of that name; rename it."
                )
        own_init = "__init__" in cls.__dict__
        dataclasses.dataclass(frozen=True, eq=False, repr=False, init=not own_init)(cls)

    def __post_init__(self):
        self._check_declarations()
        self.check_units()
        self._check_returned()

    # what the user writes ---------------------------------------------------------------------------------------

    def initial(self, p: Values) -> Mapping[str, Any]:
        """Initial values by species; what is left out starts at zero."""
        return {}

    @abc.abstractmethod
    def rates(self, t: Any, y: Values, p: Values) -> Mapping[str, Any]:
        """Time derivatives by species; what is left out does not change."""

    def observables(self, t: Any, y: Values, p: Values) -> Mapping[str, Any]:
        """Values of the declared observables."""
        return {}

    def events(self, t: Any, y: Values, p: Values) -> Mapping[str, Event]:
        """What happens when conditions on time and states become true. Integrators of cohorts do not take it; see
        `qspx.simulate_events`."""
        return {}

    # declarations -----------------------------------------------------------------------------------------------

    def _declared(self, kind: type) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for cls in reversed(type(self).__mro__):
            found |= {k: v for k, v in vars(cls).items() if isinstance(v, kind)}
        return found

    @functools.cached_property
    def species(self) -> dict[str, Species]:
        return self._declared(Species)

    @functools.cached_property
    def parameters(self) -> dict[str, Parameter]:
        return self._declared(Parameter)

    @functools.cached_property
    def outputs(self) -> dict[str, Observable]:
        """Everything that can be asked for by name: the declared observables, then every species."""
        return self._declared(Observable) | {k: Observable(s.unit, s.meaning) for k, s in self.species.items()}

    @functools.cached_property
    def _index(self) -> tuple[dict[str, int], dict[str, int]]:
        return {k: i for i, k in enumerate(self.species)}, {k: i for i, k in enumerate(self.parameters)}

    @property
    def name(self) -> str:
        return type(self).__name__

    @functools.cached_property
    def theta(self) -> np.ndarray:
        """Typical parameter values, shape (parameters,), in the units of the declarations."""
        return np.array([p.value for p in self.parameters.values()], dtype=float)

    def theta_with(self, values: Mapping[str, float] | None = None) -> np.ndarray:
        """Typical values with some replaced, shape (parameters,)."""
        theta = self.theta.copy()
        for name, value in mapping({} if values is None else values, "parameters", ModelError).items():
            theta[self.parameter_index(name)] = number(value, f"parameters` for `{name}", ModelError, _TRACED)
        return theta

    def parameter_index(self, name: str) -> int:
        if name not in self.parameters:
            raise ModelError(f"model {self.name} has no parameter `{name}`.{closest(name, self.parameters)}")
        return self._index[1][name]

    def species_index(self, name: str) -> int:
        if name not in self.species:
            raise ModelError(f"model {self.name} has no species `{name}`.{closest(name, self.species)}")
        return self._index[0][name]

    def require_outputs(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names, after a check that each is an observable or a species."""
        for name in names:
            if name not in self.outputs:
                raise ModelError(
                    f"model {self.name} has no observable or species `{name}`.{closest(name, self.outputs)}"
                )
        return tuple(names)

    # vectors, for the integrators -------------------------------------------------------------------------------

    def values_of(self, theta) -> Values:
        return Values(self._index[1], theta, "parameter")

    def states_of(self, y) -> Values:
        return Values(self._index[0], y, "species")

    def _vector(self, named: Mapping[str, Any], function: str, like) -> jax.Array:
        unknown = [k for k in named if k not in self.species]
        if unknown:
            raise ModelError(
                f"`{function}` of {self.name} returned `{unknown[0]}`, which is not a species of the model."
                f"{closest(unknown[0], self.species)}"
            )
        return stack([named.get(k, 0.0) for k in self.species], like)

    def initial_vector(self, theta) -> jax.Array:
        """Initial states, shape (species,)."""
        return self._vector(self.initial(self.values_of(theta)), "initial", theta)

    def rates_vector(self, t, y, theta) -> jax.Array:
        """Time derivatives, shape (species,), per `time_unit`."""
        return self._vector(self.rates(t, self.states_of(y), self.values_of(theta)), "rates", y)

    def observables_vector(self, t, y, theta, names: Sequence[str]) -> jax.Array:
        """The named observables or species, shape (len(names),)."""
        computed: Mapping[str, Any] = {}
        if any(n not in self.species for n in names):
            computed = self.observables(t, self.states_of(y), self.values_of(theta))
        index = self._index[0]
        for n in names:
            if n not in computed and n not in index:
                raise ModelError(
                    f"`observables` of {self.name} does not return the declared observable `{n}`.{closest(n, computed)}"
                )
        return stack([computed[n] if n in computed else y[index[n]] for n in names], y)

    @property
    def has_events(self) -> bool:
        return type(self).events is not AbstractModel.events

    def events_vector(self, t, y, theta) -> jax.Array:
        """Per event in order: trigger (0 or 1), delay, priority, values assigned, factors; one flat vector."""
        flat: list[Any] = []
        for name, event in self.events(t, self.states_of(y), self.values_of(theta)).items():
            if unknown := [k for k in (*event.assign, *event.factors) if k not in self.species]:
                raise ModelError(
                    f"event `{name}` of {self.name} changes `{unknown[0]}`, which is not a species of the model."
                    f"{closest(unknown[0], self.species)}"
                )
            flat += [event.trigger, event.delay, event.priority, *event.assign.values(), *event.factors.values()]
        return stack(flat, y)

    # checks -----------------------------------------------------------------------------------------------------

    def _check_declarations(self) -> None:
        for name in [*self.species, *self.parameters, *self.outputs]:
            if not name.isidentifier() or keyword.iskeyword(name) or name in RESERVED or name.startswith("__"):
                raise ModelError(f"`{name}` cannot name a species, parameter or observable of {self.name}; rename it.")
        for name in set(self.species) & set(self.parameters):
            raise ModelError(f"`{name}` is both a species and a parameter of {self.name}; rename one.")
        for name, s in self.species.items():
            for role in DOSE_ROLES:
                if (ref := getattr(s, role)) is not None and ref not in self.parameters:
                    raise ModelError(
                        f"species `{name}`: `{role}` names parameter `{ref}`, which {self.name} does not "
                        f"declare.{closest(ref, self.parameters)}"
                    )
                if ref is not None:
                    self.check_role(role, ref, f"species `{name}`")
        for role in ("molar_mass", "body_weight"):
            if (ref := getattr(self, role)) is not None and ref not in self.parameters:
                raise ModelError(
                    f"`{role}` of {self.name} names parameter `{ref}`, which is not declared."
                    f"{closest(ref, self.parameters)}"
                )
            if ref is not None:
                self.check_role(role, ref, self.name)
        for declared in (self.species, self.parameters, self.outputs):
            for d in declared.values():
                unit(d.unit)

    def check_role(self, role: str, name: str, where: str) -> None:
        """Raise `UnitError` unless the parameter's unit is one that the role can use (it is not converted later)."""
        declared = unit(self.parameters[name].unit)
        times = dict.fromkeys(("lag", "duration"), self.time_unit)
        needed = (times | {"bioavailability": "1", "molar_mass": "g/mol", "body_weight": "kg"}).get(role)
        if needed is None:
            return
        exact = role in (*times, "bioavailability")
        if not (declared == unit(needed) if exact else declared.same_dimension(unit(needed))):
            raise UnitError(
                f"{where}: `{role}` names parameter `{name}` in {declared}, but it must be in {needed}"
                f"{'' if exact else ' or a multiple of it'}."
            )

    def _check_returned(self) -> None:
        """Trace the three functions once, so that a name that is missing or not declared is found here."""
        y, theta = np.ones(len(self.species)), self.theta
        jax.eval_shape(self.initial_vector, theta)
        jax.eval_shape(self.rates_vector, 1.0, y, theta)
        jax.eval_shape(self.events_vector, 1.0, y, theta)
        jax.eval_shape(functools.partial(self.observables_vector, names=list(self.outputs)), 1.0, y, theta)

    def _units(self) -> tuple[Values, Values, str]:
        y = Values(list(self.species), [s.unit for s in self.species.values()], "species")
        p = Values(list(self.parameters), [s.unit for s in self.parameters.values()], "parameter")
        return y, p, self.time_unit

    def check_units(self) -> None:
        """Propagate units through `initial`, `rates` and `observables`; raise `UnitError` naming what does not fit."""
        from qspx._unit_check import check_units

        y, p, time = self._units()
        per_time = {k: unit(s.unit) / unit(time) for k, s in self.species.items()}
        declared = {k: unit(o.unit) for k, o in self.outputs.items()}
        check_units(self.rates, (time, y, p), per_time, f"rate of {self.name}")
        check_units(self.initial, (p,), {k: unit(s.unit) for k, s in self.species.items()}, f"initial of {self.name}")
        check_units(self.observables, (time, y, p), declared, f"observable of {self.name}")

    def lints(self) -> list[Lint]:
        """Structural findings: declared parameters that no function reads."""
        y, p, t = self.states_of(np.ones(len(self.species))), self.values_of(self.theta), np.float64(1.0)
        self.initial(p)
        self.rates(t, y, p)
        self.observables(t, y, p)
        self.events(t, y, p)
        roles = {self.molar_mass, self.body_weight}
        roles |= {r for s in self.species.values() for r in map(s.__getattribute__, DOSE_ROLES)}
        unused = [k for k in self.parameters if k not in p.accessed and k not in roles]
        return [Lint("unused parameter", k, "no function of the model reads it") for k in unused]

    @functools.cached_property
    def hash(self) -> str:
        """sha256 of the declarations and of the traced program (with its constants): equal hash, equal numbers."""
        from qspx._model_hash import model_hash

        return model_hash(self)

    def __hash__(self) -> int:
        return hash(self.hash)

    def __eq__(self, other) -> bool:
        return isinstance(other, AbstractModel) and self.hash == other.hash

    # views ------------------------------------------------------------------------------------------------------

    def _table(self, declared: Mapping[str, Any], columns: Sequence[str]) -> pd.DataFrame:
        import pandas as pd

        rows = [[k, *(getattr(d, c) for c in columns)] for k, d in declared.items()]
        return pd.DataFrame(rows, columns=["name", *columns])

    def species_table(self) -> pd.DataFrame:
        return self._table(self.species, ["unit", "meaning", "source"])

    def parameter_table(self) -> pd.DataFrame:
        return self._table(self.parameters, ["value", "unit", "meaning", "tag", "source"])

    def observable_table(self) -> pd.DataFrame:
        return self._table(self._declared(Observable), ["unit", "meaning"])

    def equations(self) -> list[tuple[str, str]]:
        """(species, LaTeX of dspecies/dt) for every species."""
        from qspx._latex import to_latex

        y, p, _ = self._units()
        symbols = (Values(list(y), list(y), "species"), Values(list(p), list(p), "parameter"))
        found = to_latex(self.rates, ("t", *symbols))
        return [(name, found[name]) for name in self.species if name in found]

    def published_table(self) -> pd.DataFrame:
        """Each published number beside the number computed here."""
        import pandas as pd

        rows = []
        for item in self.published:
            computed = float(item.compute(self))
            difference = computed / item.value - 1 if item.value else computed
            rows.append(
                [
                    item.name,
                    item.value,
                    computed,
                    item.unit,
                    difference,
                    item.rtol,
                    abs(difference) <= item.rtol,
                    item.source,
                ]
            )
        columns = ["name", "published", "computed", "unit", "relative_difference", "tolerance", "passed", "source"]
        return pd.DataFrame(rows, columns=columns)

    def __repr__(self) -> str:
        n = (len(self.species), len(self.parameters), len(self._declared(Observable)))
        return f"{self.name}({n[0]} species, {n[1]} parameters, {n[2]} observables; time in {self.time_unit})"

    def __str__(self) -> str:
        parts = [repr(self), self.citation]
        parts += [t.to_string(index=False) for t in (self.species_table(), self.parameter_table())]
        return "\n\n".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        tables = (self.species_table(), self.parameter_table(), self.observable_table())
        body = "".join(t.to_html(index=False, border=0) for t in tables if len(t))
        return f"<h4>{self.name}</h4><p>{self.citation}</p>{body}"

    def _repr_latex_(self) -> str:
        lines = [rf"\frac{{d\,{name}}}{{dt}} &= {latex}" for name, latex in self.equations()]
        return "$$\\begin{aligned}" + " \\\\ ".join(lines) + "\\end{aligned}$$"
