"""Each mistake in an experiment file gives a message with place, value and what is expected, before any compute."""
# ruff: noqa: E501  the tables read better with one mistake per line

import pytest

from qspx._errors import ConfigError
from qspx.experiment import build, load_experiment

QSP_METRIC = 'metric = { kind = "max", observable = "C", end = 28 }\nthreshold'
TIME_METRIC = 'metric = { kind = "time_above", observable = "C", threshold = "EC50", end = 28 }\nthreshold'

SCHEMA = [
    ('seed = 1\n', 'sead = 1\n', r"`sead` is not a key here. Did you mean `seed`\?"),
    ('seed = 1\n', '', r"`seed` is missing: a whole number"),
    ('seed = 1\n', 'seed = 1.5\n', r"seed: must be a whole number, but is 1.5"),
    ('size = 12', 'size = "12"', r"population, size: must be a whole number, but is '12'"),
    ('size = 12', 'size = 0', r"population, size: must be at least 1, but is 0"),
    ('cv = 0.4,', 'cv = -0.4,', r"population, distributions, CL, cv: must be above 0, but is -0.4"),
    ('kind = "lognormal"', 'kind = "lognorml"', r"distributions, CL, kind: must be one of .*but is 'lognorml'.*`lognormal`\?"),
    ('levels = [1, 10, 100, 1000]', 'levels = [-1, 10]', r"escalation, levels no. 1: must be above 0, but is -1"),
    ('levels = [1, 10, 100, 1000]', 'levels = { from = 1, too = 2 }', r"escalation, levels: `too` is not a key here. Did you mean `to`"),
    ('at = [0, 7]', 'at = [0]', r"escalation: `fractions` and `at` must have the same length, but have 2 and 1"),
    ('kind = "mabel"', 'kind = "mable"', r"methods no. 1 \(mable\): there is no kind `mable`. Did you mean `mabel`\? Kinds: mabel, mod"),
    ('kind = "mabel"\n', '', r"methods no. 1: `kind` is missing"),
    ('level = 0.2\nmatch', 'level = 20\nmatch', r"methods no. 1 \(mabel\), level: must be below 1, but is 20"),
    ('level = 0.2\nmatch', 'match', r"methods no. 1 \(mabel\): `level` is missing: the effect matched"),
    ('volume = "3 L"', 'volume = 3', r"\(receptor_occupancy\), match, volume: must have a unit that converts to L, such as \"2.81 L\""),
    ('volume = "3 L"', 'volume = "3 kg"', r"match, volume: must convert to L, but 3 kg does not"),
    ('volume = "3 L"', 'volume = "-3 L"', r"match, volume: must be above 0, but is '-3 L'"),
    ('kd = "1.9 nM"', 'kd = "1.9 nmol"', r"\(receptor_occupancy\), kd: must convert to nM"),
    ('kd = "1.9 nM"', 'kd = "about 2"', r"kd: must be a number with its unit, such as \"1.9 nM\", but is 'about 2'"),
    ('kd = "1.9 nM"', 'kd = "1.9 nn"', r"kd: cannot read the unit `nn`"),
    ('kind = "bolus", volume', 'kind = "bollus", volume', r"match: there is no kind `bollus`. Did you mean `bolus`\?"),
    ('analyte = "free"\nsource = "made up"', 'analyte = "fre"\nsource = "made up"', r"analyte: must be one of free, total, but is 'fre'. Did you mean `free`\?"),
    ('reason = "a test"', 'reason = ""', r"proposal, reason: must not be empty"),
    ('title = "Tiny"', 'title = Tiny', r"cannot be read as TOML: .*line 1"),
    (QSP_METRIC, QSP_METRIC.replace('"max"', '"maxx"'), r"metric: there is no kind `maxx`. Did you mean `max`\? Kinds: max, min, .*time_above"),
    (QSP_METRIC, QSP_METRIC.replace('"max"', '"time_above"'), r"metric: `threshold` is missing: in a unit that converts to that of the observable"),
    (QSP_METRIC, QSP_METRIC.replace('"C",', '"C", threshold = "2 nM",'), r"metric: `threshold` is not a key here"),
    (QSP_METRIC, TIME_METRIC.replace('EC50', 'about 2'), r"metric, threshold: must be a number with its unit, .*but is 'about 2'"),
    ('kind = "max", observable = "C", end = 28 }\nanalyte', 'kind = "time_above", observable = "C", end = 28 }\nanalyte', r"matches, cmax, metric, kind: must be one of max, min"),
    ('max_steps = 50000', 'max_steps = "4"', r"integrator, max_steps: must be a whole number, but is '4'"),
]  # fmt: skip

