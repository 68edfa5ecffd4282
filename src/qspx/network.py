"""Models built from data: species, reactions with rate laws, and binding rules that enumerate complexes.

The right-hand side is evaluated on vectors: mass-action rates are gathered products, and the stoichiometry is one
matrix, so that a network of a hundred reactions stays a handful of array operations.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspx._errors import ModelError, closest
from qspx._network_plan import Plan
from qspx.binding import Binding
from qspx.model import AbstractModel, Lint, Observable, Parameter, Published, Species
from qspx.reaction import MassAction, Reaction, binding_reactions, constant_text, rate_constant
from qspx.units import Unit, unit
from qspx.values import Values, stack


class Network(AbstractModel):
    """A model from data. See `Reaction` and `Binding`; `observable_functions` are {name: (Observable, f(t, y, p))},
    where `y` also holds the free sites of the binding rules. `tracked` names the parts (see `Species.parts`) for which
    the observables `amount_<part>` and `elimination_<part>` (a rate) are added.

    Raises `ModelError` for unknown names, broken mass balance or valency (unless the reaction carries a `deviation`),
    and `UnitError` for rates, sites, initial values or observables whose units do not fit.
    """

    label: str
    own_species: Mapping[str, Species]
    own_parameters: Mapping[str, Parameter]
    reactions: tuple[Reaction, ...] = ()
    bindings: tuple[Binding, ...] = ()
    initial_functions: Mapping[str, Callable[[Values], Any]] = dataclasses.field(default_factory=dict)
    observable_functions: Mapping[str, tuple[Observable, Callable]] = dataclasses.field(default_factory=dict)
    tracked: tuple[str, ...] = ()
    time: str = "day"
    mass_parameter: str | None = None
    weight_parameter: str | None = None
    reference: str = ""
    published_numbers: tuple[Published, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "time_unit", self.time)
        object.__setattr__(self, "molar_mass", self.mass_parameter)
        object.__setattr__(self, "body_weight", self.weight_parameter)
        object.__setattr__(self, "citation", self.reference)
        object.__setattr__(self, "published", self.published_numbers)
        self._check_names()
        self._check_declarations()
        self.check_units()
        self._check_returned()
        if errors := [x for x in self.lints() if not x.deviation and x.rule in ("mass balance", "valency")]:
            raise ModelError(f"{self.label}: " + "; ".join(map(str, errors[:5])))

    @property
    def name(self) -> str:
        return self.label

    # declarations -----------------------------------------------------------------------------------------------

    @functools.cached_property
    def species(self) -> dict[str, Species]:
        found = dict(self.own_species)
        for b in self.bindings:
            if b.ligand not in found:
                raise ModelError(
                    f"binding in `{b.compartment}`: ligand `{b.ligand}` is not a species.{closest(b.ligand, found)}"
                )
            free = found[b.ligand]
            for c in b.complexes():
                parts = dict(free.parts) | dict.fromkeys(sorted(c), 1)
                if b.species_name(c) in found:
                    raise ModelError(
                        f"binding in `{b.compartment}` makes species `{b.species_name(c)}`, but there is one "
                        f"of that name; rename the species, the compartment or a site."
                    )
                found[b.species_name(c)] = Species(free.unit, b.meaning(c), free.volume, parts=parts)
        return found

    @functools.cached_property
    def parameters(self) -> dict[str, Parameter]:
        return dict(self.own_parameters)

    @functools.cached_property
    def sites(self) -> dict[str, tuple[Binding, str]]:
        """Free sites by name: (binding, site label)."""
        return {b.site_name(s.name): (b, s.name) for b in self.bindings for s in b.sites}

    @functools.cached_property
    def outputs(self) -> dict[str, Observable]:
        declared = {k: o for k, (o, _) in self.observable_functions.items()}
        for part in self.tracked:
            if not any(part in s.parts for s in self.species.values()):
                known = sorted({k for s in self.species.values() for k in s.parts})
                raise ModelError(
                    f"Argument `tracked` names part `{part}`, which no species of {self.label} holds; the "
                    f"parts are {known}.{closest(part, known)}"
                )
            amount = self._amount_unit(next(k for k, s in self.species.items() if part in s.parts))
            declared[f"amount_{part}"] = Observable(amount.text, f"{part} in all species")
            declared[f"elimination_{part}"] = Observable((amount / unit(self.time)).text, f"{part} leaving the model")
        return declared | {k: Observable(s.unit, s.meaning) for k, s in self.species.items()}

    def _declared(self, kind: type) -> dict[str, Any]:
        if kind is Observable:
            return {k: o for k, o in self.outputs.items() if k not in self.species}
        return dict(self.species if kind is Species else self.parameters)

    @functools.cached_property
    def all_reactions(self) -> tuple[Reaction, ...]:
        """The given reactions and those that the binding rules generate (forward, reverse, loss)."""
        return self.reactions + tuple(r for b in self.bindings for r in binding_reactions(b))

    def _check_names(self) -> None:
        known = {**self.species, **self.sites}
        for site in self.sites:
            if site in self.species or site in self.parameters:
                raise ModelError(
                    f"free site `{site}` of {self.label} has the name of a species or parameter; rename it."
                )
        for name in self.initial_functions:
            if name not in self.species:
                raise ModelError(
                    f"Argument `initial_functions` names `{name}`, which is not a species of {self.label}."
                    f"{closest(name, self.species)}"
                )
        names = [r.name for r in self.all_reactions]
        if twice := [n for n in names if names.count(n) > 1]:
            raise ModelError(f"two reactions of {self.label} are called `{twice[0]}`; names must be unique.")
        for r in self.all_reactions:
            for s in (*r.reactants, *r.products):
                if s not in known:
                    raise ModelError(
                        f"reaction `{r.name}`: `{s}` is neither a species nor a free site.{closest(s, known)}"
                    )

    # the right-hand side ------------------------------------------------------------------------------------------

    @functools.cached_property
    def _plan(self) -> Plan:
        return Plan.of(self)

    def _extended(self, y, theta):
        """States, then free sites, then one: shape (species + sites + 1,)."""
        plan, p = self._plan, self.values_of(theta)
        one = jnp.ones_like(y[:1])
        if not plan.site_totals:
            return jnp.concatenate([y, one])
        free = stack([total(p) for total in plan.site_totals], y) - jnp.asarray(plan.occupancy, y.dtype) @ y
        return jnp.concatenate([y, free, one])

    def _rates_of_reactions(self, t, y, theta):
        plan, p = self._plan, self.values_of(theta)
        x = self._extended(y, theta)
        parts = []
        if plan.constants:
            k = stack([rate_constant(c, p) for c in plan.constants], y)[plan.constant_index]
            parts.append(k * x[plan.factor_1] * x[plan.factor_2])
        if plan.laws:
            named = Values(plan.extended_index, x, "species or free site")
            parts.append(stack([law(t, named, p) for law in plan.laws], y))
        return jnp.concatenate(parts) if parts else jnp.zeros(0, y.dtype)

    def rates_vector(self, t, y, theta):
        plan, p = self._plan, self.values_of(theta)
        v = self._rates_of_reactions(t, y, theta)
        volumes = stack([p[name] if name else 1.0 for name in plan.volumes], y)
        split = jnp.asarray(plan.by_concentration, y.dtype) @ v
        return split + (jnp.asarray(plan.by_amount, y.dtype) @ v) / volumes

    def rates(self, t, y, p):
        names, like = list(self.species), p[next(iter(self.parameters))]
        dy = self.rates_vector(t, stack([y[k] for k in names], like), stack([p[k] for k in self.parameters], like))
        return {k: dy[i] for i, k in enumerate(names)}

    def initial(self, p):
        return {k: f(p) for k, f in self.initial_functions.items()}

    def observables_vector(self, t, y, theta, names: Sequence[str]):
        index, p = self._index[0], self.values_of(theta)
        sites = any(self._reads_sites(n) for n in names)
        vector = self._extended(y, theta) if sites else y
        named = Values(self._plan.extended_index if sites else index, vector, "species or free site")
        return stack([y[index[n]] if n in index else self._observable(n, t, y, theta, named, p) for n in names], y)

    @functools.cached_property
    def _site_readers(self) -> frozenset[str]:
        """Observables that read a free site: only they need the free sites computed."""
        found = set()
        for name, (_, f) in self.observable_functions.items():
            named = Values(self._plan.extended_index, np.ones(len(self._plan.extended_index)), "species or free site")
            f(np.float64(1.0), named, self.values_of(self.theta))
            if named.accessed & set(self.sites):
                found.add(name)
        return frozenset(found)

    def _reads_sites(self, name: str) -> bool:
        return name in self._site_readers

    def _observable(self, name, t, y, theta, named, p):
        if name in self.observable_functions:
            return self.observable_functions[name][1](t, named, p)
        kind, part = name.split("_", 1)
        plan = self._plan
        if kind == "amount":
            return sum(n * y[i] * (p[volume] if volume else 1.0) for i, n, volume in plan.holders[part])
        v = self._rates_of_reactions(t, y, theta)
        return sum(n * v[i] * (p[volume] if volume else 1.0) for i, n, volume in plan.losses[part])

    # checks -------------------------------------------------------------------------------------------------------

    def _amount_unit(self, species: str) -> Unit:
        s = self.species[species]
        return unit(s.unit) * unit(self.parameters[s.volume].unit) if s.volume else unit(s.unit)

    def check_units(self) -> None:
        from qspx._network_units import check_network_units

        check_network_units(self)

    def lints(self) -> list[Lint]:
        """Mass balance and valency of every reaction, parameters that nothing reads, and a note on the species for
        which mass balance cannot be checked because they have no `parts`."""
        found = [lint for r in self.all_reactions for lint in (*self._balance(r), *self._valency(r))]
        return found + self._unchecked() + self._unused()

    def _parts(self, side: Mapping[str, int]) -> dict[str, int]:
        total: dict[str, int] = {}
        for name, count in side.items():
            parts = {self.sites[name][1]: 1} if name in self.sites else self.species[name].parts
            for part, n in parts.items():
                total[part] = total.get(part, 0) + n * count
        return total

    def _balance(self, r: Reaction) -> list[Lint]:
        before, after = self._parts(r.reactants), self._parts(r.products)
        if r.elimination or before == after:
            return []
        change = {k: after.get(k, 0) - before.get(k, 0) for k in sorted({*before, *after})}
        message = ", ".join(f"{n:+d} {k}" for k, n in change.items() if n)
        return [Lint("mass balance", r.name, f"does not conserve its parts ({message})", r.deviation)]

    def _unchecked(self) -> list[Lint]:
        bare = {k for k, s in self.species.items() if not s.parts}
        held = {r.name: bare & {*r.reactants, *r.products} for r in self.all_reactions if not r.elimination}
        names = [name for name, species in held.items() if species]
        if not names:
            return []
        where = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        species = [k for k in self.species if any(k in x for x in held.values())]
        return [Lint("mass balance not checked", where, f"species without `parts`: {', '.join(species)}", note=True)]

    def _valency(self, r: Reaction) -> list[Lint]:
        found = []
        for b in self.bindings:
            held = {b.species_name(c): c for c in b.complexes()}
            sites = [s for x in r.reactants if x in held for s in held[x]]
            sites += [self.sites[x][1] for x in r.reactants if x in self.sites and self.sites[x][0] is b]
            arms = [b.arm_of(s).name for s in sites]
            found += [
                Lint("valency", r.name, f"uses arm {a} {arms.count(a)} times", r.deviation)
                for a in sorted(set(arms))
                if arms.count(a) > 1
            ]
        return found

    def _unused(self) -> list[Lint]:
        plan, p = self._plan, self.values_of(self.theta)
        self.initial(p)
        named = Values(plan.extended_index, np.ones(len(plan.extended_index)), "species or free site")
        for c in plan.constants:
            rate_constant(c, p)
        for f in (*plan.laws, *(f for _, f in self.observable_functions.values())):
            f(np.float64(1.0), named, p)
        for total in plan.site_totals:
            total(p)
        roles = {self.molar_mass, self.body_weight}
        roles |= {r for s in self.species.values() for r in (s.volume, s.bioavailability, s.lag)}
        unused = [k for k in self.parameters if k not in p.accessed and k not in roles]
        return [Lint("unused parameter", k, "no rate, site, initial value or observable reads it") for k in unused]

    def reaction_table(self):
        """Reactions as a DataFrame: name, equation, rate law, kind."""
        import pandas as pd

        def side(x: Mapping[str, int]) -> str:
            return " + ".join(k if n == 1 else f"{n} {k}" for k, n in x.items()) or "∅"

        rows = []
        for r in self.all_reactions:
            law = f"mass action, {constant_text(r.rate.k)}" if isinstance(r.rate, MassAction) else "rate law"
            rows.append([r.name, f"{side(r.reactants)} → {side(r.products)}", law, r.per, r.deviation])
        return pd.DataFrame(rows, columns=["name", "reaction", "rate", "per", "deviation"])
