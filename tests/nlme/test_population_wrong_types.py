"""Arguments of population fits of the wrong type end in an error that names the argument, the value and the repair."""

import re

import pytest
from wrong_type_messages import messages_of

EXPECTED = {
    "fit none": "Argument `problem` must be a PopulationProblem, but None was given. Make one",
    "fit method": r"Argument `method` must be a Method, but 'FOCEI' was given. For example FOCEI\(\)",
    "fit method class": r"Argument `method` must be a Method.*Make one: FOCEI\(\.\.\.\)",
    "fit starts": "Argument `starts` must be a whole number >= 1, but 'a'",
    "fit starts half": "Argument `starts` must be a whole number >= 1, but 1.5",
    "fit key": "Argument `key` must be a whole number >= 0, but 'a'",
    "fit out": "Argument `out` must be a path, or None to save nothing, but 3",
    "fit x": "Argument `x` must be a sequence of numbers, but 'a'",
    "fit tolerance": "Argument `tolerance` must be a number > 0, but 'a'",
    "read endpoints": r"Argument `endpoints` must be an Endpoint, but 'C' was given. Write Endpoint\('C', ",
    "read endpoints of names": "Argument `endpoints` for `1` must be an Endpoint, but 'C' was given. For example",
    "read file": "the event table nope.csv cannot be read: No such file",
    "read source": "an event table is a pandas DataFrame or the path of a CSV file, but int was given",
    "read model": r"Argument `model` must be a Model.*Make one: Decay\(\.\.\.\)",
    "read unit": "Argument `unit` must be a text, but 1 was given. For example",
    "read covariates": r"Argument `covariates` must be a sequence of names.*write \[\"WT\"\]",
    "read columns": "Argument `columns` must map names to values, as in .*CONC.*DV.*, but",
    "endpoint": "Argument `observable` of `Endpoint` must be a text, but",
    "effect sd": "Argument `sd` of `RandomEffect` must be a number, but 'a'",
    "effect parameter": "Argument `parameter` of `RandomEffect` must be a text, but 1",
    "covariate coefficient": "Argument `coefficient` of `LinearEffect` must be a number, or the name.*but None",
    "covariate centre": "Argument `centre` of `PowerEffect` must be a number > 0, but 'a'",
    "problem data": "Argument `data` must be a PopulationData.*PopulationData.read",
    "problem estimated": r"Argument `estimated` must be a sequence, but a Estimated.*as in \[Estimated\(",
    "problem estimated names": "Argument `estimated` must be an Estimated, but 'k'",
    "problem effects": r"Argument `random_effects` must be a RandomEffect, but 'k'.*\[RandomEffect\(\"CL\"\)\]",
    "problem residuals": "Argument `residuals` must map names to values, as in .*Proportional.*but Additive",
    "problem residuals names": "Argument `residuals` for `C` must be an ErrorModel, but 0.1 .*Proportional",
    "problem covariates": "Argument `covariate_effects` must be a CovariateEffect, but 'WT'.*PowerEffect",
    "problem integrator": "Argument `integrator` must be an Integrator, but 'batch'.*AutomaticIntegrator",
}


@pytest.fixture(scope="module")
def messages(repo_root):
    return messages_of(repo_root / "tests/nlme/wrong_types.py")


@pytest.mark.parametrize("name", EXPECTED)
def test_the_message_says_what_is_wrong(messages, name):
    assert re.match(rf"(?s)QspxError: {EXPECTED[name]}", messages[name]), messages[name]


def test_all_calls_are_looked_at(messages):
    assert messages.keys() == EXPECTED.keys()