MODEL = [
    ('model = "tiny.py"', 'model = "tinny.py"', r"model: the model file 'tinny.py' does not exist \(looked for .*tinny.py\)"),
    ('model = "tiny.py"', 'model = "tiny.py"\n[switches]\nslo = true', r"model: tiny.py: switches .*slo.* do not fit"),
    ('CL = { kind', 'CLR = { kind', r"population, distributions, CLR: model Tiny has no parameter `CLR`. Did you mean `CL`\?"),
    ('cv = 0.4,', 'median = 0.3, cv = 0.4,', r"distributions, CL: `unit` is missing: the model declares this parameter in L/day"),
    ('cv = 0.4,', 'median = 0.3, unit = "nM", cv = 0.4,', r"distributions, CL: Cannot convert `nM` to `L/day`"),
    ('cv = 0.4,', 'cv = 0.4, unit = "kg",', r"population, distributions, CL: Cannot convert `kg` to `L/day`"),
    ('[escalation]\n', '[uncertainty.distributions]\nCL = { kind = "lognormal", cv = 0.2, unit = "kg", source = "x" }\n\n[escalation]\n', r"uncertainty, distributions, CL: Cannot convert `kg` to `L/day`"),
    ('cv = 0.4,', '', r"distributions, CL: exactly one of `cv` \(0.3 for 30 %\) and `omega`"),
    ('cv = 0.4,', 'cv = 0.4, mean = 2,', r"distributions, CL: `mean` does not belong to lognormal, which takes"),
    ('low = 0.5, high', 'high', r"distributions, F: `low` is missing: uniform needs `low`, `high`"),
    ('low = 0.5, high = 0.9', 'low = 0.9, high = 0.5', r"distributions, F: Argument `high` must be above `low`"),
    ('into = "depot"', 'into = "depo"', r"escalation: model Tiny has no species `depo`. Did you mean `depot`\?"),
    ('unit = "ug/kg"\nlevels', 'unit = "ug"\nlevels', r"escalation: must be a dose per body weight, such as \"5 ug/kg\""),
    ('levels = [1, 10, 100, 1000]', 'levels = [1, 10, 5]', r"escalation: Argument `levels` must hold at least three increasing doses"),
    ('at = [0, 7]', 'at = [7, 0]', r"escalation: Argument `doses` must be sorted by time"),
    ('target = "20 ug/kg"', 'target = "20 ug"', r"proposal: must be a dose per body weight"),
    ('observable = "C", end = 28 }\nanalyte', 'observable = "CC", end = 28 }\nanalyte', r"no. 1 \(mabel\): metric, observable: model Tiny has no observable or species `CC`"),
    ('observable = "C", end = 28 }\nanalyte', 'observable = "activity", end = 28 }\nanalyte', r"observable: must be in nM, but `activity` is in no unit"),
    ('analyte = "free"\nsource = "this model"', 'source = "this model"', r"no. 1 \(mabel\): Argument `analyte` must be 'free' or 'total', but was not chosen"),
    ('analyte = "free"\nsource = "made up"', 'source = "made up"', r"no. 2 \(receptor_occupancy\): Argument `analyte` must be 'free' or 'total', but was not chosen"),
    ('match = "cmax"', 'match = "cmx"', r"no. 1 \(mabel\): there is no \[matches.cmx\] in the file. Did you mean `cmax`\?"),
    ('potency = "ec20"', 'potency = "ec50"', r"no. 1 \(mabel\): there is no \[potencies.ec50\] in the file. Did you mean `ec20`\?"),
    (QSP_METRIC, TIME_METRIC.replace('EC50', 'EC5'), r"no. 3 \(qsp\): metric, threshold: .*has no parameter `EC5`. Did you mean `EC50`\?"),
    (QSP_METRIC, TIME_METRIC.replace('EC50', 'CL'), r"metric, threshold: .*names the parameter `CL` in L/day, but `C` is in nM"),
    (QSP_METRIC, TIME_METRIC.replace('EC50', '2 kg'), r"metric, threshold: must convert to nM, but 2 kg does not"),
    (QSP_METRIC, TIME_METRIC, r"no. 3 \(qsp\): threshold: must convert to day, but 3 nM does not"),
    ('threshold = "3 nM"', 'threshold = "3 kg"', r"no. 3 \(qsp\): threshold: must convert to nM, but 3 kg does not"),
    ('threshold = "3 nM"', 'threshold = 3', r"no. 3 \(qsp\): threshold: must have a unit that converts to nM"),
    ('threshold = "3 nM"', 'threshold = "-3 nM"', r"no. 3 \(qsp\): Argument `threshold` must be above zero"),
    ('switches = { slow = true }', 'switches = { slo = true }', r"alternatives no. 1 \(slow absorption\): tiny.py: switches"),
    ('MW = "300 kDa"', 'MWT = "300 kDa"', r"alternatives no. 2 \(heavier\): model Tiny has no parameter `MWT`"),
    ('MW = "300 kDa"', 'MW = "300 kg"', r"alternatives no. 2 \(heavier\): parameters, MW: must convert to g/mol"),
    ('step = 7 }', 'step = 5 }', r"profiles, times: `step` must divide the range 0 to 28, but is 5"),
    ('[{ observable = "C", title', '[{ observable = "c", title', r"profiles, panels no. 1: model Tiny has no observable or species `c`. Did you mean `C`\?"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), SCHEMA, ids=range(len(SCHEMA)))
