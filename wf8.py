exec(open("wf.py").read().split("t=time.time(); o=")[0])
f = PopulationFit.load("/tmp/w/h4_wf.json", PopulationObjective(pr, FOCEI()))
print(f.evaluated.converged.all(), f.ofv)
p = f.individuals.parameters()
i = list(p.ID).index(8)
print(p.iloc[i])
print(data.to_frame().query("ID==8 and observable=='CP'")[["TIME", "DV"]].T.to_string())
o = f.objective
e = o.estimates(f.x, f.evaluated.z, None)
j = o.joint(f.x, e.z, e.jets, e.jets.f)
g = np.asarray(j.gradient)[i]
H = np.asarray(j.curvature)[i]
print(e.z[i], g, np.linalg.eigvalsh(H), g @ np.linalg.solve(H, g))
d = -np.linalg.solve(H, g)
for s in (-0.01, -1e-3, -1e-4, 0, 1e-4, 1e-3, 0.01, 0.1, 0.3, 1):
    z = e.z.copy()
    z[i] += s * d
    jets = o.individuals.jets(o.u_of(f.x, z))
    print(s, repr(float(o.joint(f.x, z, jets, e.jets.f).value[i])))
n = 0
oj = o.individuals.jets


def cnt(u):
    global n
    n += 1
    return oj(u)


o.individuals.__dict__["jets"] = cnt
for start in (np.zeros_like(f.evaluated.z), f.evaluated.z):
    n = 0
    r = o(f.x, start)
    print("solves", n, r.converged.all(), r.value)
n = 0
r = o(pr.start)
print(n, r.converged.all())
n = 0
r = o(pr.start, r.z)
print(n, r.converged.all())
r0 = o(f.x)
r1 = o(f.x, f.evaluated.z)
J = []
for r in (r0, r1):
    jets = o.individuals.jets(o.u_of(f.x, r.z))
    J.append(np.asarray(o.joint(f.x, r.z, jets, jets.f).value))
d = np.flatnonzero(np.abs(r0.each - r1.each) > 1e-6)
print(d, r0.each[d], r1.each[d], J[0][d], J[1][d])
print(r0.z[d])
print(r1.z[d])
print(data.to_frame()[data.individual == d[0]].query("observable=='CP'")[["TIME", "DV"]].T.to_string())
