"""Every table of an experiment file becomes the object of qspx that it stands for, in its units."""

import dataclasses
import inspect
import math

import numpy as np
import pytest

import qspx.fih as fih
from qspx import AUC, FractionAbove, Max, Regimen, TimeAbove, TimeBelow
from qspx.experiment import Experiment, build, load_experiment

SINGLE = Regimen.single(1.0, "ug/kg", "depot")
EC20 = fih.Potency(assay="killing", values=0.1, unit="nM", level=0.2, source="made up")
PLASMA = fih.BolusCmax(3.0, "s")
FREE = fih.SimulatedMatch(Max("C", end=28.0), SINGLE, "free", source="this model")
MONKEY = fih.AnimalDose("monkey", 0.3, "mg/kg", "s")
BOLUS = 'match = { kind = "bolus", volume = "3000 mL", source = "s" }\nanalyte = "free"\n'
METRIC = 'metric = { kind = "max", observable = "C", end = 28 }\nsource = "s"\n'
MONKEY_TABLE = '{ species = "cynomolgus", dose = "0.3 mg/kg", source = "s" }'

# kind of method: its keys, and the object that they stand for
METHODS = {
    "mabel": ('potency = "ec20"\nlevel = 0.2\nmatch = "cmax"\n', fih.Mabel(potency=EC20, match=FREE, analyte="free")),
    "modified_mabel": (
        'potency = { assay = "a", values = [1, 2], unit = "pM", source = "s", system = "primary cells" }\n' + BOLUS,
        fih.ModifiedMabel(
            potency=fih.Potency(assay="a", values=[1, 2], unit="pM", source="s", system="primary cells"),
            match=PLASMA,
            analyte="free",
            cytokines=(),
        ),
    ),
    "receptor_occupancy": (
        f'target = "T"\nkd = "1900 pM"\nsource = "s"\n{BOLUS}',
        fih.ReceptorOccupancy(kd_nM=1.9, match=PLASMA, analyte="free", target="T", source="s"),
    ),
    "noael": (f"doses = [{MONKEY_TABLE}]\n", fih.Noael(doses=[MONKEY])),
    "noael_exposure": (
        'auc = [{ species = "monkey", value = "12 ug*h/mL", source = "s" }]\nclearance = "10 mL/h"\n'
        'clearance_source = "s"\nanalyte = "total"\n',
        fih.NoaelExposure(
            auc={"monkey": fih.Input("AUC at NOAEL, monkey", 12.0, "ug*h/mL", "s")},
            clearance_L_per_day=0.24,
            analyte="total",
            clearance_source="s",
        ),
    ),
    "ich_s9": (f"hnstd = {MONKEY_TABLE}\n", fih.IchS9(hnstd=MONKEY)),
    "pad_hed": (f"dose = {MONKEY_TABLE}\nsafety_factor = 3\n", fih.PadByHed(dose=MONKEY, safety_factor=3.0)),
    "pad_exposure": (
        f'concentration = {{ name = "Cavg", value = "12 ng/mL", source = "s" }}\n{BOLUS}',
        fih.PadByExposure(concentration=fih.Input("Cavg", 12.0, "ng/mL", "s"), match=PLASMA, analyte="free"),
    ),
    "css": (
        'concentration = { name = "Css", value = "0.7 ng/mL", source = "s" }\nclearance = "2.92 L/h"\n'
        'clearance_source = "s"\nanalyte = "total"\n',
        fih.Css(
            concentration=fih.Input("Css", 0.7, "ng/mL", "s"),
            clearance_L_per_h=2.92,
            clearance_source="s",
            analyte="total",
        ),
    ),
    "trimer": (
        'kd_a = "41 nM"\nkd_b = "2 nM"\ntotal_a = "0.3 nM"\ntotal_b = "0.06 nM"\ntrimer = "0.1 pM"\n'
        f'threshold_source = "t"\nsource = "s"\n{BOLUS}',
        fih.TrimerMabel(
            kd_a_nM=41.0,
            kd_b_nM=2.0,
            total_a_nM=0.3,
            total_b_nM=0.06,
            trimer_nM=1e-4,
            threshold_source="t",
            source="s",
            match=PLASMA,
            analyte="free",
        ),
    ),
    "mpad": (METRIC + 'threshold = "3 nM"\n', fih.Mpad(metric=Max("C", end=28.0), threshold=3.0, threshold_source="s")),
    "qsp": (
        METRIC + 'threshold = "450 pM"\nschedule = "single"\nquantile = 0.9\n',
        fih.Qsp(
            metric=Max("C", end=28.0), threshold=0.45, quantile=0.9, regimen=SINGLE, threshold_source="s"
        ),
    ),
    "cytokine_threshold": (
        'metric = { kind = "auc", observable = "C", start = 7, end = 28 }\nsource = "s"\nthreshold = "24 nM*h"\n',
        fih.CytokineThreshold(metric=AUC("C", 7.0, 28.0), threshold=1.0, threshold_source="s"),
    ),
}  # fmt: skip

