"""Index arrays for the right-hand side of a `Network`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from qspx.reaction import Constant, MassAction, Reaction, rate_law

if TYPE_CHECKING:
    from qspx.network import Network


@dataclasses.dataclass(frozen=True)
class Plan:
    """Index arrays of the right-hand side: mass-action reactions first, then general rate laws."""

    extended_index: dict[str, int]
    site_totals: tuple[Callable, ...]
    occupancy: np.ndarray  # (sites, species)
    constants: tuple[Constant, ...]
    constant_index: np.ndarray
    factor_1: np.ndarray
    factor_2: np.ndarray
    laws: tuple[Callable, ...]
    by_amount: np.ndarray  # (species, reactions)
    by_concentration: np.ndarray
    volumes: tuple[str | None, ...]
    holders: dict[str, list[tuple[int, int, str | None]]]
    losses: dict[str, list[tuple[int, int, str | None]]]

    @classmethod
    def of(cls, m: Network) -> Plan:
        species = {k: i for i, k in enumerate(m.species)}
        index = {k: i for i, k in enumerate([*m.species, *m.sites])}
        one = len(index)
        fast = [r for r in m.all_reactions if isinstance(r.rate, MassAction) and sum(r.reactants.values()) <= 2]
        slow = [r for r in m.all_reactions if not any(r is f for f in fast)]
        factors = [[index[s] for s, n in r.reactants.items() for _ in range(n)] for r in fast]
        constants = list(dict.fromkeys(r.rate.k for r in fast))  # type: ignore[union-attr]
        reactions = fast + slow
        stoichiometry = {kind: np.zeros((len(species), len(reactions))) for kind in ("amount", "concentration")}
        for j, r in enumerate(reactions):
            for side, sign in ((r.reactants, -1), (r.products, 1)):
                for s, n in side.items():
                    if s in species:
                        stoichiometry[r.per][species[s], j] += sign * n
        volumes = tuple(s.volume for s in m.species.values())
        return cls(
            extended_index=index,
            site_totals=tuple(s.total for b in m.bindings for s in b.sites),
            occupancy=_occupancy(m, species),
            constants=tuple(constants),
            constant_index=np.array([constants.index(r.rate.k) for r in fast], dtype=int),  # type: ignore[union-attr]
            factor_1=np.array([f[0] if f else one for f in factors], dtype=int),
            factor_2=np.array([f[1] if len(f) > 1 else one for f in factors], dtype=int),
            laws=tuple(rate_law(r) for r in slow),
            by_amount=stoichiometry["amount"],
            by_concentration=stoichiometry["concentration"],
            volumes=volumes,
            holders={
                part: [(species[k], s.parts[part], s.volume) for k, s in m.species.items() if part in s.parts]
                for part in m.tracked
            },
            losses={part: _losses(m, reactions, part) for part in m.tracked},
        )


def _occupancy(m: Network, species: dict[str, int]) -> np.ndarray:
    matrix = np.zeros((len(m.sites), len(species)))
    for row, (b, site) in enumerate(m.sites.values()):
        for c in b.complexes():
            matrix[row, species[b.species_name(c)]] = float(site in c)
    return matrix


def _losses(m: Network, reactions: Sequence[Reaction], part: str) -> list[tuple[int, int, str | None]]:
    """(reaction, parts lost, volume that turns its rate into an amount per time)."""
    found = []
    for j, r in enumerate(reactions):
        lost = m._parts(r.reactants).get(part, 0) - m._parts(r.products).get(part, 0)
        if lost and r.elimination:
            volumes = [m.species[s].volume for s in (*r.reactants, *r.products) if s in m.species]
            found.append((j, lost, volumes[0] if r.per == "concentration" else None))
    return found
