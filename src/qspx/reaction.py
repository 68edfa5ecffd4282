"""Reactions and their rate laws, and those that binding rules generate."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from qspx._errors import ModelError
from qspx.binding import Binding
from qspx.values import Values

Constant = str | Callable[[Any], Any] | tuple[str | Callable[[Any], Any], ...]


@dataclasses.dataclass(frozen=True)
class MassAction:
    """Rate law k * product of reactants. `k` is a parameter, a function k(p), or a tuple of them (their product)."""

    k: Constant


@dataclasses.dataclass(frozen=True)
class Reaction:
    """One reaction.

    Args:
        name: unique name, used in errors and lints.
        reactants, products: {species or free site: count}.
        rate: `MassAction`, or a function (t, y, p) of species, free sites and parameters.
        per: "amount": the rate is an amount per time and is divided by each species' `volume` where it has one;
            "concentration": all species share a compartment and the rate is a concentration per time.
        elimination: the reaction takes matter out of (or brings it into) the model on purpose.
        deviation: the reason why a departure from mass balance or valency is kept; empty means that it is an error.
    """

    name: str
    reactants: Mapping[str, int]
    products: Mapping[str, int]
    rate: MassAction | Callable[[Any, Values, Values], Any]
    per: str = "amount"
    elimination: bool = False
    deviation: str = ""

    def __post_init__(self):
        if self.per not in ("amount", "concentration"):
            raise ModelError(f"reaction `{self.name}`: `per` must be 'amount' or 'concentration', not {self.per!r}.")


def rate_constant(c: Constant, p: Values) -> Any:
    """Value of a rate constant for one subject."""
    factors: list[Any] = [f(p) if callable(f) else p[f] for f in (c if isinstance(c, tuple) else (c,))]
    return functools.reduce(lambda a, b: a * b, factors)


def constant_text(c: Constant) -> str:
    return " ".join("k(p)" if callable(f) else f for f in (c if isinstance(c, tuple) else (c,)))


def binding_reactions(b: Binding) -> list[Reaction]:
    found = []
    for tr in b.transitions():
        small, large, site = b.species_name(tr.smaller), b.species_name(tr.larger), b.site_name(tr.site)
        factors = tuple(
            b.cooperativity[tr.site, held] for held in sorted(tr.smaller) if (tr.site, held) in b.cooperativity
        )
        name = f"{small} + {site}"
        found.append(
            Reaction(
                f"{name} -> {large}",
                {small: 1, site: 1},
                {large: 1},
                MassAction((tr.arm.kon, *factors)),
                per="concentration",
            )
        )
        found.append(
            Reaction(
                f"{large} -> {name}", {large: 1}, {small: 1, site: 1}, MassAction(tr.arm.koff), per="concentration"
            )
        )
    for c in b.complexes():
        if (k := b.loss.get(b.label(c))) is not None:
            found.append(
                Reaction(
                    f"loss of {b.species_name(c)}",
                    {b.species_name(c): 1},
                    {},
                    MassAction(k),
                    per="concentration",
                    elimination=True,
                )
            )
    return found


def rate_law(r: Reaction) -> Callable:
    if not isinstance(r.rate, MassAction):
        return r.rate
    rate, reactants = r.rate, dict(r.reactants)

    def law(t, y, p):
        value = rate_constant(rate.k, p)
        for s, n in reactants.items():
            value = value * y[s] ** n
        return value

    return law