MATCHES = {
    'kind = "bolus", volume = "3 L"': PLASMA,
    'kind = "infusion", clearance = "10 mL/h", volume = "3 L", duration = "12 h"': fih.InfusionCmax(
        0.24, 3.0, 0.5, "s"
    ),
    'kind = "sc", clearance = "0.3 L/day", volume = "3 L", ka = "0.5 1/day", bioavailability = 0.7': (
        fih.SubcutaneousCmax(0.3, 3.0, 0.5, 0.7, "s")
    ),
    'kind = "average", clearance = "0.3 L/day", tau = "1 week", bioavailability = 0.7, route = "SC"': (
        fih.AverageConcentration(0.3, 7.0, 0.7, "SC", "s")
    ),
    'kind = "steady_infusion", clearance = "0.3 L/day"': fih.SteadyInfusion(0.3, "s"),
}


def only_method(write, text: str):
    """The single method of an experiment whose method tables are replaced by `text`."""
    path = write()
    before, rest = path.read_text().split("[[methods]]", 1)
    path.write_text(f"{before}[[methods]]\n{text}\n[[alternatives]]{rest.split('[[alternatives]]', 1)[1]}")
    (method,) = build(load_experiment(path)).methods
    return method


@pytest.mark.parametrize("kind", METHODS)
def test_method(write, kind):
    keys, expected = METHODS[kind]
    found = only_method(write, f'kind = "{kind}"\n{keys}')
    for field in dataclasses.fields(expected):
        got, wanted = getattr(found, field.name), getattr(expected, field.name)
        assert got == pytest.approx(wanted, rel=1e-12) if isinstance(wanted, float) else got == wanted, field.name
    assert type(found) is type(expected)


@pytest.mark.parametrize("text", MATCHES)
def test_match(write, text):
    found = only_method(
        write,
        'kind = "receptor_occupancy"\ntarget = "T"\nkd = "1 nM"\nanalyte = "free"\nsource = "s"\n'
        f'match = {{ {text}, source = "s" }}\n',
    ).match
    assert type(found) is type(MATCHES[text])
    assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(MATCHES[text])) or found == MATCHES[text]


@pytest.mark.parametrize(
    ("metric", "threshold", "expected", "level"),
    [
        ('kind = "time_above", observable = "C", threshold = "2000 pM"', "48 h", TimeAbove("C", 2.0, end=28.0), 2.0),
        ('kind = "time_below", observable = "C", threshold = "EC50"', "3 day", TimeBelow("C", "EC50", end=28.0), 3.0),
        ('kind = "fraction_above", observable = "activity", threshold = 0.5', "25 %",
         FractionAbove("activity", 0.5, end=28.0), 0.25),
    ],
)  # fmt: skip
def test_times_above_a_threshold(write, metric, threshold, expected, level):
    method = only_method(
        write, f'kind = "qsp"\nmetric = {{ {metric}, end = 28 }}\nthreshold = "{threshold}"\nsource = "s"\n'
    )
    assert method.metric == expected
    assert method.threshold == pytest.approx(level)


def test_every_method_of_the_package_can_be_written_in_a_file():
    classes = [c for c in vars(fih).values() if inspect.isclass(c) and issubclass(c, fih.AbstractDoseMethod)]
    methods = {c for c in classes if not c.__name__.startswith("Abstract")} - {fih.WithDraws}  # draws are no settings
    assert methods == {type(expected) for _, expected in METHODS.values()}


