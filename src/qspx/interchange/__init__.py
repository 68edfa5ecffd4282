"""Models in the formats of others: files in, qspx nouns out. The only package that imports libSBML."""

from qspx.interchange.errors import InterchangeError, NotSupported
from qspx.interchange.sbml import load_sbml, simulate_sbml, write_model_file

__all__ = ["InterchangeError", "NotSupported", "load_sbml", "simulate_sbml", "write_model_file"]
