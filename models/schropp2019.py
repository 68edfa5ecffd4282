"""Bispecific antibody with target-mediated disposition: drug, two receptors, two dimers, one trimer.

Schropp, Khot, Shah, Koch, CPT Pharmacometrics Syst Pharmacol 2019;8:177-187, doi 10.1002/psp4.12369 (equations 1-9,
Table 2, as transcribed). The second binding step has the constants of the first (no cooperativity): kon3 = kon2,
kon4 = kon1, and the same for koff.

`k12 = 0` switches the peripheral compartment off. Without it and after an intravenous bolus, independent calculations
give an AUC of free drug 272 times as large after 250 mg as after 50 mg; the paper prints about 400, and about 1.5 for
the trimer instead of 1.36. Free drug falls within minutes after 50 mg, so the number depends on the quadrature.
"""

import qspx

SOURCE = "Schropp 2019, Table 2 (doi 10.1002/psp4.12369)"
CHECK = "independent calculation, IV bolus, no peripheral compartment, 0-80 d, AUC as an extra state"
MG = 6.7  # nmol


def par(value, unit, meaning, tag="literature", source=SOURCE, **more):
    return qspx.Parameter(value, unit, meaning, source=source, tag=tag, **more)


def bolus(model, mg, summary):
    """An endpoint of the published comparison: intravenous bolus of `mg`, no peripheral compartment, 80 days."""
    endpoints = [qspx.AUC("C"), qspx.AUC("T"), qspx.Max("T"), qspx.Tmax("T")]
    solution = qspx.simulate(
        model,
        qspx.Regimen.single(mg * MG, "nmol", "C"),
        [80.0],
        parameters={"k12": 0.0},
        observables=["C"],
        summaries=endpoints,
        integrator=qspx.DiffraxIntegrator(rtol=1e-9, atol=1e-12),
    )
    return solution.summaries[summary]


def number(name, value, unit, compute, rtol=1e-4):
    return qspx.Published(name, value, unit, compute, rtol, CHECK)


class Schropp2019(qspx.AbstractModel):
    citation = "Schropp et al., CPT Pharmacometrics Syst Pharmacol 2019;8:177-187"
    doi = "10.1002/psp4.12369"
    molar_mass = "MW"

    AD = qspx.Species("nmol", "drug at the subcutaneous site", bioavailability="F", route="SC")
    C = qspx.Species("nM", "free drug", volume="V", route="IV")
    AP = qspx.Species("nmol", "drug, peripheral")
    RA = qspx.Species("nM", "free receptor A (effector cell)", volume="V")
    RB = qspx.Species("nM", "free receptor B (target cell)", volume="V")
    RCA = qspx.Species("nM", "drug on receptor A", volume="V")
    RCB = qspx.Species("nM", "drug on receptor B", volume="V")
    T = qspx.Species("nM", "trimer: drug on both receptors", volume="V")

    MW = par(1e6 / MG, "g/mol", "molar mass", "assumed", "1 mg = 6.7 nmol")
    V = par(3.0, "L", "volume of the central compartment")
    ka = par(0.2, "1/day", "absorption rate constant")
    F = par(0.75, "", "bioavailability", bounds=(0.0, 1.0), scale="logit")
    kel = par(0.1, "1/day", "elimination rate constant")
    k12 = par(0.1, "1/day", "central to peripheral", scale="lin")
    k21 = par(0.03, "1/day", "peripheral to central")
    kon1 = par(10.0, "1/nM/day", "association, receptor A")
    koff1 = par(0.01, "1/day", "dissociation, receptor A")
    kon2 = par(1.0, "1/nM/day", "association, receptor B")
    koff2 = par(0.01, "1/day", "dissociation, receptor B")
    ksynA = par(1.0, "nM/day", "synthesis of receptor A")
    kdegA = par(0.1, "1/day", "degradation of receptor A")
    ksynB = par(10.0, "nM/day", "synthesis of receptor B")
    kdegB = par(0.1, "1/day", "degradation of receptor B")
    kintA = par(0.05, "1/day", "internalisation of drug on receptor A")
    kintB = par(0.05, "1/day", "internalisation of drug on receptor B")
    kintAB = par(0.1, "1/day", "internalisation of the trimer")

    C_total = qspx.Observable("nM", "drug in the central compartment, free and bound")
    RO_A = qspx.Observable("", "occupied share of receptor A")
    RO_B = qspx.Observable("", "occupied share of receptor B")

    published = (
        number("AUC(C), 50 mg", 10.2506, "nM day", lambda m: bolus(m, 50, "auc(C)")),
        number("AUC(C), 250 mg", 2792.89, "nM day", lambda m: bolus(m, 250, "auc(C)")),
        number("AUC(C) ratio, 250 to 50 mg", 272.46, "", lambda m: bolus(m, 250, "auc(C)") / bolus(m, 50, "auc(C)")),
        number("AUC(T) ratio, 250 to 50 mg", 1.3634, "", lambda m: bolus(m, 250, "auc(T)") / bolus(m, 50, "auc(T)")),
        number("time of the trimer peak, 50 mg", 2.82, "day", lambda m: bolus(m, 50, "tmax(T)"), 2e-3),
        number("time of the trimer peak, 250 mg", 17.96, "day", lambda m: bolus(m, 250, "tmax(T)"), 3e-4),
        number("trimer peak, 50 mg", 10.033, "nM", lambda m: bolus(m, 50, "max(T)")),
        number("trimer peak, 250 mg", 11.937, "nM", lambda m: bolus(m, 250, "max(T)")),
    )

    def initial(self, p):
        return {"RA": p.ksynA / p.kdegA, "RB": p.ksynB / p.kdegB}

    def rates(self, t, y, p):
        to_A = p.kon1 * y.C * y.RA - p.koff1 * y.RCA
        to_B = p.kon2 * y.C * y.RB - p.koff2 * y.RCB
        A_to_T = p.kon2 * y.RB * y.RCA - p.koff2 * y.T  # kon3 = kon2
        B_to_T = p.kon1 * y.RA * y.RCB - p.koff1 * y.T  # kon4 = kon1
        return {
            "AD": -p.ka * y.AD,
            "C": p.ka * y.AD / p.V - (p.kel + p.k12) * y.C + p.k21 * y.AP / p.V - to_A - to_B,
            "AP": p.k12 * y.C * p.V - p.k21 * y.AP,
            "RA": p.ksynA - p.kdegA * y.RA - to_A - B_to_T,
            "RB": p.ksynB - p.kdegB * y.RB - to_B - A_to_T,
            "RCA": to_A - p.kintA * y.RCA - A_to_T,
            "RCB": to_B - p.kintB * y.RCB - B_to_T,
            "T": A_to_T + B_to_T - p.kintAB * y.T,
        }

    def observables(self, t, y, p):
        bound_A, bound_B = y.RCA + y.T, y.RCB + y.T
        return {
            "C_total": y.C + y.RCA + y.RCB + y.T,
            "RO_A": bound_A / (y.RA + bound_A),
            "RO_B": bound_B / (y.RB + bound_B),
        }
