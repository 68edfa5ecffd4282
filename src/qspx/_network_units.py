"""Unit check of a `Network`, reaction by reaction, so that an error names the reaction and both units."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qspx._errors import UnitError
from qspx._unit_check import check_units, infer_units
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
        _check_rate(m, r, (m.time, y, p))
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


def _check_rate(m: Network, r: Reaction, arguments: tuple) -> None:
    law, expected = rate_law(r), _expected(m, r)

    def rate(t, y, p):
        return {"rate": law(t, y, p)}

    try:
        check_units(rate, arguments, {"rate": expected}, f"reaction `{r.name}` of {m.label}")
    except UnitError as error:
        if hint := _volume_hint(m, r, rate, arguments, expected):
            raise UnitError(f"{error}; {hint}") from None
        raise


def _volume_hint(m: Network, r: Reaction, rate: Callable, arguments: tuple, expected: Unit) -> str:
    """What to do about a rate that is a concentration per time where an amount per time is needed, or ""."""
    volumes = {m.species[s].volume for s in (*r.reactants, *r.products) if s in m.species}
    if r.per != "amount":
        return ""
    try:
        found = infer_units(rate, arguments)["rate"]
    except UnitError:
        return ""
    if not any(v and found * unit(m.parameters[v].unit) == expected for v in volumes):
        return ""
    # between compartments only amounts are conserved
    return f"{'set per=' + repr('concentration') + ', or ' if len(volumes) == 1 else ''}multiply by the volume"


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
