"""Tumour growth, exponential then linear, and inhibition by a drug whose amount in the body drives the effect.

Koch, Walz, Lahu, Schropp, J Pharmacokinet Pharmacodyn 2009;36:179-197:
dV/dt = 2 lambda0 lambda1 V / (lambda1 + 2 lambda0 V) - kappa c V. Concentrations were not measured in these mice, so c
is the amount of drug in the body, which leaves it with one rate constant (a K-PD model: Jacqmin et al., J Pharmacokinet
Pharmacodyn 2007;34:57-85, doi 10.1007/s10928-006-9035-z). The typical values are where the fit of run.py starts.
"""

import qspx


def par(value, unit, meaning):
    return qspx.Parameter(value, unit, meaning, source="start of the fit in run.py", tag="estimated")


class Koch2009(qspx.AbstractModel):
    citation = "Koch et al., J Pharmacokinet Pharmacodyn 2009;36:179-197"

    V = qspx.Species("mL", "tumour volume")
    A = qspx.Species("mg", "drug in the body", route="oral")

    V0 = par(0.15, "mL", "tumour volume at the first measurement")
    lambda0 = par(0.1, "1/day", "rate constant of exponential growth")
    lambda1 = par(0.1, "mL/day", "rate of linear growth")
    kappa = par(0.1, "1/mg/day", "rate constant of killing per amount of drug")
    ke = par(0.5, "1/day", "rate constant of loss of drug")

    def initial(self, p):
        return {"V": p.V0}

    def rates(self, t, y, p):
        growth = 2.0 * p.lambda0 * p.lambda1 * y.V / (p.lambda1 + 2.0 * p.lambda0 * y.V)
        return {"V": growth - p.kappa * y.A * y.V, "A": -p.ke * y.A}
