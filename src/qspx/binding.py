"""Binding rules: arms with alternative sites on one ligand, enumerated into complexes and reversible transitions.

A ligand (a drug) has arms; each arm can hold one of its sites (a receptor on a cell, a soluble target). A complex is a
set of sites, at most one per arm. A transition adds one site to the free ligand or to a smaller complex.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from qspx._errors import ModelError, closest


@dataclasses.dataclass(frozen=True)
class BindingArm:
    """One arm: its sites, and its association and dissociation rate constants (a parameter name or a function of the
    parameters, e.g. `lambda p: p.koff_CD3 / p.KD_CD3`)."""

    name: str
    sites: tuple[str, ...]
    kon: str | Callable[[Any], Any]
    koff: str | Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class Site:
    """A site of one compartment. Its total concentration is constant (`total` is a function of the parameters), and
    what is free is the total less every complex that holds the site."""

    name: str
    total: Callable[[Any], Any]
    meaning: str = ""


@dataclasses.dataclass(frozen=True)
class Transition:
    """`smaller + site <-> larger`; complexes are frozensets of site labels, the empty set is the free ligand."""

    smaller: frozenset[str]
    site: str
    larger: frozenset[str]
    arm: BindingArm


@dataclasses.dataclass(frozen=True)
class Binding:
    """The binding network of one ligand in one compartment.

    Args:
        compartment: prefix of the names that are made (`bm` gives species `bm_4BP` and free sites `bm_free_4`).
        ligand: species name of the free ligand (a concentration).
        arms: the arms; a complex's label lists its sites in arm order.
        sites: totals of the sites present in this compartment; an arm's sites that are missing here are skipped.
        exclude: sets of sites that one ligand cannot hold at the same time.
        exclude_transitions: (smaller complex, added site) pairs that do not happen, e.g. (("P",), "b").
        loss: rate of loss of a complex, by label: a parameter name or a function of the parameters.
        cooperativity: {(site, held): parameter}: multiplies kon of `site` when the ligand already holds `held`.
    """

    compartment: str
    ligand: str
    arms: tuple[BindingArm, ...]
    sites: tuple[Site, ...]
    exclude: tuple[frozenset[str], ...] = ()
    exclude_transitions: tuple[tuple[tuple[str, ...], str], ...] = ()
    loss: Mapping[str, str | Callable[[Any], Any]] = dataclasses.field(default_factory=dict)
    cooperativity: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        known = [s for arm in self.arms for s in arm.sites]
        if len(set(known)) != len(known):
            raise ModelError(f"Argument `arms` must give each site to one arm, but a site occurs twice in {known}.")
        for s in self.sites:
            if s.name not in known:
                raise ModelError(
                    f"site `{s.name}` of compartment `{self.compartment}` belongs to no arm.{closest(s.name, known)}"
                )
        named = [("exclude", s) for sites in self.exclude for s in sites]
        named += [("exclude_transitions", s) for held, added in self.exclude_transitions for s in (*held, added)]
        named += [("cooperativity", s) for pair in self.cooperativity for s in pair]
        for argument, s in named:
            if s not in known:
                raise ModelError(f"Argument `{argument}` names site `{s}`, which belongs to no arm.{closest(s, known)}")
        labels = [self.label(c) for c in self.complexes()]
        if twice := [x for x in labels if labels.count(x) > 1]:
            raise ModelError(
                f"two complexes of compartment `{self.compartment}` are both called `{twice[0]}`; rename a site."
            )
        for label in self.loss:
            if label not in labels:
                raise ModelError(
                    f"Argument `loss` names complex `{label}`, which compartment `{self.compartment}` does "
                    f"not have.{closest(label, labels)}"
                )

    def _present(self, arm: BindingArm) -> tuple[str, ...]:
        here = {s.name for s in self.sites}
        return tuple(s for s in arm.sites if s in here)

    def arm_of(self, site: str) -> BindingArm:
        return next(arm for arm in self.arms if site in arm.sites)

    def label(self, complex_: frozenset[str]) -> str:
        """Sites in arm order: `4BP`."""
        return "".join(self._ordered(complex_))

    def _ordered(self, complex_: frozenset[str]) -> list[str]:
        return [s for arm in self.arms for s in arm.sites if s in complex_]

    def species_name(self, complex_: frozenset[str]) -> str:
        return f"{self.compartment}_{self.label(complex_)}" if complex_ else self.ligand

    def meaning(self, complex_: frozenset[str]) -> str:
        """What the complex holds: "C bound to CD3 on CD4 T cells and soluble BCMA"."""
        words = {s.name: s.meaning or f"site {s.name}" for s in self.sites}
        return f"{self.ligand} bound to {' and '.join(words[s] for s in self._ordered(complex_))}"

    def site_name(self, site: str) -> str:
        return f"{self.compartment}_free_{site}"

    def complexes(self) -> list[frozenset[str]]:
        """Every allowed complex, by size and then in arm order."""
        choices = itertools.product(*[(None, *self._present(arm)) for arm in self.arms])
        sets = [frozenset(s for s in choice if s is not None) for choice in choices]
        allowed = [c for c in sets if c and not any(x <= c for x in self.exclude)]
        order = [s for arm in self.arms for s in arm.sites]
        return sorted(allowed, key=lambda c: (len(c), [order.index(s) for s in sorted(c, key=order.index)]))

    def transitions(self) -> list[Transition]:
        """Every reversible transition between allowed complexes."""
        allowed = {frozenset(), *self.complexes()}
        excluded = {(frozenset(c), s) for c, s in self.exclude_transitions}
        found = []
        for larger in self.complexes():
            for site in sorted(larger, key=self.label(larger).index):
                smaller = larger - {site}
                if smaller in allowed and (smaller, site) not in excluded:
                    found.append(Transition(smaller, site, larger, self.arm_of(site)))
        return found
