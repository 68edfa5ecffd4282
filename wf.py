import sys
import time

import numpy as np

import qspx

qspx.enable_x64()

from qspx.calibrate.estimated import Estimated
from qspx.nlme import *

model = qspx.load_model("experiments/nlme_warfarin/warfarin_pca.py")
data = PopulationData.read(
    "/work/shared/reference/nlme/warfarin.csv",
    model,
    {"cp": Endpoint("CP", "mg/L"), "pca": Endpoint("PCA", "%")},
    unit="mg",
    time_unit="h",
    covariates=["wt", "sex"],
)
print(data)
E = Estimated
names = ["tlag", "ka", "CL", "V", "PCA0", "kout", "IC50"]
pr = PopulationProblem(
    data,
    [
        E("tlag", (0.05, 5)),
        E("ka", (0.05, 20)),
        E("CL", (0.01, 5)),
        E("V", (0.5, 100)),
        E("PCA0", (20, 200)),
        E("kout", (0.002, 2)),
        E("IC50", (0.05, 20)),
    ],
    [RandomEffect(n, 0.3) for n in names],
    {
        "CP": CombinedError(E("cp_add", (0.01, 5), 0.4), E("cp_prop", (0.005, 1), 0.1)),
        "PCA": AdditiveError(E("pca_add", (0.1, 50), 5.0)),
    },
    covariate_effects=[PowerEffect("CL", "wt", 0.75), PowerEffect("V", "wt", 1.0)],
)
t = time.time()
o = PopulationObjective(pr, FOCEI())
r = o(pr.start)
print(r.value, r.gradient, r.converged.sum(), time.time() - t)
for _ in range(3):
    t = time.time()
    r = o(pr.start, r.z)
    print("warm", time.time() - t)
if len(sys.argv) > 1:
    x = pr.start
    fd = []
    for k in range(len(x)):
        ee = np.zeros(len(x))
        ee[k] = 1e-3
        D = lambda h: o(x + h * ee, r.z).value - o(x - h * ee, r.z).value
        fd.append((8 * D(1) - D(2)) / 12e-3)
    fd = np.array(fd)
    print(np.c_[r.gradient, fd, r.gradient / fd - 1])
else:
    t = time.time()
    f = fit_population(pr)
    print(f, time.time() - t)
    f.save("/tmp/w/h4_wf.json")
