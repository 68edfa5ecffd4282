"""Robertson's chemical reaction: three species, rate constants nine orders of magnitude apart.

Robertson, in Walsh (ed.), Numerical Analysis, an Introduction, 1966, 178-182; problem ROBER of Hairer & Wanner, Solving
ODEs II, section IV.10 (doi 10.1007/978-3-642-05221-7), and of the Test Set for IVP Solvers (Mazzia & Magherini,
release 2.4, University of Bari, 2008), whose reference solution at t = 1e11 is `AT_1E11`.
"""

import qspx

AT_1E11 = {"A": 0.2083340149701255e-07, "B": 0.8333360770334713e-13, "C": 0.9999999791665050}
SOURCE = "Robertson 1966"


class Robertson(qspx.AbstractModel):
    time_unit = "s"

    A = qspx.Species("1", "reactant")
    B = qspx.Species("1", "intermediate")
    C = qspx.Species("1", "product")

    k1 = qspx.Parameter(0.04, "1/s", "A to B", source=SOURCE)
    k2 = qspx.Parameter(1e4, "1/s", "B + C to A + C", source=SOURCE)
    k3 = qspx.Parameter(3e7, "1/s", "2 B to B + C", source=SOURCE)

    def initial(self, p):
        return {"A": 1.0}

    def rates(self, t, y, p):
        slow, back, fast = p.k1 * y.A, p.k2 * y.B * y.C, p.k3 * y.B * y.B
        return {"A": back - slow, "B": slow - back - fast, "C": fast}
