"""Integration of cohorts. The only package that imports diffrax; nobody outside knows which engine ran."""

from qspx._precision import PrecisionWarning
from qspx.integrate.automatic import AutomaticIntegrator, EngineWarning, integrator_of
from qspx.integrate.base import AbstractIntegrator, BatchSolution, SolveRequest
from qspx.integrate.batch import BatchIntegrator
from qspx.integrate.cuda_batch import CudaIntegrator
from qspx.integrate.diffrax_integrator import DiffraxIntegrator
from qspx.integrate.rosenbrock import Rodas4P, Rodas5P

__all__ = [
    "AbstractIntegrator",
    "AutomaticIntegrator",
    "BatchIntegrator",
    "BatchSolution",
    "CudaIntegrator",
    "DiffraxIntegrator",
    "EngineWarning",
    "PrecisionWarning",
    "Rodas4P",
    "Rodas5P",
    "SolveRequest",
    "integrator_of",
]
