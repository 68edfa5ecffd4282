"""Warfarin and the prothrombin complex activity: absorption with lag, one compartment, inhibited synthesis.

O'Reilly, Aggeler, Leong, J Clin Invest 1963;42:1542-1551 (doi 10.1172/JCI104839) and O'Reilly, Aggeler, Circulation
1968;38:169-177 (doi 10.1161/01.CIR.38.1.169) measured single oral doses of 1.5 mg/kg; the turnover model with inhibited
production is Jusko's type I (Dayneka, Garg, Jusko, J Pharmacokinet Biopharm 1993;21:457-478, doi 10.1007/BF01061691),
here with complete inhibition at high concentrations. The typical values are where the fit of run.py starts.
"""

import qspx


def par(value, unit, meaning):
    return qspx.Parameter(value, unit, meaning, source="start of the fit in run.py", tag="estimated")


class WarfarinPCA(qspx.AbstractModel):
    time_unit = "h"
    citation = "O'Reilly & Aggeler 1963, 1968; turnover model of Dayneka, Garg & Jusko 1993"
    doi = "10.1007/BF01061691"

    depot = qspx.Species("mg", "warfarin in the gut", lag="tlag", route="oral")
    central = qspx.Species("mg", "warfarin")
    R = qspx.Species("%", "prothrombin complex activity, of normal")

    CP = qspx.Observable("mg/L", "warfarin in plasma")
    PCA = qspx.Observable("%", "prothrombin complex activity, of normal")

    tlag = par(0.8, "h", "lag of absorption")
    ka = par(1.0, "1/h", "absorption rate constant")
    CL = par(0.13, "L/h", "clearance over bioavailability")
    V = par(8.0, "L", "volume over bioavailability")
    PCA0 = par(96.0, "%", "activity without drug")
    kout = par(0.05, "1/h", "rate constant of loss of activity")
    IC50 = par(1.2, "mg/L", "concentration that halves production")

    def initial(self, p):
        return {"R": p.PCA0}

    def rates(self, t, y, p):
        c = y.central / p.V
        return {
            "depot": -p.ka * y.depot,
            "central": p.ka * y.depot - p.CL * c,
            "R": p.kout * (p.PCA0 * p.IC50 / (p.IC50 + c) - y.R),
        }

    def observables(self, t, y, p):
        return {"CP": y.central / p.V, "PCA": y.R}
