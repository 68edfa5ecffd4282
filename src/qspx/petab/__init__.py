"""Parameter estimation problems in the PEtab format: files in, an objective out, and estimates back."""

from qspx.petab.problem import PetabProblem, load_petab

__all__ = ["PetabProblem", "load_petab"]
