"""D*(q, tau) against closed form: Cmax = dose WT / (MW V), so its q-quantile meets tau where V is at its (1 -
q)-quantile."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from linear_model import SINGLE, Linear

import qspx
from qspx._errors import DoseError, ThresholdError
from qspx.fih import CytokineThreshold, DoseContext, DoseResponses, Escalation, Mpad, Qsp, threshold_dose
from qspx.fih.threshold import interpolated_dose

LEVELS = tuple(np.geomspace(0.1, 1000, 9))
PEAK = qspx.Max("C", end=1.0)


@pytest.fixture(scope="module")
def responses():
    model = Linear()
    joint = qspx.Joint({"V": qspx.LogNormal(3.0, 0.4)})
    return DoseResponses(model, qspx.sample_cohort(model, joint, 101, key=3), LEVELS, progress=False)


def context(responses, **more):
    return DoseContext(
        molar_mass_g_per_mol=150_000.0,
        model=responses.model,
        population=responses.population,
        escalation=Escalation(SINGLE, LEVELS),
        responses=responses,
        key=0,
        **more,
    )


def closed_form(responses, q, tau):
    """ug/kg: C = dose 70 kg / (150 ug/nmol V)."""
    v = np.quantile(responses.population.column("V"), 1 - q)
    return tau * v * 150.0 / 70.0


@pytest.mark.parametrize("q", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("tau", [0.05, 1.7])
def test_closed_form(responses, q, tau):
    # C is linear in 1/V, not in V, between order statistics: 101 subjects put every quantile used here on one of them
    found = threshold_dose(responses, SINGLE, PEAK, q, tau)
    assert found.dose == pytest.approx(closed_form(responses, q, tau), rel=1e-3)  # the search's own tolerance
    assert found.reached == pytest.approx(tau, rel=1e-3)
    assert found.peak_dose is None


def test_steep_metric_beside_a_simulated_level(responses):
    """The dose lies within 0.06 % of a level, the metric 0.18 % from the one there: more than is tolerated."""
    v = np.quantile(responses.population.column("V"), 0.5)
    dose = LEVELS[4] * 1.0006
    c = dose * 70 / 150 / v
    found = threshold_dose(responses, SINGLE, qspx.Max("steep", end=1.0), 0.5, c * (c / 10.0) ** 2)
    assert found.dose == pytest.approx(dose, rel=4e-4)  # a third of the tolerance of the metric


def test_bell_shape_gives_the_rising_limb_and_says_where_the_peak_is(responses):
    tau = 1.0  # trimer = C / (1 + C/10)^2 = 1 at C = 1.2702 (rising) and C = 78.73 (falling)
    found = threshold_dose(responses, SINGLE, qspx.Max("trimer", start=0.0, end=1e-3), 0.5, tau)
    rising = min(np.roots([tau / 100, 2 * tau / 10 - 1, tau]).real)
    # C falls by 1e-4 in the window, and the peak of a falling C on the rising limb is its start
    assert found.dose == pytest.approx(closed_form(responses, 0.5, rising), rel=2e-3)
    assert found.peak_dose is not None and found.peak_dose > found.dose
    assert "bell-shaped" in found.notes[0]


def test_above_the_peak_is_an_error(responses):
    with pytest.raises(ThresholdError, match=r"never reached.*peaks there"):
        threshold_dose(responses, SINGLE, qspx.Max("trimer", start=0.0, end=1e-3), 0.5, 3.0)


def test_never_and_always_reached(responses):
    with pytest.raises(ThresholdError, match=r"never reached.*extend the dose range upwards"):
        threshold_dose(responses, SINGLE, PEAK, 0.5, 1e6)
    with pytest.raises(ThresholdError, match=r"always exceeded.*downwards"):
        threshold_dose(responses, SINGLE, PEAK, 0.5, 1e-6)


def test_not_monotone_on_the_grid(responses):
    with pytest.raises(ThresholdError, match="not monotone on the dose grid"):
        threshold_dose(responses, SINGLE, qspx.Max("wave", start=0.0, end=1e-3), 0.5, 1.0)


def test_weights_count(responses):
    heavy = int(np.argsort(responses.population.column("V"))[90])
    weights = np.full(101, 1e-9)
    weights[heavy] = 1.0
    cohort = dataclasses.replace(responses.population, weights=weights)
    weighted = DoseResponses(responses.model, cohort, LEVELS, progress=False)
    found = threshold_dose(weighted, SINGLE, PEAK, 0.5, 1.0)
    assert found.dose == pytest.approx(cohort.column("V")[heavy] * 150 / 70, rel=5e-3)


def test_every_endpoint_is_simulated_once(responses):
    before = responses.runs
    responses.get(SINGLE, PEAK)
    responses.get(SINGLE.scaled_to(7.0), PEAK)
    assert responses.runs == before


def test_interval_of_resampling_covers_the_estimate_and_shrinks_with_the_population(responses):
    wide = Qsp(metric=PEAK, threshold=1.0, quantile=0.5, regimen=SINGLE).estimate(context(responses))
    assert wide.interval is not None
    assert wide.interval[0] < wide.dose_ug_per_kg < wide.interval[2]
    joint = qspx.Joint({"V": qspx.LogNormal(3.0, 0.4)})
    many = DoseResponses(
        responses.model, qspx.sample_cohort(responses.model, joint, 1601, key=4), LEVELS, progress=False
    )
    narrow = Qsp(metric=PEAK, threshold=1.0, quantile=0.5, regimen=SINGLE).estimate(context(many))
    assert narrow.interval is not None
    ratio = np.log(wide.interval[2] / wide.interval[0]) / np.log(narrow.interval[2] / narrow.interval[0])
    assert 2.5 < ratio < 6.5  # sqrt(1601 / 101) = 4, itself estimated from two samples
    # bootstrap of a median: sd(ln V) sqrt(pi / 2 / n) on either side, 1.645 of it at 5 and 95 %
    expected = 2 * 1.645 * np.sqrt(np.log(1.16)) * np.sqrt(np.pi / 2 / 1601)
    assert np.log(narrow.interval[2] / narrow.interval[0]) == pytest.approx(expected, rel=0.35)


def test_uncertain_typical_value_widens_the_interval_by_its_own_spread(responses):
    from qspx.fih import TypicalValueUncertainty

    unsure = TypicalValueUncertainty(qspx.Joint({"MW": qspx.LogNormal(150_000.0, 0.3)}), draws=60, subjects=101)
    estimate = Qsp(metric=PEAK, threshold=1.0, quantile=0.5, regimen=SINGLE).estimate(
        context(responses, uncertainty=unsure)
    )
    assert estimate.interval is not None
    # D* is proportional to MW: omega of a CV of 30 % plus the (smaller) spread of the resampled median
    omega = np.sqrt(np.log(1.09) + np.log(1.16) * np.pi / 2 / 101)
    assert np.log(estimate.interval[2] / estimate.interval[0]) == pytest.approx(2 * 1.645 * omega, rel=0.3)


def test_safety_factor_and_families(responses):
    plain = Mpad(metric=PEAK, threshold=1.0, regimen=SINGLE).estimate(context(responses))
    half = Qsp(metric=PEAK, threshold=1.0, quantile=0.5, regimen=SINGLE, safety_factor=2).estimate(context(responses))
    assert (plain.family, half.family) == ("MPAD", "QSP")
    assert half.dose_ug_per_kg == pytest.approx(plain.dose_ug_per_kg / 2, rel=1e-9)
    assert plain.applies_to == "single dose"
    sweep = CytokineThreshold(metric=PEAK, threshold=1.0, regimen=SINGLE).sweep([0.5, 1.0, 2.0])
    doses = [m.estimate(context(responses)).dose_ug_per_kg for m in sweep]
    assert doses == pytest.approx([closed_form(responses, 0.95, t) for t in (0.5, 1.0, 2.0)], rel=2e-3)


def test_interpolation_at_the_ends_is_cut_off(responses):
    response = responses.get(SINGLE, PEAK)
    assert interpolated_dose(response, 0.5, 1e9) == response.levels[-1]
    assert interpolated_dose(response, 0.5, 1e-9) == response.levels[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": -1.0}, "threshold"),
        ({"threshold": 1.0, "quantile": 1.0}, "quantile"),
        ({"threshold": 1.0, "metric": qspx.Max("C")}, "end=28"),
        ({"threshold": 1.0, "safety_factor": 0.0}, "safety_factor"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(DoseError, match=message):
        Qsp(**({"metric": PEAK} | arguments))


def test_outside_compare_doses_it_says_what_is_missing():
    with pytest.raises(DoseError, match="compare_doses"):
        Qsp(metric=PEAK, threshold=1.0).estimate()