def test_told_when_the_file_is_read(write, old, new, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_experiment(write((old, new)))
    assert str(caught.value).startswith("tiny.toml")


@pytest.mark.parametrize(("old", "new", "message"), MODEL, ids=range(len(MODEL)))
def test_told_when_the_model_is_known(write, old, new, message):
    file = load_experiment(write((old, new)))
    with pytest.raises(ConfigError, match=message) as caught:
        build(file)
    assert str(caught.value).startswith("tiny.toml")


def test_several_mistakes_are_told_at_once(write):
    with pytest.raises(ConfigError, match="3 mistakes") as caught:
        load_experiment(
            write(("seed = 1\n", "seed = 1.5\n"), ("size = 12", 'size = "x"'), ('kind = "qsp"', 'kind = "qs"'))
        )
    assert len(str(caught.value).splitlines()) == 4


def test_uncertainty_must_be_centred_on_the_typical_value(write):
    table = (
        '[uncertainty.distributions]\nCL = { kind = "lognormal", median = 2, cv = 0.2, unit = "L/day", source = "x" }\n'
    )
    with pytest.raises(
        ConfigError, match="uncertainty, distributions, CL: the median is 2, but the model's typical value is 0.3"
    ):
        build(load_experiment(write(("[escalation]\n", f"{table}\n[escalation]\n"))))


def test_the_file_is_missing(tmp_path):
    with pytest.raises(ConfigError, match="the experiment file '.*none.toml' does not exist"):
        load_experiment(tmp_path / "none.toml")
