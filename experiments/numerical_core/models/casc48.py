"""Signalling cascade of 8 layers with explicit enzyme complexes, a receptor and a delayed feedback: 48 states.

A benchmark workload with a sparse Jacobian (172 of 2,304 entries). Each layer is a cycle of activation and
inactivation by mass action (Goldbeter & Koshland, PNAS 1981;78:6840-6844, doi 10.1073/pnas.78.11.6840); five transit
states delay the feedback on receptor synthesis. The values are chosen for the benchmark.
"""

import qspx

CHOSEN = "chosen for the benchmark"
LAYERS, TRANSITS = 8, 5


def par(value, unit, meaning):
    return qspx.Parameter(value, unit, meaning, source=CHOSEN, tag="assumed")


def layer_species(i):
    return {
        f"X{i}": qspx.Species("nM", f"inactive, layer {i}"),
        f"Xp{i}": qspx.Species("nM", f"active, layer {i}"),
        f"EX{i}": qspx.Species("nM", f"activating complex, layer {i}"),
        f"Ph{i}": qspx.Species("nM", f"phosphatase, layer {i}"),
        f"PX{i}": qspx.Species("nM", f"inactivating complex, layer {i}"),
    }


def layer_parameters(i):
    return {
        f"k1_{i}": par(20.0, "1/nM/day", f"association with the activator, layer {i}"),
        f"k1r_{i}": par(40.0, "1/day", f"dissociation from the activator, layer {i}"),
        f"kc_{i}": par(30.0, "1/day", f"activation, layer {i}"),
        f"k2_{i}": par(50.0, "1/nM/day", f"association with the phosphatase, layer {i}"),
        f"k2r_{i}": par(50.0, "1/day", f"dissociation from the phosphatase, layer {i}"),
        f"kd_{i}": par(20.0, "1/day", f"inactivation, layer {i}"),
    }


class Casc48(qspx.AbstractModel):
    L = qspx.Species("nM", "free drug")
    R = qspx.Species("nM", "free receptor")
    LR = qspx.Species("nM", "active receptor")
    for _i in range(LAYERS):
        vars().update(layer_species(_i))
    for _i in range(TRANSITS):
        vars()[f"M{_i}"] = qspx.Species("nM", f"delayed signal {_i}")

    kel = par(0.3, "1/day", "elimination of drug")
    kon = par(5.0, "1/nM/day", "association with the receptor")
    koff = par(1.0, "1/day", "dissociation from the receptor")
    ksyn = par(5.0, "nM/day", "synthesis of receptor")
    kdeg = par(0.5, "1/day", "degradation of receptor")
    kint = par(1.0, "1/day", "internalisation of the complex")
    ktr = par(1.0, "1/day", "transit of the signal")
    fb = par(0.2, "1/nM", "feedback on receptor synthesis")
    for _i in range(LAYERS):
        vars().update(layer_parameters(_i))
    X_total = par(20.0, "nM", "inactive enzyme of every layer at the start")
    Ph_total = par(3.0, "nM", "phosphatase of every layer at the start")

    def initial(self, p):
        start = {f"X{i}": p.X_total for i in range(LAYERS)} | {f"Ph{i}": p.Ph_total for i in range(LAYERS)}
        return start | {"R": p.ksyn / p.kdeg}

    def rates(self, t, y, p):
        bound = p.kon * y.L * y.R - p.koff * y.LR
        dy = {
            "L": -p.kel * y.L - bound,
            "R": p.ksyn / (1.0 + p.fb * y[f"M{TRANSITS - 1}"]) - p.kdeg * y.R - bound,
            "LR": bound - p.kint * y.LR,
        }
        activator = "LR"
        for i in range(LAYERS):
            binding = p[f"k1_{i}"] * y[activator] * y[f"X{i}"] - p[f"k1r_{i}"] * y[f"EX{i}"]
            activated = p[f"kc_{i}"] * y[f"EX{i}"]
            capture = p[f"k2_{i}"] * y[f"Ph{i}"] * y[f"Xp{i}"] - p[f"k2r_{i}"] * y[f"PX{i}"]
            inactivated = p[f"kd_{i}"] * y[f"PX{i}"]
            dy[activator] = dy[activator] - binding + activated
            dy |= {
                f"X{i}": inactivated - binding,
                f"Xp{i}": activated - capture,
                f"EX{i}": binding - activated,
                f"Ph{i}": inactivated - capture,
                f"PX{i}": capture - inactivated,
            }
            activator = f"Xp{i}"
        signal = activator
        for i in range(TRANSITS):
            dy[f"M{i}"] = p.ktr * (y[signal] - y[f"M{i}"])
            signal = f"M{i}"
        return dy
