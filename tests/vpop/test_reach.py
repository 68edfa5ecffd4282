"""What is reached and what is not; what a selection is worth; who was never found."""

import dataclasses

import numpy as np
import pytest

from qspx._status import Ledger, Status
from qspx.vpop import (
    Bins,
    Density2D,
    DirectWeights,
    Given,
    MaximumEntropy,
    MeanSd,
    Plausibility,
    QuadraticProgramme,
    VirtualPopulation,
)


@pytest.fixture(scope="module")
def plane(outputs_of):
    """2,000 patients in the unit square, none where both are above 0.6."""
    x = np.random.default_rng(0).random((2500, 2))
    return outputs_of(x[~(x > 0.6).all(axis=1)], ["a", "b"])


@pytest.mark.parametrize("method", [MaximumEntropy(), QuadraticProgramme(), DirectWeights(floor=100)], ids=str)
@pytest.mark.parametrize("n", [None, 200])
def test_empty_cells_of_one_per_cent(method, n, plane):
    """A hundred equal cells, 16 without a patient."""
    edges = np.linspace(0.0, 1.0, 11)
    found = method.fit(plane, [Density2D(("a", "b"), (edges, edges), np.full((10, 10), 0.01), n=n)], key=0)
    empty = [f"a bin {i}, b bin {j}" for i in range(6, 10) for j in range(6, 10)]
    assert found.unsupported == empty and set(empty) <= set(found.unreached)


def test_a_rare_group_that_nobody_is_in(plane):
    found = MaximumEntropy().fit(plane, [Bins("a", [-np.inf, 15.0, np.inf], [0.98, 0.02])], key=0)
    assert len(found.unsupported) == 2 and found.unreached == found.unsupported


def test_a_share_is_judged_by_its_size(outputs_of):
    """Two of 1,000 where there should be ten: 0.8 % less, which is most of it. 49 % where 50 % should be: near."""
    x = np.full((1000, 1), 0.5)
    x[:490], x[490:492] = 0.1, 0.9
    vpop = VirtualPopulation(outputs_of(x, ["a"]), np.ones(1000), (Bins("a", [0, 0.2, 0.8, 1], [0.5, 0.49, 0.01]),))
    assert vpop.unreached == ["a in [0.8, 1)"] and not vpop.unsupported


def test_weights_of_nothing_support_nothing(outputs_of):
    """A bin whose patients have no weight is as good as empty, whatever its standard error."""
    x = np.linspace(0, 1, 100, endpoint=False)[:, None]
    target = Bins("a", [0.0, 0.95, 1.0], [0.95, 0.05], n=20)
    for weights, reached in ((np.ones(100), True), ((x[:, 0] < 0.949).astype(float), False)):
        vpop = VirtualPopulation(outputs_of(x, ["a"]), weights, (target,))
        assert bool(np.all(vpop.target_table()["reached"])) == reached


def test_support_within_a_subgroup(outputs_of):
    """Nobody above 0.5 has b above 0.5, though many below have: the bin is empty in the subgroup only."""
    rng = np.random.default_rng(0)
    x = rng.random((1000, 2))
    x[x[:, 0] >= 0.5, 1] *= 0.5
    outputs = outputs_of(x, ["a", "b"])
    inner = [Bins("b", [0, 0.25, 0.5, 1.0], [0.5, 0.49, 0.01]), MeanSd("b", 0.25, 0.15)]
    target = Given(inner, "a", (0.5, np.inf), share=0.5)
    found = MaximumEntropy().fit(outputs, [target], key=0)
    assert found.unsupported == [x for x in found.target_table()["feature"] if x.startswith("b in [0.5, 1) |")]
    below = VirtualPopulation(outputs, (x[:, 0] < 0.5).astype(float), (target,))
    assert len(below.unsupported) == len(below.target_table())


def test_a_selection_is_worth_no_more_than_its_weights(plane):
    vpop = MaximumEntropy().fit(plane, [MeanSd("a", 0.75, 0.1), MeanSd("b", 0.2, 0.1)], key=0)
    for n in (50, 400, 5000, 100_000):
        for key in range(3):
            some = vpop.select(n, key=key)
            different = some.details["selection"]["different"]
            assert len(some) == len(some.outputs) == different == len(np.unique(some.cohort.theta, axis=0))
            assert some.effective_size <= min(vpop.effective_size, n) + 1e-9
            kish = 1 / (some.cohort.weights**2).sum()  # what doses are compared on
            assert kish <= 1.05 * vpop.effective_size
            again = some.select(10 * n, key=0)
            assert again.effective_size <= some.effective_size + 1e-9
    assert some.effective_size == pytest.approx(vpop.effective_size, rel=1e-2)
    np.testing.assert_allclose(some.outputs.values.T @ some.weights, vpop.outputs.values.T @ vpop.weights, rtol=1e-3)


def test_selections_keep_their_worth_in_files(plane, plain, tmp_path):
    w = np.zeros(len(plane))
    w[:3] = 0.5, 0.25, 0.25  # effective 2.67; three different ones can be picked
    some = VirtualPopulation(plane, w).select(3, key=0)
    some.save(tmp_path / "some")
    again = VirtualPopulation.load(tmp_path / "some", plain)
    assert again.effective_size == some.effective_size == pytest.approx(8 / 3)


def test_who_was_never_found_is_counted(plane):
    """As many as were asked for, in the population, in its selection, and after more were rejected."""

    missing = Ledger({Status.NOT_REACHED: 7}, {Status.NOT_REACHED: {"no twin": 7}})
    n = len(plane)
    vpop = VirtualPopulation(dataclasses.replace(plane, missing=missing), np.ones(n))
    assert vpop.ledger.total == n + 7 and f"of {n + 7} subjects: {n} ok, 7 not_reached" in str(vpop)
    assert vpop.select(20, key=0).ledger.counts == vpop.ledger.counts
    kept = Plausibility({"a": (0.1, 1.0)}).apply(vpop.outputs)
    assert kept.ledger.total == n + 7 and kept.ledger.ok == kept.usable.sum() < n
    assert kept.ledger.reasons[Status.NOT_REACHED] == {"no twin": 7}
