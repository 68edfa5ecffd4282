"""Experiment files: a first-in-human dose rationale as one TOML document, read, checked, built and run."""

from __future__ import annotations

from .load import ExperimentFile as ExperimentFile
from .load import load_experiment as load_experiment
from .plan import Plan as Plan
from .plan import build as build
from .run import RESULT as RESULT
from .run import run_cohort as run_cohort
from .run import run_fih as run_fih
from .schema import Experiment as Experiment
from .stored import load_rationale as load_rationale
from .stored import save_rationale as save_rationale
