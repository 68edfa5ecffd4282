"""Arguments of the wrong type end in an error that names the argument, what was given, and what to write."""

from __future__ import annotations

import re

import pytest
from wrong_type_messages import messages_of

EXPECTED = {
    "simulate integrator": "`integrator` must be an Integrator, but 'batch' was given. For example BatchIntegrator",
    "simulate integrator class": "`integrator` must be an Integrator.*Make one: BatchIntegrator",
    "cohort integrator": "`integrator` must be an Integrator, but 'batch'",
    "table integrator": "`integrator` must be an Integrator, but 'batch'",
    "table": "`table` must be an EventTable, but 'data.csv' was given.",
    "simulate model": "`model` must be a Model, but 'model.py' was given.*load_model",
    "simulate model class": r"`model` must be a Model.*Make one: Decay\(\.\.\.\)",
    "simulate regimen": r"`regimen` must be a Regimen.*Regimen\(\(dose,\)\)",
    "simulate times": "`times` must be a sequence of numbers, but 'daily'",
    "simulate times of text": "`times` must be a number, but '2'",
    "simulate times number": "`times` must be a sequence of numbers, but 3.0",
    "simulate observables": r"`observables` must be a sequence of names.*write \[\"C\"\]",
    "simulate summaries": r"`summaries` must be a sequence of endpoints such as \[Max\(\"C\"\)\], but \['max\(C\)'\]",
    "simulate summaries name": "`summaries` must be a sequence of endpoints.*but 'max",
    "simulate summaries none": "`summaries` must be a sequence of endpoints.*but None",
    "simulate parameters": "`parameters` must map names to values",
    "simulate parameters text": "`parameters` for `k` must be a number, but 'fast'",
    "simulate parameters traced": "`parameters` for `k`.*under transformation by jax.*with_parameters",
    "cohort": "`cohort` must be a Cohort.*sample_cohort",
    "cohort protocol": "`protocol` must be a Protocol, but a Regimen.*Protocol",
    "cohort model": "`model` must be a Model, but 'm'",
    "cohort shard": "`shard` must be a whole number >= 1, but 'many'",
    "cohort theta": "`theta` must hold numbers, but .*fast",
    "cohort theta flat": r"`theta` must have shape \(subjects, 1\)",
    "cohort status": r"`status` must hold codes of `Status`, but \['ok', 'ok'\]",
    "dose amount": "`amount` of a `Dose` must be a number, but '100 mg'",
    "dose amount none": "`amount` of a `Dose` must be a number, but None",
    "dose amount traced": "`amount` of a `Dose`.*under transformation by jax.*come through parameters.*dose_events",
    "dose time traced": "`at` of a `Dose`.*under transformation by jax.*`lag`",
    "dose lag traced": "`lag` of a `Dose`.*under transformation by jax",
    "dose every": "`every` of a `Dose` must be a number, but 'weekly'",
    "dose unit": "`unit` of a `Dose` must be a text, but 5",
    "dose into": "`into` of a `Dose` must be a text, but",
    "dose additional": "`additional` of a `Dose` must be a number, but None",
    "regimen doses": "`doses` must be a Dose, but 1.0",
    "regimen number": "`doses` must be a sequence, but 1.0",
    "regimen resets": "`resets` must be a sequence of numbers, but 'never'",
    "regimen resets traced": "`resets`.*under transformation by jax",
    "regimen inputs": "`inputs` must map names to values.*Input",
    "regimen time unit": "`time_unit` must be a text, but 7",
    "input times": "`times` of an `Input` must be a sequence of numbers, but 'daily'",
    "input values": "`values` of an `Input` must be a number, but 'high'",
    "input traced": "`values` of an `Input`.*under transformation by jax",
    "input array traced": "`values` of an `Input`.*under transformation by jax",
    "arm regimen": "`regimen` of arm `one` must be a Regimen, but a Dose",
    "arm times": "`times` of arm `one` must be a sequence of numbers, but 'daily'",
    "arm covariates": "`covariates` of arm `one` must map names to values",
    "arm covariates traced": "`covariates` of arm `one` for `k`.*under transformation.*with_parameters",
    "protocol arms": "`arms` must be an Arm, but a Regimen",
    "protocol number": "`arms` must be a sequence, but 3",
    "atol mapping": "`atol` must be a number > 0, but {'C': 1.0}",
    "atol_of number": "`atol_of` must map names of species to numbers.*but 1e-09",
    "method text": "`method` must be a Rosenbrock, but 'Rodas4P'.*Rodas4P",
    "rtol text": "`rtol` must be a number > 0, but '1e-6'",
    "problem model class": r"`model` must be a Model.*Make one: Decay\(\.\.\.\)",
    "problem measurements": r"`measurements` must be a Measurements.*Measurements.from_dataframe\(df, model",
    "problem estimated": r"`estimated` must be a sequence of Estimated\(name, bounds\), but 3",
    "problem estimated one": r"`estimated` must be a sequence of Estimated\(name, bounds\), but .*Estimated",
    "problem estimated names": r"`estimated` must be a sequence of Estimated\(name, bounds\), but \['k'\]",
    "problem noise": "`noise` must map observables to error models.*but 0.1",
    "problem prior": r"`prior` must be a Joint, but 'x'.*Estimated\(\.\.\., prior=\)",
    "problem fixed": "`fixed` for `k` must be a number, but 'a'",
    "problem fixed nan": "`fixed` for `k` must be finite, but is nan",
    "problem fixed pairs": "`fixed` must map names to values",
    "problem per arm": r"`per_arm` must map names to values, as in \{\"KA\": \{\"arm A\": 0.5\}\}, but \['k'\]",
    "problem per arm number": r"`per_arm` for `k` must map names to values, as in \{\"arm A\": 0.5\}, but 3",
    "problem per arm list": r"`per_arm` for `k` in `all` must be a number, but \[3\]",
    "problem per study": r"`per_study` for `k` must map names to values, as in \{\"study A\": 0.5\}, but 3",
    "problem arms": "`arms` must map names of arms.*but 'iv'",
    "problem arms number": "`arms` must map names of arms.*but 3",
    "problem integrator": "`integrator` must be an Integrator, but 'x'.*AutomaticIntegrator",
    "problem preequilibration": r"`preequilibration` must hold PreEquilibration\(within\), but 10.0",
    "problem values": "`values` for `k` must be a number, but 'a'",
    "estimated name": "`name` of an `Estimated` must be a text, but 3",
    "estimated value": r"`value` of `Estimated\('k'\)` must be a number, but '5'",
    "estimated bounds": r"`bounds` of Estimated\('k'\) must be two numbers",
    "estimated prior": r"`prior` of Estimated\('k'\) must be a distribution",
    "preequilibration within": "`within` of `PreEquilibration` must be a number, but 'a'",
    "additive": "`sd` of Additive must be a number > 0, or the name of one, but True",
    "proportional floor": "`floor` of `Proportional` must be a number, but 'a'",
    "fit method": r"`method` must be a Method, but 'lm'.*TrustRegion\(\)",
    "fit out": "`out` must be a path.*but 3",
    "fit starts": "`n` of LatinHypercubeStarts must be a positive whole number, but is 'many'",
    "fit problem": "`problem` must be a CalibrationProblem or an Objective, but is Measurements",
    "fit save every": "`save_every` must be a number, but 'often'",
    "load_fit path": "`path` must be the directory of a fit, but 3",
    "given starts": "`values` of GivenStarts must hold numbers.*but 'k'",
    "given starts text": "`values` of `GivenStarts` for `k` must be a number, but 'a'",
    "load_petab path": "`path` must name the YAML file of a PEtab problem, but 3",
    "load_petab folder": r"`path` must name the YAML file of a PEtab problem, but \. is a folder; it holds",
    "load_petab integrator": "`integrator` must be an Integrator, but 'x'",
}


@pytest.fixture(scope="module")
def messages(repo_root):
    return messages_of(repo_root / "tests/wrong_types.py")


@pytest.mark.parametrize("name", EXPECTED)
def test_the_message_says_what_is_wrong(messages, name):
    assert re.match(rf"(?s)QspxError: Argument {EXPECTED[name]}", messages[name]), messages[name]


def test_all_calls_are_looked_at(messages):
    assert messages.keys() == EXPECTED.keys()
