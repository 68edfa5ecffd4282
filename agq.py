exec(open("theo.py").read().split("for m in")[0])
from qspx.nlme.quadrature import AdaptiveQuadrature

for n in (1, 5, 9, 15):
    t = time.time()
    o = PopulationObjective(pr, AdaptiveQuadrature(n))
    r = o(pr.start)
    print(n, r.value, r.gradient, time.time() - t)
    t = time.time()
    r = o(pr.start, r.z)
    print("warm", time.time() - t)
    if n == 5:
        x = pr.start
        fd = []
        for k in range(len(x)):
            ee = np.zeros(len(x))
            ee[k] = 1e-3
            D = lambda h: o(x + h * ee).value - o(x - h * ee).value
            fd.append((8 * D(1) - D(2)) / 12e-3)
        print(r.gradient / np.array(fd) - 1)
    if n == 9:
        x = pr.coordinates(
            {"ka": e(0.459289), "CL": e(1.011669), "V": e(3.453848), "add": 0.695913},
            np.diag([0.405041, 0.070315, 0.018485]),
        )
        r = o(x)
        print("opt", r.value, r.gradient)
