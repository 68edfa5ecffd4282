"""Indirect response with a circadian input, Hill terms and fast target binding: rates that depend on time.

A benchmark workload. Drug inhibits the synthesis of a response (Dayneka, Garg & Jusko, J Pharmacokinet Biopharm
1993;21:457-478, doi 10.1007/BF01061691), with an exponent; here the synthesis also follows the hour of the day, and the
response drives a saturating feedback. A method that leaves out df/dt loses its order. The values are chosen.
"""

import math

import jax.numpy as jnp

import qspx

CHOSEN = "chosen for the benchmark"


def par(value, unit, meaning, **more):
    return qspx.Parameter(value, unit, meaning, source=CHOSEN, tag="assumed", **more)


def hill(x, half, power):
    ratio = x / half
    return ratio**power / (1.0 + ratio**power)


class HillInput(qspx.AbstractModel):
    A = qspx.Species("nmol", "drug at the subcutaneous site")
    C = qspx.Species("nM", "free drug, plasma")
    P = qspx.Species("nM", "free drug, periphery")
    R = qspx.Species("nM", "free target")
    RC = qspx.Species("nM", "drug on target")
    E = qspx.Species("1", "response")
    M1 = qspx.Species("1", "response, delayed")
    M2 = qspx.Species("1", "response, delayed twice")
    F = qspx.Species("1", "feedback")

    ka = par(0.8, "1/day", "absorption")
    V = par(3.0, "L", "plasma volume")
    CL = par(0.5, "L/day", "clearance")
    Q = par(0.8, "L/day", "distribution clearance")
    V2 = par(2.5, "L", "peripheral volume")
    kon = par(20.0, "1/nM/day", "association with the target")
    koff = par(5.0, "1/day", "dissociation from the target")
    ksyn = par(2.0, "nM/day", "synthesis of target")
    kdeg = par(1.0, "1/day", "degradation of target")
    kint = par(2.0, "1/day", "internalisation of drug on target")
    kin = par(10.0, "1/day", "mean synthesis of the response")
    kout = par(10.0, "1/day", "loss of the response")
    amplitude = par(0.5, "", "circadian amplitude", bounds=(0.0, 1.0), scale="logit")
    hour = par(0.3, "day", "time of the peak of synthesis")
    day = qspx.Parameter(1.0, "day", "period", source="definition", tag="constant")
    IC50 = par(5.0, "nM", "drug of half-maximal inhibition")
    power = par(2.5, "", "Hill exponent of the inhibition")
    ktr = par(3.0, "1/day", "transit of the response")
    M50 = par(0.7, "", "delayed response of half-maximal feedback")
    steep = par(4.0, "", "Hill exponent of the feedback")
    kfeed = par(1.0, "1/day", "turnover of the feedback")

    def initial(self, p):
        level = p.kin / p.kout
        return {"R": p.ksyn / p.kdeg, "E": level, "M1": level, "M2": level, "F": hill(level, p.M50, p.steep)}

    def rates(self, t, y, p):
        bound = p.kon * y.C * y.R - p.koff * y.RC
        spread = p.Q * (y.C - y.P)
        clock = 1.0 + p.amplitude * jnp.cos(2 * math.pi * (t - p.hour) / p.day)
        drug = jnp.maximum(y.C, 0.0)
        return {
            "A": -p.ka * y.A,
            "C": (p.ka * y.A - p.CL * y.C - spread) / p.V - bound,
            "P": spread / p.V2,
            "R": p.ksyn - p.kdeg * y.R - bound,
            "RC": bound - p.kint * y.RC,
            "E": p.kin * clock * (1.0 - hill(drug, p.IC50, p.power)) / (0.5 + y.F) - p.kout * y.E,
            "M1": p.ktr * (y.E - y.M1),
            "M2": p.ktr * (y.M1 - y.M2),
            "F": p.kfeed * (hill(jnp.maximum(y.M2, 0.0), p.M50, p.steep) - y.F),
        }
