"""The solvers that are compared. A new one is a file with one class, and a line here."""

from .amici_sbml import Amici
from .base import AbstractPeer, Answer, Solve
from .cvode_c import CvodeC
from .cvode_sundae import CvodeSundae
from .diffrax_vmapped import DiffraxVmapped
from .numba_lsoda import NumbaLsoda
from .qspx_diffrax import QspxDiffrax
from .qspx_native import QspxNative
from .roadrunner_sbml import Roadrunner
from .scipy_lsoda import ScipyLsoda

__all__ = [
    "AbstractPeer",
    "Amici",
    "Answer",
    "CvodeC",
    "CvodeSundae",
    "DiffraxVmapped",
    "NumbaLsoda",
    "QspxDiffrax",
    "QspxNative",
    "Roadrunner",
    "ScipyLsoda",
    "Solve",
]
