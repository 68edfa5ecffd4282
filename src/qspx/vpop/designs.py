"""Where in the unit cube patients are drawn: at random, Latin hypercube, Sobol'."""

from __future__ import annotations

import abc
import dataclasses

import jax
import numpy as np
from scipy.stats import qmc

from qspx._random import KeyLike, as_key


def generator(key: KeyLike) -> np.random.Generator:
    """NumPy's generator for a key of jax or an int."""
    return np.random.default_rng(np.asarray(jax.random.key_data(as_key(key))).astype(np.uint32).tolist())


class AbstractDesign(abc.ABC):
    """Points in the open unit cube."""

    @abc.abstractmethod
    def points(self, n: int, dimensions: int, key: KeyLike) -> np.ndarray:
        """Shape (n, dimensions)."""


def _open(u: np.ndarray) -> np.ndarray:
    return np.clip(u, 2.0**-53, 1.0 - 2.0**-53)


@dataclasses.dataclass(frozen=True)
class Independent(AbstractDesign):
    """Independent points."""

    def points(self, n, dimensions, key):
        return _open(generator(key).random((n, dimensions)))


@dataclasses.dataclass(frozen=True)
class LatinHypercube(AbstractDesign):
    """One point in each of n slices of every axis (McKay 1979)."""

    def points(self, n, dimensions, key):
        return _open(qmc.LatinHypercube(dimensions, rng=generator(key)).random(n))


@dataclasses.dataclass(frozen=True)
class Sobol(AbstractDesign):
    """A scrambled Sobol' sequence; best for a power of two."""

    def points(self, n, dimensions, key):
        power = max(n - 1, 0).bit_length()
        return _open(qmc.Sobol(dimensions, rng=generator(key)).random_base2(power)[:n])
