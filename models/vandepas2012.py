"""Cholesterol in the body: intestine, liver, HDL and non-HDL in plasma, periphery; free and esterified.

van de Pas et al., J Lipid Res 2012;53:2734-2746, doi 10.1194/jlr.M031930, as implemented and bounded for virtual
populations by Rieger et al., Prog Biophys Mol Biol 2018;139:15-22, doi 10.1016/j.pbiomolbio.2018.06.002 (code:
openPfizer/vpop-gen, Apache-2.0). States are amounts; 21 rates, R1 to R4 and R17 of order zero, R21 bilinear.

`prior` is the box in which Rieger 2018 looks for patients, `STATE_BOUNDS` what a patient's steady state must keep to.
Patients are their steady states: the start is the published baseline, which is one but for the printed digits.
"""

import qspx

SOURCE = "van de Pas 2012 (doi 10.1194/jlr.M031930), as in openPfizer/vpop-gen 8ec99af"
BASELINE_SOURCE = "baseline of openPfizer/vpop-gen 8ec99af"

# name: (baseline, lower, upper); literature mean +- 3 SD where they are not a fifth and five times the baseline
BOX = {
    "k01": (0.44, 0.0362, 1.44),
    "k02": (3.79, 0.0, 12.1),
    "k03": (0.18, 0.0692, 0.4995),
    "k04": (1.09, 0.01, 2.19),
    "k05": (1.01568, 1.01568 / 5, 1.01568 * 5),
    "k06": (0.498952, 0.498952 / 5, 0.498952 * 5),
    "k07": (0.11651, 0.11651 / 5, 0.11651 * 5),
    "k08": (0.031893, 0.031893 / 5, 0.031893 * 5),
    "k09": (9.39068, 0.0, 17.58 / 0.837),
    "k10": (1.17998, 1.17998 / 5, 1.17998 * 5),
    "k11": (19.0, 19.0 / 5, 19.0 * 5),
    "k12": (0.0336934, 0.0336934 / 5, 0.0336934 * 5),
    "k13": (1.87575, 1.87575 / 5, 1.87575 * 5),
    "k14": (0.254167, 1.28 / 14.4, 6.03 / 14.4),
    "k15": (1.45258, 0.0, 3.71 / 1.2736),
    "k16": (0.0314073, 0.0314073 / 5, 0.0314073 * 5),
    "k17": (6.91, 6.91 / 5, 6.91 * 5),
    "k18": (0.0715278, 0.0, 2.23 / 14.4),
    "k19": (0.330556, 0.330556 / 5, 0.330556 * 5),
    "k20": (2.38693, 2.38693 / 5, 2.38693 * 5),
    "k21": (0.49266, 3.46 * 2.79 / (2.4831 * 11.2437), 6.64 * 2.79 / (2.4831 * 11.2437)),
    "ldl_nonhdl_ratio": (0.85, 0.0, 1.0),
}

# mmol at steady state; the lower bounds of hFC and hCE lack the plasma volume, as published
STATE_BOUNDS = {
    "iFC": (0.0, 4.8 * 0.64),
    "iCE": (0.0, 0.88 * 0.64),
    "lFC": (6.8 * 1.8, 9.2 * 1.8),
    "lCE": (3.5 * 1.8, 7.1 * 1.8),
    "hFC": (0.3627 / 4, 2.79 * 4.0415 / 4),
    "hCE": (0.3627 / 1.333, 2.79 * 4.0415 / 1.333),
    "N": (0.5959 * 2.79, 10.18 * 2.79),
    "pC": (0.34 * 64.8, 1.74 * 64.8),
    "LDL_amount": (0.232 * 2.79, 8.571 * 2.79),
}


def prior():
    """Uniform in the box of Rieger 2018, 22 parameters."""
    return qspx.Joint({name: qspx.Uniform(low, high) for name, (_, low, high) in BOX.items()})


def at_start(observable):
    """Of the published baseline state."""

    def compute(model):
        y = model.states_of(model.initial_vector(model.theta))
        return float(model.observables(0.0, y, model.values_of(model.theta))[observable])

    return compute


def at_rest(observable):
    """At the steady state; the slowest mode of the baseline is 0.047 per day."""

    def compute(model):
        states, _ = qspx.steady_states(model, within=2000.0)
        return float(model.observables(0.0, model.states_of(states[0]), model.values_of(model.theta))[observable])

    return compute


def published(name, value, compute, rtol, source=SOURCE):
    return qspx.Published(name, value, "mg/dL", compute, rtol, source)


def rate(name, unit, meaning):
    return qspx.Parameter(BOX[name][0], unit, meaning, source=SOURCE, scale="lin", tag="literature")


def pool(meaning):
    """An amount. Transport of order zero out of the liver can make it negative: such a patient is found implausible by
    the bounds, rather than stopped in the solve."""
    return qspx.Species("mmol", meaning, signed=True)


def start(value, meaning):
    return qspx.Parameter(value, "mmol", f"{meaning}, at the start", source=BASELINE_SOURCE, tag="constant")


