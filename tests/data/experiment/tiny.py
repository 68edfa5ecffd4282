"""One compartment with first-order absorption; made for tests."""

import math

import qspx


def half_life(model):
    p = model.parameters
    return math.log(2) * p["V"].value / p["CL"].value


class Tiny(qspx.AbstractModel):
    molar_mass = "MW"
    body_weight = "WT"
    citation = "made for tests"
    published = (qspx.Published("half-life", 6.931, "day", half_life, 1e-3, "ln 2 V / CL"),)
    slow: bool = False

    depot = qspx.Species("nmol", "drug at the site", bioavailability="F")
    C = qspx.Species("nM", "free drug", volume="V")
    WT = qspx.Parameter(70.0, "kg", "body weight", source="typical", tag="covariate")
    MW = qspx.Parameter(150_000.0, "g/mol", "molar mass", source="made up", tag="assumed")
    V = qspx.Parameter(3.0, "L", "volume", source="made up")
    CL = qspx.Parameter(0.3, "L/day", "clearance", source="made up")
    ka = qspx.Parameter(0.5, "1/day", "absorption", source="made up")
    F = qspx.Parameter(0.7, "", "bioavailability", source="made up", bounds=(0.0, 1.0), scale="logit")
    EC50 = qspx.Parameter(2.0, "nM", "potency", source="made up")
    activity = qspx.Observable("", "share of the maximal effect")
    mass_ng_mL = qspx.Observable("nM", "free drug again")

    def rates(self, t, y, p):
        absorbed = (0.5 if self.slow else 1.0) * p.ka * y.depot
        return {"depot": -absorbed, "C": absorbed / p.V - p.CL / p.V * y.C}

    def observables(self, t, y, p):
        return {"activity": y.C / (p.EC50 + y.C), "mass_ng_mL": y.C}
