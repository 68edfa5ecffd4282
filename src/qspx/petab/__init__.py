"""Parameter estimation problems in the PEtab format: files in, an objective out, and estimates back."""

from qspx.petab.problem import PetabProblem, load_petab
from qspx.petab.writing import write_petab, write_petab_parameters

__all__ = ["PetabProblem", "load_petab", "write_petab", "write_petab_parameters"]