class VanDePas2012(qspx.AbstractModel):
    citation = "van de Pas et al., J Lipid Res 2012;53:2734-2746"
    doi = "10.1194/jlr.M031930"

    iFC = pool("free cholesterol, intestine")
    iCE = pool("cholesterol ester, intestine")
    lFC = pool("free cholesterol, liver")
    lCE = pool("cholesterol ester, liver")
    hFC = pool("free cholesterol, HDL in plasma")
    hCE = pool("cholesterol ester, HDL in plasma")
    N = pool("cholesterol, non-HDL in plasma")
    pC = pool("cholesterol, periphery")

    k01 = rate("k01", "mmol/day", "hepatic synthesis")
    k02 = rate("k02", "mmol/day", "peripheral synthesis")
    k03 = rate("k03", "mmol/day", "intestinal synthesis")
    k04 = rate("k04", "mmol/day", "dietary intake")
    k05 = rate("k05", "1/day", "hepatic uptake from LDL")
    k06 = rate("k06", "1/day", "VLDL secretion")
    k07 = rate("k07", "1/day", "peripheral uptake from LDL")
    k08 = rate("k08", "1/day", "peripheral transport to HDL")
    k09 = rate("k09", "1/day", "esterification in HDL")
    k10 = rate("k10", "1/day", "hepatic uptake of HDL ester")
    k11 = rate("k11", "1/day", "chylomicron secretion")
    k12 = rate("k12", "1/day", "peripheral loss")
    k13 = rate("k13", "1/day", "hepatic uptake of free HDL cholesterol")
    k14 = rate("k14", "1/day", "biliary excretion")
    k15 = rate("k15", "1/day", "fecal excretion")
    k16 = rate("k16", "1/day", "intestinal transport to HDL")
    k17 = rate("k17", "mmol/day", "hepatic transport to HDL")
    k18 = rate("k18", "1/day", "hepatic catabolism")
    k19 = rate("k19", "1/day", "hepatic esterification")
    k20 = rate("k20", "1/day", "intestinal esterification")
    k21 = rate("k21", "L/mmol/day", "transfer of ester from HDL to LDL")
    ldl_nonhdl_ratio = rate("ldl_nonhdl_ratio", "", "share of LDL in non-HDL cholesterol")
    V_plasma = qspx.Parameter(2.79, "L", "volume of plasma", source=SOURCE, tag="constant")
    mg_dL = qspx.Parameter(38.66, "mg/dL/(mmol/L)", "conversion", source="molar mass of cholesterol", tag="constant")
    iFC_0 = start(1.2736, "free cholesterol, intestine")
    iCE_0 = start(0.16, "ester, intestine")
    lFC_0 = start(14.4, "free cholesterol, liver")
    lCE_0 = start(9.54, "ester, liver")
    hFC_0 = start(0.837, "free cholesterol, HDL")
    hCE_0 = start(2.4831, "ester, HDL")
    N_0 = start(11.2437, "non-HDL")
    pC_0 = start(77.76, "periphery")

    HDL = qspx.Observable("mg/dL", "HDL cholesterol in plasma")
    LDL = qspx.Observable("mg/dL", "LDL cholesterol in plasma")
    TC = qspx.Observable("mg/dL", "total cholesterol in plasma")
    LDL_amount = qspx.Observable("mmol", "LDL cholesterol in plasma, amount")

    published = (
        published("HDL at the baseline", 46.005, at_start("HDL"), 2e-5, BASELINE_SOURCE),
        published("LDL at the baseline", 132.430, at_start("LDL"), 1e-5, BASELINE_SOURCE),
        published("TC at the baseline", 201.805, at_start("TC"), 1e-5, BASELINE_SOURCE),
        published("HDL at steady state", 46.005433, at_rest("HDL"), 2e-8, "root of the rates, independent calculation"),
        published(
            "LDL at steady state", 132.429454, at_rest("LDL"), 1e-8, "root of the rates, independent calculation"
        ),
        published("TC at steady state", 201.804790, at_rest("TC"), 1e-8, "root of the rates, independent calculation"),
    )

    def initial(self, p):
        return {name: p[f"{name}_0"] for name in self.species}

    def rates(self, t, y, p):
        R5, R6, R7, R8 = p.k05 * y.N, p.k06 * y.lCE, p.k07 * y.N, p.k08 * y.pC
        R9, R10, R11, R12 = p.k09 * y.hFC, p.k10 * y.hCE, p.k11 * y.iCE, p.k12 * y.pC
        R13, R14, R15, R16 = p.k13 * y.hFC, p.k14 * y.lFC, p.k15 * y.iFC, p.k16 * y.iFC
        R18, R19, R20 = p.k18 * y.lFC, p.k19 * y.lFC, p.k20 * y.iFC
        R21 = p.k21 * y.hCE * y.N / p.V_plasma
        return {
            "iFC": p.k03 + p.k04 + R14 - R15 - R16 - R20,
            "iCE": R20 - R11,
            "lFC": p.k01 + R5 + R10 + R13 - R14 - p.k17 - R18 - R19,
            "lCE": R19 - R6,
            "hFC": R8 + R16 + p.k17 - R9 - R13,
            "hCE": R9 - R10 - R21,
            "N": R6 + R11 + R21 - R5 - R7,
            "pC": p.k02 + R7 - R8 - R12,
        }

    def observables(self, t, y, p):
        to_mg_dL = p.mg_dL / p.V_plasma
        LDL = p.ldl_nonhdl_ratio * y.N
        return {
            "HDL": (y.hFC + y.hCE) * to_mg_dL,
            "LDL": LDL * to_mg_dL,
            "TC": (y.N + y.hFC + y.hCE) * to_mg_dL,
            "LDL_amount": LDL,
        }
