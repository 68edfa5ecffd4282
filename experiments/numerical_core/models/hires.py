"""HIRES: growth of plant tissue under high irradiance, eight species.

Schaefer, J Math Biol 1975;2:41-56, doi 10.1007/BF00276015; problem HIRES of Hairer & Wanner, Solving ODEs II, section
IV.10 (doi 10.1007/978-3-642-05221-7), and of the Test Set for IVP Solvers (Mazzia & Magherini, release 2.4, University
of Bari, 2008), whose reference solution at t = 321.8122 is `AT_THE_END`.
"""

import qspx

END = 321.8122
AT_THE_END = {
    "y1": 0.7371312573325668e-3,
    "y2": 0.1442485726316185e-3,
    "y3": 0.5888729740967575e-4,
    "y4": 0.1175651343283149e-2,
    "y5": 0.2386356198831331e-2,
    "y6": 0.6238968252742796e-2,
    "y7": 0.2849998395185769e-2,
    "y8": 0.2850001604814231e-2,
}
SOURCE = "Hairer & Wanner 1996, IV.10"


def par(value):
    return qspx.Parameter(value, "1/s", source=SOURCE)


class Hires(qspx.AbstractModel):
    time_unit = "s"

    y1, y2, y3, y4, y5, y6, y7, y8 = (qspx.Species("1") for _ in range(8))

    k1, k2, k3, k4, k5, k6 = par(1.71), par(0.43), par(8.32), par(0.69), par(0.035), par(8.32)
    k_plus, k_minus, k_star = par(280.0), par(0.69), par(0.69)
    source = par(0.0007)

    def initial(self, p):
        return {"y1": 1.0, "y8": 0.0057}

    def rates(self, t, y, p):
        bound = p.k_plus * y.y6 * y.y8
        return {
            "y1": -p.k1 * y.y1 + p.k2 * y.y2 + p.k6 * y.y3 + p.source,
            "y2": p.k1 * y.y1 - (p.k2 + p.k3) * y.y2,
            "y3": -(p.k6 + p.k1) * y.y3 + p.k2 * y.y4 + p.k5 * y.y5,
            "y4": p.k3 * y.y2 + p.k1 * y.y3 - (p.k2 + p.k4) * y.y4,
            "y5": -(p.k1 + p.k5) * y.y5 + p.k2 * (y.y6 + y.y7),
            "y6": -bound + p.k4 * y.y4 + p.k1 * y.y5 - p.k2 * y.y6 + p.k_minus * y.y7,
            "y7": bound - (p.k2 + p.k_minus + p.k_star) * y.y7,
            "y8": -bound + (p.k2 + p.k_minus + p.k_star) * y.y7,
        }
