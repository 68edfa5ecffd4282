"""Monoclonal antibodies with linear pharmacokinetics: two compartments, typical of the class, in three species.

Betts et al., mAbs 2018;10:751-764, doi 10.1080/19420862.2018.1462429 (27 antibodies; Tables 2 and 4, as transcribed).
Volumes and clearances are per kg. `parameters_for` gives the values of a species, `population` the spread between
subjects.
"""

import math

import qspx

SOURCE = "Betts 2018, Tables 2 and 4 (doi 10.1080/19420862.2018.1462429)"
HOURS = 24.0  # per day; the paper prints mL/h/kg

# weight [kg]; CL [mL/h/kg], V1 [mL/kg], Q [mL/h/kg], V2 [mL/kg]; log-scale variance of CL, covariance, variance of V1
TYPICAL = {
    "human": (70.0, (0.15, 46.31, 0.27, 31.47), (0.48, 0.09, 0.09)),
    "cynomolgus": (3.0, (0.27, 39.29, 1.00, 27.56), (0.38, 0.09, 0.10)),
    "Tg32 mouse": (0.02, (0.35, 59.28, 4.40, 60.54), (0.41, 0.11, 0.12)),
}


def parameters_for(species):
    """Parameter values of `human`, `cynomolgus` or `Tg32 mouse`, for `simulate(..., parameters=...)`."""
    weight, (CL, V1, Q, V2), _ = TYPICAL[species]
    return {"WT": weight, "CL": CL * HOURS, "V1": V1, "Q": Q * HOURS, "V2": V2}


def population(species="human"):
    """Spread of CL and V1 between subjects, correlated log-normal. The variances are read as those of the logarithms
    (a variance of 0.48 is then a CV of 78 %); the transcription prints them without saying which scale they are on."""
    _, (CL, V1, _, _), (var_CL, covariance, var_V1) = TYPICAL[species]
    return qspx.Joint(
        {
            "CL": qspx.LogNormal.from_omega(CL * HOURS, math.sqrt(var_CL)),
            "V1": qspx.LogNormal.from_omega(V1, math.sqrt(var_V1)),
        },
        correlations={("CL", "V1"): covariance / math.sqrt(var_CL * var_V1)},
    )


def terminal_half_life(model):
    """Half-life [day] between days 120 and 180 after a bolus of the typical human, when distribution is over."""
    solution = qspx.simulate(
        model,
        qspx.Regimen.single(1.0, "mg/kg", "C"),
        [120.0, 180.0],
        observables=["C"],
        integrator=qspx.DiffraxIntegrator(rtol=1e-9, atol=1e-15),
    )
    early, late = solution["C"]
    return 60.0 * math.log(2) / math.log(early / late)


def par(value, unit, meaning, tag="estimated", source=SOURCE, **more):
    return qspx.Parameter(value, unit, meaning, source=source, tag=tag, **more)


class Betts2018(qspx.AbstractModel):
    citation = "Betts et al., mAbs 2018;10:751-764"
    doi = "10.1080/19420862.2018.1462429"
    molar_mass = "MW"
    body_weight = "WT"

    C = qspx.Species("ug/mL", "drug, central", volume="V1", route="IV")
    C2 = qspx.Species("ug/mL", "drug, peripheral", volume="V2")

    WT = par(70.0, "kg", "body weight", "covariate")
    MW = par(150_000.0, "g/mol", "molar mass", "assumed", "an IgG")
    CL = par(0.15 * HOURS, "mL/day/kg", "clearance")
    V1 = par(46.31, "mL/kg", "central volume")
    Q = par(0.27 * HOURS, "mL/day/kg", "distribution clearance")
    V2 = par(31.47, "mL/kg", "peripheral volume")
    nM_per_M = par(1e9, "nM/(mol/L)", "conversion", "constant", "definition")
    molar = par(1e-3, "(g/L)/(ug/mL)", "conversion", "constant", "definition")

    C_nM = qspx.Observable("nM", "drug, central")

    published = (
        qspx.Published(
            "terminal half-life, typical human",
            16.53,
            "day",
            terminal_half_life,
            5e-4,
            "calculated from the typical human of Betts 2018",
        ),
    )

    def rates(self, t, y, p):
        distributed = p.Q * (y.C - y.C2)
        return {"C": -(p.CL * y.C + distributed) / p.V1, "C2": distributed / p.V2}

    def observables(self, t, y, p):
        return {"C_nM": y.C * p.molar / p.MW * p.nM_per_M}
