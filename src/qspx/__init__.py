"""Quantitative systems pharmacology: models, cohorts of virtual patients, and the first-in-human dose.

The names below are looked up on first use (PEP 562), so that `import qspx` costs milliseconds and the command line
answers before jax is loaded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "_precision": ("enable_x64",),
    "binding": ("Binding", "BindingArm", "Site"),
    "calibrate.error_models": ("Additive", "Combined", "GivenSd", "LogAdditive", "Proportional"),
    "calibrate.estimated": ("Estimated",),
    "calibrate.noise": ("LaplaceNoise", "StudentNoise"),
    "calibrate.preequilibration": ("PreEquilibration",),
    "calibrate.problem": ("CalibrationProblem",),
    "calibrate.first_order": ("FirstOrder",),
    "calibrate.fit": ("fit",),
    "calibrate.fit_files": ("load_fit",),
    "calibrate.fit_result": ("Fit",),
    "calibrate.fit_status": ("FitStatus",),
    "calibrate.starts": ("GivenStarts", "LatinHypercubeStarts", "SobolStarts", "StartsAround"),
    "calibrate.bootstrap": ("case_bootstrap", "parametric_bootstrap", "residual_bootstrap"),
    "calibrate.identifiability": ("identifiability",),
    "calibrate.information": ("fisher_information",),
    "calibrate.laplace": ("laplace",),
    "calibrate.posterior": ("sample_posterior",),
    "calibrate.profile": ("profile",),
    "calibrate.trust_region": ("TrustRegion",),
    "cohort": ("Cohort", "sample_cohort"),
    "cohort_result": ("CohortResult",),
    "cohort_run": ("simulate_cohort",),
    "distributions": (
        "Empirical",
        "Joint",
        "LogNormal",
        "LogUniform",
        "LogitNormal",
        "Normal",
        "TruncatedNormal",
        "Uniform",
    ),
    "dosing": ("Dose", "Regimen"),
    "event_run": ("simulate_events",),
    "event_table": ("EventTable", "events_frame"),
    "fih": ("DoseRationale", "compare_doses"),
    "inputs": ("Input",),
    "integrate": ("AutomaticIntegrator", "BatchIntegrator", "CudaIntegrator", "DiffraxIntegrator"),
    "interchange": ("load_sbml", "simulate_sbml"),
    "loading": ("load_model",),
    "measured_observables": ("Observed",),
    "measurements": ("Measurements",),
    "model": ("AbstractModel", "Event", "Observable", "Parameter", "Published", "Species"),
    "network": ("Network",),
    "nlme": ("PopulationData", "PopulationProblem", "fit_population"),
    "petab": ("load_petab",),
    "protocol": ("Arm", "Protocol"),
    "reaction": ("MassAction", "Reaction"),
    "report": ("write_report",),
    "simulation": ("simulate",),
    "steady_state": ("steady_states",),
    "summaries": ("AUC", "Average", "FractionAbove", "Last", "Max", "Min", "TimeAbove", "TimeBelow", "Tmax"),
    "table_run": ("simulate_table",),
    "varying": ("time_varying",),
    "vpop": ("VirtualPopulation",),
}
_MODULE_OF = {name: f"qspx.{module}" for module, names in _NAMES.items() for name in names}

if TYPE_CHECKING:  # the same names for type checkers and editors; a test holds the two lists equal
    from qspx._precision import enable_x64 as enable_x64
    from qspx.binding import Binding as Binding
    from qspx.binding import BindingArm as BindingArm
    from qspx.binding import Site as Site
    from qspx.calibrate.bootstrap import case_bootstrap as case_bootstrap
    from qspx.calibrate.bootstrap import parametric_bootstrap as parametric_bootstrap
    from qspx.calibrate.bootstrap import residual_bootstrap as residual_bootstrap
    from qspx.calibrate.error_models import Additive as Additive
    from qspx.calibrate.error_models import Combined as Combined
    from qspx.calibrate.error_models import GivenSd as GivenSd
    from qspx.calibrate.error_models import LogAdditive as LogAdditive
    from qspx.calibrate.error_models import Proportional as Proportional
    from qspx.calibrate.estimated import Estimated as Estimated
    from qspx.calibrate.first_order import FirstOrder as FirstOrder
    from qspx.calibrate.fit import fit as fit
    from qspx.calibrate.fit_files import load_fit as load_fit
    from qspx.calibrate.fit_result import Fit as Fit
    from qspx.calibrate.fit_status import FitStatus as FitStatus
    from qspx.calibrate.identifiability import identifiability as identifiability
    from qspx.calibrate.information import fisher_information as fisher_information
    from qspx.calibrate.laplace import laplace as laplace
    from qspx.calibrate.noise import LaplaceNoise as LaplaceNoise
    from qspx.calibrate.noise import StudentNoise as StudentNoise
    from qspx.calibrate.posterior import sample_posterior as sample_posterior
    from qspx.calibrate.preequilibration import PreEquilibration as PreEquilibration
    from qspx.calibrate.problem import CalibrationProblem as CalibrationProblem
    from qspx.calibrate.profile import profile as profile
    from qspx.calibrate.starts import GivenStarts as GivenStarts
    from qspx.calibrate.starts import LatinHypercubeStarts as LatinHypercubeStarts
    from qspx.calibrate.starts import SobolStarts as SobolStarts
    from qspx.calibrate.starts import StartsAround as StartsAround
    from qspx.calibrate.trust_region import TrustRegion as TrustRegion
    from qspx.cohort import Cohort as Cohort
    from qspx.cohort import sample_cohort as sample_cohort
    from qspx.cohort_result import CohortResult as CohortResult
    from qspx.cohort_run import simulate_cohort as simulate_cohort
    from qspx.distributions import Empirical as Empirical
    from qspx.distributions import Joint as Joint
    from qspx.distributions import LogitNormal as LogitNormal
    from qspx.distributions import LogNormal as LogNormal
    from qspx.distributions import LogUniform as LogUniform
    from qspx.distributions import Normal as Normal
    from qspx.distributions import TruncatedNormal as TruncatedNormal
    from qspx.distributions import Uniform as Uniform
    from qspx.dosing import Dose as Dose
    from qspx.dosing import Regimen as Regimen
    from qspx.event_run import simulate_events as simulate_events
    from qspx.event_table import EventTable as EventTable
    from qspx.event_table import events_frame as events_frame
    from qspx.fih import DoseRationale as DoseRationale
    from qspx.fih import compare_doses as compare_doses
    from qspx.inputs import Input as Input
    from qspx.integrate import AutomaticIntegrator as AutomaticIntegrator
    from qspx.integrate import BatchIntegrator as BatchIntegrator
    from qspx.integrate import CudaIntegrator as CudaIntegrator
    from qspx.integrate import DiffraxIntegrator as DiffraxIntegrator
    from qspx.interchange import load_sbml as load_sbml
    from qspx.interchange import simulate_sbml as simulate_sbml
    from qspx.loading import load_model as load_model
    from qspx.measured_observables import Observed as Observed
    from qspx.measurements import Measurements as Measurements
    from qspx.model import AbstractModel as AbstractModel
    from qspx.model import Event as Event
    from qspx.model import Observable as Observable
    from qspx.model import Parameter as Parameter
    from qspx.model import Published as Published
    from qspx.model import Species as Species
    from qspx.network import Network as Network
    from qspx.nlme import PopulationData as PopulationData
    from qspx.nlme import PopulationProblem as PopulationProblem
    from qspx.nlme import fit_population as fit_population
    from qspx.petab import load_petab as load_petab
    from qspx.protocol import Arm as Arm
    from qspx.protocol import Protocol as Protocol
    from qspx.reaction import MassAction as MassAction
    from qspx.reaction import Reaction as Reaction
    from qspx.report import write_report as write_report
    from qspx.simulation import simulate as simulate
    from qspx.steady_state import steady_states as steady_states
    from qspx.summaries import AUC as AUC
    from qspx.summaries import Average as Average
    from qspx.summaries import FractionAbove as FractionAbove
    from qspx.summaries import Last as Last
    from qspx.summaries import Max as Max
    from qspx.summaries import Min as Min
    from qspx.summaries import TimeAbove as TimeAbove
    from qspx.summaries import TimeBelow as TimeBelow
    from qspx.summaries import Tmax as Tmax
    from qspx.table_run import simulate_table as simulate_table
    from qspx.varying import time_varying as time_varying
    from qspx.vpop import VirtualPopulation as VirtualPopulation


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module `qspx` has no attribute `{name}`")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
