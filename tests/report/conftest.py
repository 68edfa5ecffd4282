"""A dose rationale with the numbers of a worked trispecific T-cell engager (ISB 2001), as the report reads one."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from qspx.fih.base import DoseEstimate, Input

BODY_WEIGHT, MOLAR_MASS = 70.0, 194_000.0
PAPER = "Chandralayam Ayyappa Menon 2026, doi 10.1002/cpt.70319"
# method, family, dose µg/kg, applies to, analyte, level, PK model, criterion, route, relevant, interval
ESTIMATES = [
    ("PA10, cytotoxicity, plasma volume", "MABEL", 0.0012, "single dose", "free", "EC10", "plasma volume, IV bolus", "cytotoxicity", "IV", True, None),  # noqa: E501
    ("PA20, cytotoxicity, plasma volume", "MABEL", 0.0020, "single dose", "free", "EC20", "plasma volume, IV bolus", "cytotoxicity", "IV", True, None),  # noqa: E501
    ("MABEL: EC20, cytotoxicity, total Cmax SC", "MABEL", 0.0047, "single dose", "total", "EC20", "minimal PBPK, no targets", "cytotoxicity", "SC", True, (0.0033, 0.0047, 0.0071)),  # noqa: E501
    ("MABEL: EC20, cytotoxicity, free Cmax SC", "MABEL", 0.0425, "single dose", "free", "EC20", "minimal PBPK with 15 nM soluble BCMA", "cytotoxicity", "SC", True, (0.0270, 0.0425, 0.0698)),  # noqa: E501
    ("MABEL: EC30, cytotoxicity, free Cmax SC", "MABEL", 0.0578, "single dose", "free", "EC30", "minimal PBPK with 15 nM soluble BCMA", "cytotoxicity", "SC", True, (0.0368, 0.0578, 0.0949)),  # noqa: E501
    ("Modified MABEL: median EC50, primary cells", "modified MABEL", 0.0966, "single dose", "free", "EC50", "minimal PBPK with 15 nM soluble BCMA", "cytotoxicity", "SC", True, (0.0615, 0.0966, 0.159)),  # noqa: E501
    ("RO10, BCMA, plasma volume", "RO", 1.64, "single dose", "free", "10 % occupancy", "plasma volume, IV bolus", "BCMA occupancy", "IV", False, None),  # noqa: E501
    ("RO10, CD38, plasma volume", "RO", 2.34, "single dose", "free", "10 % occupancy", "plasma volume, IV bolus", "CD38 occupancy", "IV", False, None),  # noqa: E501
    ("QSP: EC10, peak complexes, 95th percentile", "QSP", 2.61, "single dose", "not applicable", "EC10 of nACT", "QSP, marrow binding", "max(nACT) ≤ 0.344 in 95 %", "SC", True, (2.61, 5.31, 10.8)),  # noqa: E501
    ("QSP: EC10, peak complexes, median", "QSP", 5.31, "target dose", "not applicable", "EC10 of nACT", "QSP, marrow binding", "max(nACT) ≤ 0.344 in the median", "SC", True, (2.61, 5.31, 10.8)),  # noqa: E501
    ("MPAD: teclistamab benchmark, EC17", "MPAD", 9.66, "target dose", "not applicable", "EC17 of nACT", "QSP, marrow binding", "max(nACT) ≤ 0.63 in the median", "SC", True, (4.75, 9.66, 19.8)),  # noqa: E501
    ("RO10, CD3, plasma volume", "RO", 35.5, "single dose", "free", "10 % occupancy", "plasma volume, IV bolus", "CD3 occupancy", "IV", False, None),  # noqa: E501
    ("ICH S9: HNSTD / 6, cynomolgus", "ICH S9", 16.1, "single dose", "not applicable", "HNSTD", "mg/kg scaling (protein above 100 kDa)", "toxicology", "IV", False, None),  # noqa: E501
    ("MRSD: NOAEL / 10, cynomolgus", "MRSD", 50.0, "single dose", "not applicable", "NOAEL", "mg/kg scaling (protein above 100 kDa)", "toxicology", "IV", False, None),  # noqa: E501
]  # fmt: skip


def _estimate(row) -> DoseEstimate:
    method, family, dose, applies_to, analyte, level, pk, criterion, route, relevant, interval = row
    inputs = [Input("molar mass", MOLAR_MASS, "g/mol", "implied by potencies given in two units")]
    if family in ("MABEL", "modified MABEL"):
        potency = {"EC10": 0.159, "EC20": 0.257, "EC30": 0.350, "EC50": 0.585}[level]
        inputs.append(Input(f"{level}, in-vitro cytotoxicity", potency, "pM", PAPER))
    if family == "RO":
        target = criterion.split()[0]
        inputs.append(Input(f"KD, {target}", {"BCMA": 1.9, "CD38": 2.7, "CD3": 41.0}[target], "nM", PAPER))
    return DoseEstimate(
        method=method, family=family, dose_ug_per_kg=dose, body_weight_kg=BODY_WEIGHT, route=route,
        regimen="one injection" if applies_to == "single dose" else "weekly after step-up", applies_to=applies_to,
        analyte=analyte, target_level=level, pk_model=pk, limiting_criterion=criterion,
        safety_factor={"ICH S9": 6.0, "MRSD": 10.0}.get(family, 1.0), molar_mass_g_per_mol=MOLAR_MASS,
        interval=interval, decision_relevant=relevant, inputs=tuple(inputs),
        assumptions=("The most sensitive cell line represents the patient",) if family == "MABEL" else (),
        notes=("Receptor occupancy is not decision-relevant for CD3 engagers",) if family == "RO" else (),
    )  # fmt: skip


def _folds(estimates, first: float, target: float) -> pd.DataFrame:
    rows = [
        {
            "method": e.method, "family": e.family, "dose_ug_per_kg": e.dose_ug_per_kg,
            "fold_first_injection": first / e.dose_ug_per_kg, "fold_target": target / e.dose_ug_per_kg,
            "cohorts_saved_half_log": math.log(target / e.dose_ug_per_kg) / math.log(math.sqrt(10)),
            "cohorts_saved_doubling": math.log2(target / e.dose_ug_per_kg),
        }
        for e in estimates
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _curves() -> pd.DataFrame:
    rows = []
    for metric, unit, at_five, tail in (("max(nACT)", "molecules/cell", 0.335, 2.05), ("max(IL6)", "pg/mL", 41.0, 4.2)):
        for dose in np.geomspace(0.02, 200, 17):
            middle = at_five * (dose / 5) ** (0.98 if unit != "pg/mL" else 0.55)
            rows.append({
                "metric": metric, "unit": unit, "dose_ug_per_kg": dose, "q05": middle / tail,
                "q25": middle / tail**0.4, "q50": middle, "q75": middle * tail**0.4, "q95": middle * tail,
                "n_ok": 982, "n_failed": 0,
            })  # fmt: skip
    return pd.DataFrame(rows)


def _profiles() -> pd.DataFrame:
    time = np.linspace(0, 28, 113)
    rows = []
    doses = [(0.0, 0.1), (3.0, 0.3), (7.0, 1.0), (14.0, 1.0), (21.0, 1.0)]
    panels = (
        ("free drug, plasma", "nM", 0.035, 1.5),
        ("active complexes per tumour cell", "molecules/cell", 0.42, 2.0),
        ("BCMA occupancy, marrow", "1", 1.3e-3, 1.7),
        ("IL-6, serum", "pg/mL", 41.0, 4.0),
    )
    for panel, unit, size, tail in panels:
        for arm, scale in (("5 µg/kg", 1.0), ("15 µg/kg", 3.0)):
            value = np.zeros_like(time)
            for at, share in doses:
                since = np.clip(time - at, 0, None)
                value += share * size * scale * 1.4 * (np.exp(-since / 12) - np.exp(-since / 1.4)) * (time >= at)
            rows.append(pd.DataFrame({"panel": panel, "unit": unit, "time": time, "q05": value / tail, "q50": value,
                                      "q95": value * tail, "arm": arm}))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def _sensitivity() -> pd.DataFrame:
    rows = [
        ("CD3_per_T", "CD3 molecules per T cell", -0.86, -0.58, "literature"),
        ("T_marrow", "T cells in marrow", -0.81, -0.44, "literature"),
        ("KD_CD3", "affinity of the CD3 arm", 0.92, math.nan, "measured"),
        ("F", "bioavailability, subcutaneous", -0.88, -0.51, "assumed"),
        ("sBCMA", "soluble BCMA, plasma and marrow", 0.79, 0.62, "literature"),
        ("KD_BCMA", "affinity of the BCMA arm", -0.31, math.nan, "measured"),
        ("CL", "clearance without targets", 0.36, 0.21, "estimated"),
        ("ka", "absorption rate constant", -0.22, -0.12, "assumed"),
        ("CD38_per_PC", "CD38 molecules per plasma cell", -0.17, -0.14, "literature"),
        ("N_PC", "plasma cells in marrow", 0.13, 0.10, "literature"),
        ("kint_CD3", "internalisation of CD3 complexes", 0.08, 0.05, "literature"),
        ("sCD38", "soluble CD38", 0.003, 0.01, "literature"),
        ("N_NK", "natural killer cells in blood", 0.002, 0.0, "literature"),
        ("kint_CD38", "internalisation of CD38 complexes", 0.011, 0.0, "literature"),
    ]
    frame = pd.DataFrame(rows, columns=["parameter", "meaning", "elasticity_dose", "rank_correlation", "tag"])
    return frame.assign(metric="max(nACT)", source=PAPER)


def _verification() -> pd.DataFrame:
    rows = [
        ("EC20 MABEL dose", 0.045, 0.0425, "µg/kg", 0.1),
        ("EC30 MABEL dose", 0.060, 0.0578, "µg/kg", 0.1),
        ("EC50 MABEL dose", 0.100, 0.0966, "µg/kg", 0.1),
        ("Terminal half-life without targets", 17.0, 19.12, "day", 0.2),
        ("nACT at 8.0 µg/kg, single-dose peak", 0.50, 0.523, "molecules/cell", 0.1),
        ("nACT at 10.5 µg/kg, single-dose peak", 0.63, 0.692, "molecules/cell", 0.15),
        ("nACT at 70 µg/kg, trough on day 7", 3.1, 3.964, "molecules/cell", 0.25),
    ]
    frame = pd.DataFrame(rows, columns=["name", "published", "computed", "unit", "tolerance"])
    frame["relative_difference"] = frame["computed"] / frame["published"] - 1
    frame["passed"] = frame["relative_difference"].abs() <= frame["tolerance"]
    return frame.assign(source=PAPER)


def _parameters() -> pd.DataFrame:
    rows = [
        ("V_plasma", 2.81, "L", "plasma volume", "literature"),
        ("V_marrow", 0.37, "L", "interstitial volume of bone marrow", "literature"),
        ("CL", 0.253, "L/day", "clearance without targets", "estimated"),
        ("ka", 0.5, "1/day", "absorption rate constant", "assumed"),
        ("F", 0.75, "", "bioavailability, subcutaneous", "assumed"),
        ("KD_CD3", 41.0, "nM", "affinity of the CD3 arm", "measured"),
        ("KD_BCMA", 1.9, "nM", "affinity of the BCMA arm", "measured"),
        ("KD_CD38", 2.7, "nM", "affinity of the CD38 arm", "measured"),
        ("CD3_per_T", 1e5, "molecule/cell", "CD3 molecules per T cell", "literature"),
        ("CD38_per_PC", 120486.0, "molecule/cell", "CD38 molecules per plasma cell", "literature"),
        ("N_PC", 6.55e9, "cell", "plasma cells in marrow", "literature"),
        ("sBCMA", 15.0, "nM", "soluble BCMA, plasma and marrow", "literature"),
    ]
    frame = pd.DataFrame(rows, columns=["name", "value", "unit", "meaning", "tag"])
    return frame.assign(source=PAPER)


def _species() -> pd.DataFrame:
    complexes = [f"{site}_{place}" for place in ("plasma", "marrow") for site in ("D4", "D8", "DB", "DP", "D4B", "D4P")]
    names = ["depot", "C", "C_tight", "C_leaky", "C_marrow", "C_lymph", *complexes]
    meaning = ["drug at the injection site", *["free drug"] * 5, *["drug–receptor complex"] * len(complexes)]
    return pd.DataFrame({"name": names, "unit": ["nmol", *["nM"] * (len(names) - 1)], "meaning": meaning})


def _equations() -> list[tuple[str, str]]:
    return [
        ("depot", r"\frac{d\,depot}{dt} = -k_a\,depot"),
        ("nACT", r"nACT = \frac{ACT \cdot 10^{-9}\, V_{bm}\, N_A}{N_{PC}}"),
        ("unknown", r"\begin{cases} 1 & x > 0 \\ 0 & x \leq 0 \end{cases}"),
    ]


def _exceedance() -> pd.DataFrame:
    rows = [
        ("max(nACT)", 0.344, "molecules/cell", "first injection", 0.5, 0.0, 0.0, 0.0031),
        ("max(nACT)", 0.344, "molecules/cell", "target", 5.0, 0.472, 0.446, 0.498),
        ("max(nACT)", 0.63, "molecules/cell", "target", 5.0, 0.0703, 0.058, 0.085),
    ]
    keys = ["metric", "threshold", "unit", "dose", "dose_ug_per_kg", "probability", "low_5", "high_95"]
    return pd.DataFrame(rows, columns=keys)


def _population() -> pd.DataFrame:
    rows = [
        ("weight", "normal(70, 12), cut at 40 and 100", "kg", "protocol", 50.4, 70.1, 89.6),
        ("F", "uniform(0.5, 1.0)", "", PAPER, 0.527, 0.751, 0.974),
        ("sBCMA", "log-normal, CV 30 %", "nM", PAPER, 9.01, 14.9, 24.1),
        ("CD38_per_PC", "log-normal, CV 30 %", "molecule/cell", PAPER, 72100.0, 119800.0, 193000.0),
        ("CD3_per_T", "log-normal, CV 30 %", "molecule/cell", PAPER, 60200.0, 99700.0, 161000.0),
    ]
    keys = ["parameter", "distribution", "unit", "source", "sample_q05", "sample_q50", "sample_q95"]
    return pd.DataFrame(rows, columns=keys)


def _ledger() -> pd.DataFrame:
    rows = [
        ("solved and plausible", 982, "used in every quantile"),
        ("implausible", 11, "outputs outside physiological bounds"),
        ("solver: step limit", 5, "raise `max_steps` or inspect the subject"),
        ("solver: not finite", 2, "left out; parameters are listed with the cohort"),
        ("excluded", 0, "by the user’s criteria"),
    ]
    frame = pd.DataFrame(rows, columns=["category", "n", "meaning"])
    return frame.assign(share=frame["n"] / 1000)


HOSTILE = '<b>bold</b> & "quoted" {{ 7 * 7 }} </style><script>alert(1)</script>'
CONTEXT = {
    "product": "ISB 2001",
    "mechanism": "Trispecific antibody: binds CD38 and BCMA on myeloma cells and CD3 on T cells; lysis follows "
    "cross-linking.",
    "indication": "Relapsed or refractory multiple myeloma",
    "question_of_interest": "Is 0.5 µg/kg an acceptable first injection, and 5 µg/kg an acceptable first target dose?",
    "context_of_use": "Mechanistic model of binding in marrow and blood; adults; used with in-vitro MABEL, class "
    "experience and intensive monitoring.",
    "model_influence": "Medium: the dose exceeds the in-vitro MABEL on the strength of the model.",
    "decision_consequence": "High: severe cytokine release, mitigated by fractionation and hospital observation.",
    "model_risk": "Medium to high",
    "model_impact": "",
    "route": "subcutaneous",
    "population_description": "Adults, 40–100 kg",
}

PROVENANCE = {
    "versions": {"qspx": "0.1.0", "jax": "0.10.2", "diffrax": "0.7.2", "python": "3.11.8"},
    "model": {"name": "Isb2001", "hash": "9f2c41d07be6"},
    "seed": 2001,
    "solver": {"rtol": 1e-8, "atol": 1e-12},
    "wall_time_s": {"population": 41.2, "sensitivity": 7.9},
}


def make_rationale() -> SimpleNamespace:
    estimates = tuple(map(_estimate, ESTIMATES))
    first, target = 0.5, 5.0
    rationale = SimpleNamespace(
        context=SimpleNamespace(**CONTEXT),
        estimates=estimates,
        proposal=SimpleNamespace(
            target_ug_per_kg=target, fractions=(0.1, 0.3, 1.0), days=(0.0, 3.0, 7.0),
            reason="About half of the MPAD; the median predicted peak stays at EC10. The first injection is a tenth.",
        ),
        folds=_folds(estimates, first, target),
        curves=_curves(),
        thresholds=[
            SimpleNamespace(metric="max(nACT)", value=0.344, label="EC10 of tumour growth inhibition", quantile=0.95),
            SimpleNamespace(metric="max(nACT)", value=0.63, label="EC17, teclistamab benchmark", quantile=0.5),
            SimpleNamespace(metric="max(nACT)", value=3.1, label="EC50", quantile=0.5),
        ],
        exceedance=_exceedance(),
        profiles=_profiles(),
        profile_time_unit="day",
        dose_times=[(0.0, 0.5), (3.0, 1.5), (7.0, 5.0), (14.0, 5.0), (21.0, 5.0)],
        sensitivity=_sensitivity(),
        ledger=_ledger(),
        ledger_total=1000,
        verification=_verification(),
        parameters=_parameters(),
        species=_species(),
        equations=_equations(),
        population=_population(),
        alternatives=pd.DataFrame({
            "scenario": ["published listing (Q1 and Q2 on)", "molar mass 223 kDa", "between-subject CV 60 %"],
            "dose_ug_per_kg": [5.30, 6.10, 1.48],
            "fold_to_base": [0.998, 1.149, 0.567],
            "note": ["not mass-balanced", "implied by the nACT anchors", "95th percentile criterion"],
        }),
        advisories=[
            "Receptor occupancy is not decision-relevant for CD3 engagers: three estimates are shown for context only.",
            "HNSTD and NOAEL from a species without cross-reactivity of the CD3 arm do not inform the starting dose.",
        ],
        assumptions=["The in-vitro cytotoxicity assay represents killing in marrow.",
                     "Receptor totals are constant over the simulated time."],
        limitations=["The teclistamab benchmark passes through a model whose published listing is not mass-balanced.",
                     "The molar mass is implied, not published."],
        lints=["Transition B + b -> bP breaks valency (accepted: published listing, switch Q1).",
               "Flux 8B + P -> 8BP is subtracted twice (accepted: published listing, switch Q2)."],
        provenance=PROVENANCE,
    )  # fmt: skip
    rationale.to_dict = lambda: as_dict(rationale)
    return rationale


def as_dict(rationale) -> dict:
    """Plain data of everything the fixture holds, as `DoseRationale.to_dict` gives it."""

    def plain(value):
        if isinstance(value, pd.DataFrame):
            return value.to_dict("records")
        if hasattr(value, "to_dict"):
            return value.to_dict()
        if isinstance(value, SimpleNamespace):
            return {key: plain(item) for key, item in vars(value).items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    return {key: plain(value) for key, value in vars(rationale).items() if key != "to_dict"}


@pytest.fixture
def rationale() -> SimpleNamespace:
    return make_rationale()


@pytest.fixture(scope="session")
def build():
    """The function that builds a fresh rationale."""
    return make_rationale


@pytest.fixture
def empty_rationale() -> SimpleNamespace:
    """Nothing but the field names: no estimate, no proposal, no simulation."""
    full = make_rationale()
    for name, value in vars(full).items():
        if isinstance(value, pd.DataFrame):
            setattr(full, name, pd.DataFrame())
        elif isinstance(value, list):
            setattr(full, name, [])
    full.context = SimpleNamespace(**dict.fromkeys(CONTEXT, ""))
    full.estimates, full.proposal, full.ledger_total, full.provenance = (), None, 0, {}
    return full


@pytest.fixture
def hostile(rationale) -> SimpleNamespace:
    """A rationale with text that tries to become markup in every place where a user's text goes."""
    words = HOSTILE
    first = dataclasses.replace(rationale.estimates[0], method=words, assumptions=(words,), limiting_criterion=words)
    rationale.estimates = (first, *rationale.estimates[1:])
    rationale.folds.loc[0, "method"] = words
    rationale.context = SimpleNamespace(**dict.fromkeys(CONTEXT, words))
    rationale.proposal.reason = words
    rationale.thresholds[0].label = words
    rationale.advisories, rationale.lints, rationale.limitations = [words], [words], [words]
    rationale.provenance = {"note": words}
    rationale.parameters["source"] = words
    return rationale
