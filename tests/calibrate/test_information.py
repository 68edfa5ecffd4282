"""Fisher information against closed forms."""

import math

import numpy as np
import pytest
import sympy
from uncertainty_systems import line, ratio, still

import qspx
from qspx._errors import CalibrationError
from qspx.calibrate.assigned import Assigned
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.information import fisher_information
from qspx.calibrate.noise import NormalNoise
from qspx.calibrate.objective import Group, Objective
from qspx.calibrate.phases import Phase
from qspx.calibrate.runs import Runs


class Theophylline(qspx.AbstractModel):
    """One compartment, first-order absorption, per kg of body weight."""

    time_unit = "h"
    depot = qspx.Species("mg")
    central = qspx.Species("mg")
    ka = qspx.Parameter(1.5, "1/h", "absorption")
    CL = qspx.Parameter(2.8, "L/h", "clearance")
    V = qspx.Parameter(32.0, "L", "volume")

    def rates(self, t, y, p):
        return {"depot": -p.ka * y.depot, "central": p.ka * y.depot - p.CL / p.V * y.central}


def test_a_line_has_the_covariance_of_least_squares():
    objective, mean, covariance = line()
    found = fisher_information(objective, mean)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-9)
    np.testing.assert_allclose(found.se_natural, np.sqrt(np.diag(covariance)), rtol=1e-9)
    assert found.correlation[0, 1] == pytest.approx(covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1]))
    half = 1.6448536269514722 * np.sqrt(np.diag(covariance))  # 95 % quantile of the standard normal
    np.testing.assert_allclose(found.interval(0.9), np.stack([mean - half, mean + half], axis=1), rtol=1e-9)
    assert "rank 2 of 2" in str(found) and list(found.to_dataframe()["note"]) == ["", ""]


def test_intervals_and_errors_are_carried_through_the_scale():
    """Three values of one known quantity m with sd 0.5: the information of m is 12, of log m it is 12 m²."""
    m = 2.5
    for scale, slope in (("log", m), ("log10", m * math.log(10)), ("logit", (m - 1) * (9 - m) / 8)):
        objective = still([Estimated("m", (1.0, 9.0), scale=scale)], lambda v: v[0], [2.0, 2.5, 3.0])
        x = objective.coordinates([m])
        found = fisher_information(objective, x)
        assert found.se[0] == pytest.approx(1 / (math.sqrt(12) * slope), rel=1e-9)
        assert found.se_natural[0] == pytest.approx(1 / math.sqrt(12), rel=1e-9)
        ends = np.asarray(
            objective.natural(np.stack([x - 1.959963984540054 * found.se, x + 1.959963984540054 * found.se]))
        )
        np.testing.assert_allclose(found.interval()[0], ends[:, 0], rtol=1e-12)
        assert scale != "logit" or (found.interval(0.999999) > 1).all()


def test_what_is_not_determined_has_infinite_error_and_what_is_at_a_bound_none():
    objective = ratio()
    found = fisher_information(objective, np.log([2.0, 1.0]))
    assert np.isinf(found.se).all() and not found.determined.any() and found.spectrum.rank == 1
    np.testing.assert_array_equal(found.interval(), [[0.0, np.inf]] * 2)
    held = fisher_information(objective, np.array([np.log(2.0), objective.box[1, 0]]))
    assert list(held.free) == [True, False]
    assert np.isfinite(held.se[0]) and np.isnan(held.se[1]) and held.spectrum.rank == 1
    assert list(held.to_dataframe()["note"]) == ["", "at a bound: held there"]


def test_mistakes_are_named():
    objective, mean, _ = line()
    with pytest.raises(CalibrationError, match="2 finite numbers"):
        fisher_information(objective, mean[:1])
    with pytest.raises(CalibrationError, match="slope does not"):
        fisher_information(objective, np.array([0.0, 51.0]))
    with pytest.raises(CalibrationError, match="`level`"):
        fisher_information(objective, mean).interval(95)


def bateman_information(times, dose, ka, cl, v, sigma):
    """On the scale of logarithms, additive error with estimated sigma: derivatives by computer algebra."""
    t, a, c, w = symbols = sympy.symbols("t a c w", positive=True)  # logarithms of nothing: plain parameters
    k = c / w
    f = dose * a / (w * (a - k)) * (sympy.exp(-k * t) - sympy.exp(-a * t))
    jacobian = sympy.lambdify(symbols, [sympy.diff(f, p) * p for p in (a, c, w)])
    rows = np.array([jacobian(x, ka, cl, v) for x in times])
    full = np.zeros((4, 4))
    full[:3, :3] = rows.T @ rows / sigma**2
    full[3, 3] = 2 * len(times)
    return full


def test_one_subject_of_the_theophylline_study(reference_dir):
    rows = np.genfromtxt(reference_dir / "nlme" / "theo_sd.csv", delimiter=",", names=True)
    rows = rows[rows["ID"] == 1]
    dose = float(rows["AMT"][rows["EVID"] > 0][0])
    seen = rows[(rows["EVID"] == 0) & (rows["TIME"] > 0)]
    values = np.array([1.57, 2.75, 31.6, 0.7])
    names = ["ka", "CL", "V", "sigma"]
    estimated = [Estimated(n, (1e-3, 1e3)) for n in names]
    model, n = Theophylline(), len(seen)
    regimen = qspx.Regimen((qspx.Dose(dose, "mg", "depot"),), time_unit="h")
    runs = Runs.of(model, [regimen], [[(float(t), False) for t in seen["TIME"]]])
    group = Group(
        np.arange(n), lambda t, y, p, local: (y[1] / p[2], local[0]), Assigned.of([["sigma"]] * n, names), NormalNoise()
    )
    objective = Objective(
        tuple(estimated),
        (Phase(runs, Assigned.tiled(model.theta, 1, list(model.parameters), {"ka": 0, "CL": 1, "V": 2})),),
        np.zeros(n, int),
        np.array([runs.column(0, float(t)) for t in seen["TIME"]]),
        np.asarray(seen["TIME"], float),
        np.asarray(seen["DV"], float),
        np.zeros(n, int),
        (group,),
        qspx.BatchIntegrator(rtol=1e-10, atol=1e-12),
    )
    found = fisher_information(objective, np.log(values))
    expected = bateman_information(seen["TIME"], dose, *values)
    # the derivatives are those of the numerical solution, whose relative error is near rtol
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
