"""Starting doses by every method, in a system: what each assumes, in one list."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from killing import PAPER
from populations import BETTS

import qspx
from qspx import fih

HOURS = 14 * 24.0  # the IV interval of the trial
IV = qspx.Regimen.single(1.0, "ug/kg", "A")
PLASMA = 2.81  # L, Menon 2026
STARTED, RESPONDED = 0.3, 38.4  # µg/kg IV: first dose of the trial, first dose with responses
LINES = {"NCI-H929": 0.15, "MM.1R": 0.06, "RPMI 8226": 0.45}  # EC50, nM, Pillarisetti 2020
ACTIVATION = {"NCI-H929": 0.21, "MM.1R": 0.10, "RPMI 8226": 0.28}
PATIENTS = 1.7  # nM, average EC50 of depletion of BCMA+ cells in marrow samples of patients
KD_BCMA, KD_CD3 = 0.5, 20.8  # nM, Menon 2026


@dataclasses.dataclass(frozen=True)
class Curve:
    """The sigmoid of the killing curve: best EC50 [nM] and slope, and draws of both."""

    EC50: float
    slope: float
    draws: np.ndarray

    def potency(self, k: int | None = None) -> fih.Potency:
        EC50, slope = (self.EC50, self.slope) if k is None else self.draws[k]
        return fih.Potency(
            assay="killing of NCI-H929", values=float(EC50), unit="nM", slope=float(slope), readout="dead target cells",
            effector_to_target="5:1", incubation_h=48.0, source=f"{PAPER}, Figure 1A, fitted here",
        )  # fmt: skip


def potency_of(values: Mapping[str, float] | float, slope: float, assay: str, system: str = "cell line") -> fih.Potency:
    named = list(values.values()) if isinstance(values, Mapping) else values
    return fih.Potency(assay=assay, values=named, unit="nM", slope=slope, system=system,
                       source=f"{PAPER}, abstract; slope of the H929 curve assumed")  # fmt: skip


def volumes(n: int) -> np.ndarray:
    """Draws of the central volume [L] of a typical antibody in 70 kg, shape (n,)."""
    joint = BETTS.population("human")
    return joint.sample(41, np.arange(n))[:, joint.names.index("V1")] * 70 / 1000


def mabel(curve: Curve, model: Any, central: float, source: str, draws: int) -> list[Any]:
    """Three levels by four matchings. The draws vary the curve, and the volume of the bolus."""
    prior = volumes(draws)

    def simulated(observable: str, analyte: str, kind: type = qspx.Max) -> Any:
        return fih.SimulatedMatch(kind(observable, end=HOURS), IV, analyte, model, source=source)

    def bolus(litres: float) -> Any:
        return fih.BolusCmax(litres, source)

    matches = {
        "total Cmax, central volume": (bolus(central), [bolus(v) for v in prior * central / np.median(prior)], "total"),
        "free average of day 1": (
            fih.SimulatedMatch(qspx.Average("C_free", end=24.0), IV, "free", model, source=source),
            None,
            "free",
        ),
        "free in marrow, Cmax": (simulated("C_marrow", "free"), None, "free"),
        "total Cavg over 14 days": (simulated("C_total", "total", qspx.Average), None, "total"),
    }
    found = []
    for where, (match, varied, analyte) in matches.items():
        for level in (0.1, 0.2, 0.5):
            one = fih.Mabel(potency=curve.potency(), match=match, analyte=analyte, level=level,
                            label=f"MABEL: EC{100 * level:g} H929, {where}")  # fmt: skip
            several = [dataclasses.replace(one, potency=curve.potency(k), match=varied[k] if varied else match)
                       for k in range(draws if varied else min(draws, 12))]  # fmt: skip
            basis = "the fitted curve" + (" and the central volume between antibodies" if varied else "; PK as typical")
            found.append(fih.WithDraws(method=one, draws=several, basis=basis))
    most_sensitive = min(LINES, key=LINES.__getitem__)
    line = potency_of(LINES[most_sensitive], curve.slope, f"killing of {most_sensitive}, most sensitive of three lines")
    return [*found, fih.Mabel(potency=line, match=bolus(central), analyte="total", level=0.2,
                              label=f"MABEL: EC20 {most_sensitive}, total Cmax, central volume")]  # fmt: skip


def modified_mabel(curve: Curve, model: Any, central: float, source: str) -> list[Any]:
    """EC50 of patients' own marrow cells."""
    primary = potency_of(
        PATIENTS, curve.slope, "depletion of BCMA+ cells in patients' marrow", "primary marrow samples"
    )
    activation = potency_of(ACTIVATION, curve.slope, "T-cell activation (not cytokine release)")
    marrow = fih.SimulatedMatch(qspx.Max("C_marrow", end=HOURS), IV, "free", model, source=source)
    return [
        fih.ModifiedMabel(potency=primary, match=fih.BolusCmax(central, source), analyte="total",
                          cytokines=(activation,),
                          label="modified MABEL: EC50 patient marrow, total Cmax"),
        fih.ModifiedMabel(potency=primary, match=marrow, analyte="free", cytokines=(activation,),
                          label="modified MABEL: EC50 patient marrow, free in marrow"),
    ]  # fmt: skip


def occupancy(central: float, source: str) -> list[Any]:
    """Of BCMA and CD3, free drug, no depletion: context only."""
    arms = (("BCMA", KD_BCMA, 0.1), ("BCMA", KD_BCMA, 0.5), ("CD3", KD_CD3, 0.1))
    return [
        fih.ReceptorOccupancy(kd_nM=kd, match=fih.BolusCmax(central, source), analyte="free", occupancy=share,
                              target=target, source="Menon 2026", label=f"RO{100 * share:g} of {target}, Cmax")
        for target, kd, share in arms
    ]  # fmt: skip


def criteria(ratios: Mapping[float, float]) -> list[Any]:
    """Peak trimers per myeloma cell in marrow, against what kills in vitro. `ratios`: trimers at each effect over those
    at EC20. The levels are those of MABEL; nothing clinical enters."""
    source = (
        "trimers per cell at this effect in vitro (models/killing_assay.py fitted to H929), same receptor densities"
    )
    peak = qspx.Max("signal", end=HOURS)
    found = [fih.Qsp(metric=peak, threshold=ratios[x], quantile=q, regimen=IV, threshold_source=source,
                     label=f"QSP: trimers of EC{100 * x:g}, {who}")
             for x, q, who in ((0.2, 0.5, "median patient"), (0.1, 0.95, "95 % of patients below"),
                               (0.2, 0.95, "95 % of patients below"))]  # fmt: skip
    active = fih.Mpad(metric=peak, threshold=ratios[0.5], regimen=IV, threshold_source=source,
                      label="MPAD: trimers of EC50, median patient")  # fmt: skip
    return [*found, active]


def cytokine(thresholds: Sequence[float], source: str) -> list[Any]:
    """IL-6 limits, swept: no accepted one exists."""
    return [
        fih.CytokineThreshold(metric=qspx.Max("cyt", end=HOURS), threshold=t, regimen=IV, threshold_source=source,
                              label=f"IL-6 below {t:g} pg/mL in 95 % of patients")
        for t in thresholds
    ]  # fmt: skip