def test_simulated_match_on_a_variant_of_the_model(write):
    method = only_method(
        write,
        'kind = "mabel"\npotency = "ec20"\nlevel = 0.2\nanalyte = "total"\n[methods.match]\nkind = "simulated"\n'
        'schedule = "escalation"\nswitches = { slow = true }\ndose_range = ["1 ng/kg", "1 mg/kg"]\n'
        'metric = { kind = "last", observable = "C", end = 7 }\n',
    )
    assert method.match.model.slow
    assert method.match.analyte == method.analyte == "total"
    assert method.match.dose_range == pytest.approx((1e-3, 1e3))
    assert len(method.match.regimen_given.doses) == 3


def test_distributions_are_in_the_unit_of_the_model(write):
    plan = build(
        load_experiment(
            write(
                ('CL = { kind = "lognormal", cv = 0.4, source = "made up" }', 
                 'CL = { kind = "lognormal", median = 25, omega = 0.5, unit = "mL/h", source = "s" }\n'
                 'V = { kind = "truncated_normal", mean = 3000, sd = 500, low = 1000, unit = "mL", source = "s" }\n'
                 'EC50 = { kind = "empirical", values = [1000, 3000], weights = [1, 3], unit = "pM", source = "s" }'),
                ("[escalation]\n", '[[population.correlations]]\nbetween = ["CL", "V"]\nrho = 0.5\n\n[escalation]\n'),
            )
        )
    )  # fmt: skip
    marginals = plan.distribution.marginals
    assert marginals["CL"].median == pytest.approx(0.6)
    assert float(marginals["CL"].omega) == pytest.approx(0.5)
    v = marginals["V"]
    assert (v.mean, v.sd, v.low, v.high) == pytest.approx((3.0, 0.5, 1.0, math.inf))
    assert np.asarray(marginals["EC50"].values) == pytest.approx([1.0, 3.0])
    assert plan.distribution.correlations == {("CL", "V"): 0.5}
    assert plan.distribution_sources["V"] == "s"


def test_lognormal_without_median_is_centred_on_the_typical_value(write):
    assert build(load_experiment(write())).distribution.marginals["CL"].median == 0.3


def test_lognormal_without_median_may_name_a_unit_that_converts(write):
    plan = build(load_experiment(write(("cv = 0.4,", 'cv = 0.4, unit = "mL/h",'))))
    assert plan.distribution.marginals["CL"].median == 0.3


def test_levels_in_another_unit_and_as_a_grid(write):
    listed = build(
        load_experiment(
            write(('unit = "ug/kg"\nlevels = [1, 10, 100, 1000]', 'unit = "mg/kg"\nlevels = [0.001, 0.01, 0.1]'))
        )
    )
    assert listed.escalation.levels == pytest.approx((1.0, 10.0, 100.0))
    grid = build(load_experiment(write(("[1, 10, 100, 1000]", "{ from = 0.5, to = 50, per_decade = 4 }"))))
    ratios = np.diff(np.log10(grid.escalation.levels))
    assert len(grid.escalation.levels) == 9
    assert ratios == pytest.approx(np.full(8, 0.25), abs=1e-5)  # levels are rounded to six digits
    assert grid.escalation.levels[-1] == 50.0


def test_the_rest_of_the_plan(write):
    plan = build(load_experiment(write()))
    assert str(plan.escalation.regimen) == "0.1, 1, 1 ug/kg into depot at day 0, 7, 14"
    assert plan.proposal == fih.Proposal(20.0, (0.1, 1.0), (0.0, 7.0), "a test")
    assert plan.alternatives[0].model.slow
    assert plan.alternatives[1].parameters == {"MW": pytest.approx(300_000.0)}
    assert plan.profiles == fih.ProfilePlan((0.0, 7.0, 14.0, 21.0, 28.0), {"C": "free drug"})
    assert plan.integrator.max_steps == 50000
    assert plan.context.product == "test antibody"
    assert plan.uncertainty is None


def test_the_population_depends_on_the_seed_only(write):
    one, same, other = (build(load_experiment(write(("seed = 1\n", f"seed = {s}\n")))).sample() for s in (1, 1, 2))
    assert np.array_equal(one.theta, same.theta)
    assert not np.array_equal(one.theta, other.theta)


def test_the_format_has_a_json_schema():
    assert Experiment.model_json_schema()["properties"].keys() >= {"methods", "population", "escalation"}
