"""T-cell engager: disposition, dimers with CD3 and with the tumour antigen, trimer, shed antigen, tumour growth.

A benchmark workload of the size and stiffness of published T-cell-engager models (12 states, 24 parameters, association
rates of 20 and 50 /nM/day); the values are chosen and describe no drug.
"""

import qspx

CHOSEN = "chosen for the benchmark"
TUMOUR_SHARE = 0.02  # of the plasma volume that drug in the tumour stands for
SHED_SHARE = 0.1  # of shed antigen that reaches plasma
CROWDING = 0.1  # of tumour growth, per unit of tumour


def par(value, unit, meaning):
    return qspx.Parameter(value, unit, meaning, source=CHOSEN, tag="assumed")


class Tce12(qspx.AbstractModel):
    A = qspx.Species("nmol", "drug at the subcutaneous site")
    C1 = qspx.Species("nM", "free drug, plasma")
    C2 = qspx.Species("nM", "free drug, periphery")
    D = qspx.Species("nM", "free drug, tumour")
    T3 = qspx.Species("nM", "free CD3")
    B = qspx.Species("nM", "free tumour antigen")
    DT = qspx.Species("nM", "drug on CD3")
    DB = qspx.Species("nM", "drug on the antigen")
    TDB = qspx.Species("nM", "trimer")
    S = qspx.Species("nM", "soluble antigen, plasma")
    CS = qspx.Species("nM", "drug on soluble antigen, plasma")
    N = qspx.Species("1", "tumour, relative to the start")

    ka = par(0.8, "1/day", "absorption")
    V = par(3.0, "L", "plasma volume")
    CL = par(0.6, "L/day", "clearance")
    Q = par(0.8, "L/day", "distribution clearance")
    V2 = par(2.5, "L", "peripheral volume")
    kdist = par(2.0, "1/day", "exchange with the tumour")
    eps = par(0.3, "", "tumour to plasma ratio")
    kon3 = par(20.0, "1/nM/day", "association with CD3")
    koff3 = par(40.0, "1/day", "dissociation from CD3")
    konB = par(50.0, "1/nM/day", "association with the antigen")
    koffB = par(5.0, "1/day", "dissociation from the antigen")
    ksT = par(10.0, "nM/day", "synthesis of CD3")
    kdT = par(1.0, "1/day", "degradation of CD3")
    ksB = par(50.0, "nM/day", "synthesis of antigen")
    kdB = par(1.0, "1/day", "degradation of antigen")
    kintT = par(2.0, "1/day", "internalisation of drug on CD3")
    kintB = par(1.5, "1/day", "internalisation of drug on the antigen")
    kintX = par(4.0, "1/day", "internalisation of the trimer")
    alpha = par(1.0, "", "cooperativity of the second binding")
    kshed = par(0.3, "1/day", "shedding of antigen")
    kdS = par(3.0, "1/day", "elimination of soluble antigen")
    kgrow = par(0.08, "1/day", "tumour growth")
    Emax = par(0.8, "1/day", "largest killing rate")
    EC50 = par(0.5, "nM", "trimer of half-maximal killing")

    def initial(self, p):
        antigen = p.ksB / (p.kdB + p.kshed)
        return {"T3": p.ksT / p.kdT, "B": antigen, "S": SHED_SHARE * p.kshed * antigen / p.kdS, "N": 1.0}

    def rates(self, t, y, p):
        on_T = p.kon3 * y.D * y.T3 - p.koff3 * y.DT
        on_B = p.konB * y.D * y.B - p.koffB * y.DB
        DB_on_T = p.alpha * p.kon3 * y.DB * y.T3 - p.koff3 * y.TDB
        DT_on_B = p.alpha * p.konB * y.DT * y.B - p.koffB * y.TDB
        on_S = p.konB * y.C1 * y.S - p.koffB * y.CS
        to_tumour = p.kdist * (p.eps * y.C1 - y.D)
        kill = p.Emax * y.TDB / (p.EC50 + y.TDB)
        return {
            "A": -p.ka * y.A,
            "C1": p.ka * y.A / p.V - p.CL / p.V * y.C1 - p.Q / p.V * (y.C1 - y.C2) - on_S - TUMOUR_SHARE * to_tumour,
            "C2": p.Q / p.V2 * (y.C1 - y.C2),
            "D": to_tumour - on_T - on_B,
            "T3": p.ksT - p.kdT * y.T3 - on_T - DB_on_T,
            "B": p.ksB * y.N - p.kdB * y.B - p.kshed * y.B - on_B - DT_on_B,
            "DT": on_T - DT_on_B - p.kintT * y.DT,
            "DB": on_B - DB_on_T - p.kintB * y.DB,
            "TDB": DB_on_T + DT_on_B - p.kintX * y.TDB,
            "S": SHED_SHARE * p.kshed * y.B - p.kdS * y.S - on_S,
            "CS": on_S - 0.5 * p.kdS * y.CS,
            "N": p.kgrow * y.N * (1.0 - CROWDING * y.N) - kill * y.N,
        }
