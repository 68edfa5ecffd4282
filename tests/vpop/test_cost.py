"""What comparisons say a method costs."""

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspx
from qspx.vpop import (
    AbstractSampler,
    AbstractSimulator,
    AbstractWeighting,
    LogNormalLaw,
    Plausibility,
    PopulationProblem,
    Recipe,
    compare,
)
from qspx.vpop.cost import Cost


def test_time_and_memory():
    with Cost() as waiting:
        time.sleep(0.05)
    with Cost() as working:
        start = time.process_time()
        while time.process_time() - start < 0.05:
            pass
        kept = np.ones(4_000_000)  # 32 MB
    assert waiting.row["seconds"] >= 0.05
    assert working.row["cpu_seconds"] >= 0.05 and working.row["peak_memory_gb"] > kept.nbytes / 1e9
    both = waiting.plus(working)
    assert both["seconds"] == waiting.row["seconds"] + working.row["seconds"]
    assert both["peak_memory_gb"] == working.row["peak_memory_gb"]


def test_compilation_is_counted_once():
    f = jax.jit(lambda x: jnp.sin(x) @ x)
    with Cost() as first:
        f(jnp.ones((3, 3))).block_until_ready()
    with Cost() as second:
        f(jnp.ones((3, 3))).block_until_ready()
    assert first.row["compile_seconds"] > 0
    assert second.row["compile_seconds"] == 0


@dataclasses.dataclass(frozen=True, eq=False)
class Same(AbstractSimulator):
    """The output is the parameter."""

    model: qspx.AbstractModel
    names: tuple[str, ...] = ("x",)

    def traced(self, theta):
        return theta[:, :1], jnp.zeros(len(theta), int)


@dataclasses.dataclass(frozen=True)
class Counted(AbstractSampler):
    """Uniform draws, plausible or not; a mutable field counts the calls."""

    calls: list = dataclasses.field(default_factory=list, hash=False, compare=False)

    def find(self, problem, n, key, evaluate):
        self.calls.append((n, key))
        return np.linspace(0.01, 1.99, n)[:, None], {}


class Equal(AbstractWeighting):
    def weigh(self, cloud, key):
        return np.ones(len(cloud)), {}


def test_patients_are_found_once_for_methods_that_share_a_sampler(plain):
    """Half of the patients keep the bound; with and without `strict` from the same patients."""
    law = LogNormalLaw(("x",), np.zeros(1), np.eye(1))
    problem = PopulationProblem(
        Same(plain), qspx.Joint({"a": qspx.Uniform(0.0, 2.0)}), Plausibility({"x": (0.0, 1.0)}), [law]
    )
    sampler = Counted()
    recipes = [Recipe("all", sampler, Equal(), strict=False), Recipe("strict", sampler, Equal())]
    table = compare(recipes, problem, [0, 1], sizes=(50, 100), laws={"law": law})
    assert sorted(sampler.calls) == [(50, 0), (50, 1), (100, 0), (100, 1)]
    np.testing.assert_array_equal(table["patients"], [50, 50, 25, 25, 100, 100, 50, 50])
    assert (table["strictly_plausible"] == 0.5).all()
    assert (table[["seconds", "cpu_seconds", "peak_memory_gb"]] > 0).all(axis=None)
    assert table["method"].tolist() == 2 * ["all", "all", "strict", "strict"] and table["seed"].tolist() == 4 * [0, 1]
    made = Recipe("strict", sampler, Equal()).make(problem, 50, 0)
    assert len(made) == table.loc[2, "with_weight"] == pytest.approx(made.effective_size)
