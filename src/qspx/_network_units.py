"""Unit check of a `Network`, reaction by reaction, so that an error names the reaction and both units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qspx._errors import UnitError
from qspx._unit_check import check_units
from qspx.reaction import Reaction, rate_law
from qspx.units import Unit, unit
from qspx.values import Values

if TYPE_CHECKING:
    from qspx.network import Network


def check_network_units(m: Network) -> None:
    p = Values(list(m.parameters), [x.unit for x in m.parameters.values()], "parameter")
    units = {k: s.unit for k, s in m.species.items()}
    units |= {name: m.species[b.ligand].unit for name, (b, _) in m.sites.items()}
    y = Values(list(units), list(units.values()), "species or free site")
    for r in m.all_reactions:
        law = rate_law(r)
        check_units(
            lambda t, y, p, law=law: {"rate": law(t, y, p)},
            (m.time, y, p),
            {"rate": _expected(m, r)},
            f"reaction `{r.name}` of {m.label}",
        )
    for b in m.bindings:
        for s in b.sites:
            check_units(
                lambda p, s=s: {s.name: s.total(p)},
                (p,),
                {s.name: unit(m.species[b.ligand].unit)},
                f"total of site, compartment `{b.compartment}` of {m.label}",
            )
    check_units(m.initial, (p,), {k: unit(s.unit) for k, s in m.species.items()}, f"initial of {m.label}")
    for name, (declared, f) in m.observable_functions.items():
        check_units(
            lambda t, y, p, f=f, name=name: {name: f(t, y, p)},
            (m.time, y, p),
            {name: unit(declared.unit)},
            f"observable of {m.label}",
        )


def _expected(m: Network, r: Reaction) -> Unit:
    """Unit that the rate must have; all species of the reaction must agree on it."""
    time = unit(m.time)
    found = {}
    for s in (*r.reactants, *r.products):
        own = unit(m.species[m.sites[s][0].ligand if s in m.sites else s].unit)
        found[s] = (m._amount_unit(s) if r.per == "amount" and s in m.species else own) / time
    first, *rest = found.items()
    for name, u in rest:
        if u != first[1]:
            raise UnitError(
                f"reaction `{r.name}` of {m.label}: `{first[0]}` needs a rate in {first[1]}, but `{name}` "
                f"needs {u}. Give species their `volume`, or set per='concentration'."
            )
    return first[1]
