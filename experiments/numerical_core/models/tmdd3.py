"""Antibody with target-mediated disposition: free drug, free target, complex. A benchmark workload, not a drug.

Form: Mager & Jusko, J Pharmacokinet Pharmacodyn 2001;28:507-532, doi 10.1023/A:1014414520282, one compartment. The
values are typical of a monoclonal antibody against a membrane target and chosen for the benchmark.
"""

import qspx

CHOSEN = "chosen for the benchmark"


def par(value, unit, meaning):
    return qspx.Parameter(value, unit, meaning, source=CHOSEN, tag="assumed")


class Tmdd3(qspx.AbstractModel):
    L = qspx.Species("nM", "free drug")
    R = qspx.Species("nM", "free target")
    LR = qspx.Species("nM", "complex")

    kel = par(0.1, "1/day", "elimination of drug")
    kon = par(10.0, "1/nM/day", "association")
    koff = par(1.0, "1/day", "dissociation")
    ksyn = par(5.0, "nM/day", "synthesis of target")
    kdeg = par(0.5, "1/day", "degradation of target")
    kint = par(1.0, "1/day", "internalisation of complex")

    def initial(self, p):
        return {"R": p.ksyn / p.kdeg}

    def rates(self, t, y, p):
        bound = p.kon * y.L * y.R - p.koff * y.LR
        return {
            "L": -p.kel * y.L - bound,
            "R": p.ksyn - p.kdeg * y.R - bound,
            "LR": bound - p.kint * y.LR,
        }
