"""The systems that doses are computed in, before the first patient and with what the clinic taught; who is in them."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import qspx

MODELS = Path(__file__).parents[2] / "models"
BETTS_SOURCE = "typical antibody, Betts 2018 (doi 10.1080/19420862.2018.1462429), times 70 kg"
FITTED = "this experiment: fit to the IV and SC curves of BLA 761291"


def module(name: str) -> ModuleType:
    """A model file as a module, for the functions beside its model."""
    spec = importlib.util.spec_from_file_location(f"teclistamab_{name}", MODELS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


POELS, BETTS, MIAO, ISB = (module(name) for name in ("poels2025", "betts2018", "miao2023", "isb2001"))


def with_values(base: type, name: str, values: Mapping[str, tuple[float, str, str]]) -> Any:
    """The model with other typical values: {parameter: (value, source, tag)}."""
    declared = base().parameters
    replaced = {k: dataclasses.replace(declared[k], value=v, source=source, tag=tag)
                for k, (v, source, tag) in values.items()}  # fmt: skip
    return type(name, (base,), replaced)()


def before_the_first_patient(trimers: float) -> Any:
    """Pharmacokinetics of a typical antibody; `trimers` per cell have 20 % of the effect in vitro. Nothing of
    teclistamab in man enters. The system around it (marrow, T cells, soluble BCMA) was published later."""
    per_kg, weight = BETTS.parameters_for("human"), 70.0
    litres = {"Vc": per_kg["V1"] / 1000, "Vp": per_kg["V2"] / 1000}
    hourly = {"CL": per_kg["CL"] / 24_000, "Q": per_kg["Q"] / 24_000}
    values = {k: (v * weight, BETTS_SOURCE, "literature") for k, v in (litres | hourly).items()}
    values |= {"WT": (weight, "typical adult", "covariate"), "CL2": (1e-9, "a typical antibody has none", "assumed")}
    values |= {"X_vitro": (trimers, "this experiment: killing of H929 in vitro", "estimated")}
    return with_values(POELS.Teclistamab, "TeclistamabBeforeFirstPatient", values)


def calibrated(trimers: float, pharmacokinetics: Mapping[str, float], release: Mapping[str, float]) -> Any:
    """Human pharmacokinetics and cytokine release as fitted to the clinic."""
    values = {k: (float(v), FITTED, "estimated") for k, v in (pharmacokinetics | release).items()}
    values |= {"X_vitro": (trimers, "this experiment: killing of H929 in vitro", "estimated")}
    return with_values(POELS.Teclistamab, "TeclistamabCalibrated", values)


# how much patients differ -------------------------------------------------------------------------------------------

SPREAD = {
    "s0": (qspx.LogNormal(7_000.0, cv=1.35), "median and CV from Hibma 2026 (elranatamab): 6.9 nM, 135 %"),
    "T0": (qspx.LogNormal(203.0, cv=1.0), "median assumed; range 16-2,580 per µL: Poels 2025; CV assumed"),
    "MM0": (qspx.LogUniform(4.5e3, 4.5e5), "range up to 450,000 per µL: Poels 2025; lower end and shape assumed"),
    "CD3_per_T": (qspx.LogNormal(60_000.0, cv=0.25), "CV 25 %: Poels 2025"),
    "BCMA_per_MM": (qspx.LogNormal(12_590.0, cv=0.8), "Poels 2025; CV assumed, public models differ 6-fold"),
}


def prior_population() -> tuple[qspx.Joint, dict[str, str]]:
    """Spread of patients before the first one, with sources."""
    of_antibodies = BETTS.population("human")
    scale = {"CL": 70.0 / 24_000, "Vc": 70.0 / 1000}
    marginals = {}
    for name, (published, factor) in {"CL": ("CL", scale["CL"]), "Vc": ("V1", scale["Vc"])}.items():
        m = of_antibodies.marginals[published]
        median, sd = float(m.quantile(0.5)), float(np.log(m.quantile(0.8413447) / m.quantile(0.5)))
        marginals[name] = qspx.LogNormal.from_omega(median * factor, sd)
    sources = dict.fromkeys(marginals, "spread of antibodies and subjects, Betts 2018, read as variances of logarithms")
    rho = of_antibodies.correlations[("CL", "V1")]
    joint = qspx.Joint(marginals | {k: d for k, (d, _) in SPREAD.items()}, {("CL", "Vc"): rho})
    return joint, sources | {k: source for k, (_, source) in SPREAD.items()}


def calibrated_population(model: Any) -> tuple[qspx.Joint, dict[str, str]]:
    """Spread of patients around the fitted typical values: coefficients of variation of the published population
    model. These data have no subjects, so that they cannot say how much patients differ."""
    published = {"CL": 0.536, "CL2": 1.07, "Vc": 0.488, "ka": 0.452}
    value = {k: model.parameters[k].value for k in published}
    joint = qspx.Joint({k: qspx.LogNormal(value[k], cv=cv) for k, cv in published.items()}
                       | {k: d for k, (d, _) in SPREAD.items()})  # fmt: skip
    sources = dict.fromkeys(published, "typical value fitted here; CV of Miao 2023")
    return joint, sources | {k: source for k, (_, source) in SPREAD.items()}


# how well typical values are known ----------------------------------------------------------------------------------

MEASURED = {
    "KD_BCMA": (0.5, "0.18 to 0.5 nM in public sources"),
    "KD_CD3": (0.3, "20.8 to 28 nM in public sources"),
    "CD3_per_T": (0.4, "50,000 to 124,000 per cell in public models"),
    "BCMA_per_MM": (0.8, "2,000 to 12,590 per cell in public models"),
    "kcb": (0.5, "assumed: distribution to marrow"),
}


def uncertainty(model: Any, known: Mapping[str, float], draws: int, subjects: int) -> Any:
    """Of typical values: `known` has the sd of the logarithm of what was fitted, the rest is above."""
    from qspx.fih import TypicalValueUncertainty

    value = {k: model.parameters[k].value for k in (*MEASURED, *known)}
    marginals = {k: qspx.LogNormal(value[k], cv=cv) for k, (cv, _) in MEASURED.items()}
    marginals |= {k: qspx.LogNormal.from_omega(value[k], sd) for k, sd in known.items()}
    return TypicalValueUncertainty(qspx.Joint(marginals), draws=draws, subjects=subjects)
