import time

import numpy as np
import pandas as pd

import qspx

qspx.enable_x64()
from qspx.calibrate.estimated import Estimated
from qspx.nlme.base import *
from qspx.nlme.data import *
from qspx.nlme.fo import FO
from qspx.nlme.foce import FOCE
from qspx.nlme.focei import FOCEI
from qspx.nlme.laplace import Laplace
from qspx.nlme.problem import *
from qspx.nlme.random_effects import *
from qspx.nlme.residual_errors import *


class Wang(qspx.AbstractModel):
    time_unit = "h"
    C = qspx.Species("mg/L")
    ke = qspx.Parameter(0.5, "1/h")
    C0 = qspx.Parameter(10.0, "mg/L")

    def initial(self, p):
        return {"C": p.C0}

    def rates(self, t, y, p):
        return {"C": -p.ke * y.C}


d = pd.read_csv("/work/shared/reference/nlme/Wang2007.csv")
data = PopulationData.read(d, Wang(), Endpoint("C"), unit="mg", time_unit="h", columns={"Y": "DV"})
print(data)
s = 0.1**0.5
for err in (ProportionalError(s), AdditiveError(s)):
    pr = PopulationProblem(
        data,
        [Estimated("ke", (0.01, 10))],
        [RandomEffect("ke", 0.2)],
        {"C": err},
        integrator=qspx.BatchIntegrator(rtol=1e-10),
    )
    for m in (FO(), FOCE(), FOCEI(), Laplace()):
        t = time.time()
        o = PopulationObjective(pr, m)
        r = o(pr.start)
        g = r.gradient
        x = pr.start
        fd = []
        for k in range(len(x)):
            e = np.zeros(len(x))
            e[k] = 1e-4
            fd.append((o(x + e).value - o(x - e).value) / 2e-4)
        print(m.name, r.value, g, np.array(fd), time.time() - t, r.converged.all())
