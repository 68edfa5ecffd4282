"""Data that the weights have not seen: an arm, a time or an output that no target speaks of, and how near it is met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from qspx.vpop.diagnostics import law_distances, split_noise
from qspx.vpop.laws import AbstractLaw
from qspx.vpop.outputs import PopulationError
from qspx.vpop.population import VirtualPopulation
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.subgroups import Given
from qspx.vpop.targets import AbstractTarget

HeldOut: TypeAlias = Mapping[str, AbstractTarget | Sequence[AbstractTarget]]


def held_out_targets(problem: PopulationProblem, held_out: HeldOut) -> dict[str, tuple[AbstractTarget, ...]]:
    """By name, each as a tuple of targets.

    Raises:
        PopulationError: if an output is not simulated, or a target of the problem speaks of it.
    """
    found: dict[str, tuple[AbstractTarget, ...]] = {}
    used = {n for t in problem.targets for n in _told(t)}
    for name, given in held_out.items():
        targets = (given,) if isinstance(given, AbstractTarget) else tuple(given)
        if not targets or not all(isinstance(t, AbstractTarget) for t in targets):
            raise PopulationError(
                f"held out `{name}` must be a target (Rows, LogNormalLaw, MeanSd, Quantiles, ...) or several, but "
                f"{[type(t).__name__ for t in targets]} was given."
            )
        outputs = {n for t in targets for n in _told(t)}
        known = {*problem.simulator.names, *problem.simulator.model.parameters}
        if missing := sorted({n for t in targets for n in t.names} - known | outputs - set(problem.simulator.names)):
            raise PopulationError(
                f"held out `{name}`: the simulator does not compute {missing}; it computes {problem.simulator.names}."
            )
        if seen := sorted(outputs & used):
            raise PopulationError(
                f"held out `{name}` speaks of {seen}, and so does a target of the problem: it is fitted, not held out."
            )
        found[name] = targets
    return found


def _told(target: AbstractTarget) -> set[str]:
    """Outputs that a target says something of; not what only says who is in a subgroup."""
    return {n for t in target.targets for n in _told(t)} if isinstance(target, Given) else {*target.names}


def held_out_scores(vpop: VirtualPopulation, name: str, targets: Sequence[AbstractTarget]) -> dict[str, float]:
    """Columns `...[name]`. Of a law: `ks_sum`, `energy` (and whitened), `mean_error` and `sd_error` (largest over
    outputs, of standardised logarithms). Of summaries: `feature_error`, the largest difference of a share, or of a mean
    in standard deviations, and `missed`, how many features are not reached (`VirtualPopulation.target_table`)."""
    row: dict[str, float] = {}
    summaries = [t for t in targets if not isinstance(t, AbstractLaw)]
    for law in (t for t in targets if isinstance(t, AbstractLaw)):
        place = name if len(targets) == 1 else f"{name}: {', '.join(law.names)}"
        keep = vpop.weights > 0
        found = law_distances(law, vpop.outputs.columns(law.names)[keep], vpop.weights[keep])
        keys = ("ks_sum", "energy", "energy_white", "mean_error", "sd_error")
        row |= {f"{key}[{place}]": found[key] for key in keys}
    if summaries:
        table = VirtualPopulation(vpop.outputs, vpop.weights, tuple(summaries)).target_table()
        row[f"feature_error[{name}]"] = float(np.abs(table["achieved"] - table["target"]).max())
        row[f"missed[{name}]"] = table["reached"].tolist().count(False)
    return row


def noise_levels(named: Mapping[str, AbstractTarget | Sequence[AbstractTarget]]) -> dict[str, float]:
    """How far two halves of the people are from each other, for every law: columns `ks_noise[...]`,
    `energy_noise[...]` and `energy_white_noise[...]`. A population nearer than that fits as well as can be told."""
    row: dict[str, float] = {}
    for name, given in named.items():
        targets = (given,) if isinstance(given, AbstractTarget) else tuple(given)
        for law in (t for t in targets if isinstance(t, AbstractLaw)):
            place = name if len(targets) == 1 else f"{name}: {', '.join(law.names)}"
            row |= {f"{key}[{place}]": value for key, value in split_noise(law).items()}
    return row
