"""Spread of parameters between subjects: distributions of single parameters, and their joint distribution."""

from __future__ import annotations

from qspx.distributions.base import AbstractDistribution as AbstractDistribution
from qspx.distributions.bounded import LogitNormal as LogitNormal
from qspx.distributions.bounded import LogUniform as LogUniform
from qspx.distributions.bounded import TruncatedNormal as TruncatedNormal
from qspx.distributions.bounded import Uniform as Uniform
from qspx.distributions.empirical import Empirical as Empirical
from qspx.distributions.joint import Joint as Joint
from qspx.distributions.unbounded import LogNormal as LogNormal
from qspx.distributions.unbounded import Normal as Normal
