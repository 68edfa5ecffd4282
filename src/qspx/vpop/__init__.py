"""Virtual populations: patients that look like real ones, by several methods behind one object."""

from __future__ import annotations

from qspx.vpop.allen import AcceptanceRejection as AcceptanceRejection
from qspx.vpop.annealing import Annealing as Annealing
from qspx.vpop.annealing import NestedAnnealing as NestedAnnealing
from qspx.vpop.compare import Recipe as Recipe
from qspx.vpop.compare import compare as compare
from qspx.vpop.compare import summary as summary
from qspx.vpop.density_ratio import DensityRatio as DensityRatio
from qspx.vpop.designs import Independent as Independent
from qspx.vpop.designs import LatinHypercube as LatinHypercube
from qspx.vpop.designs import Sobol as Sobol
from qspx.vpop.genetic import Genetic as Genetic
from qspx.vpop.laws import LogNormalLaw as LogNormalLaw
from qspx.vpop.laws import Rows as Rows
from qspx.vpop.mapel import Mapel as Mapel
from qspx.vpop.maximum_entropy import MaximumEntropy as MaximumEntropy
from qspx.vpop.metropolis import Metropolis as Metropolis
from qspx.vpop.outputs import Outputs as Outputs
from qspx.vpop.outputs import PopulationError as PopulationError
from qspx.vpop.plausibility import Plausibility as Plausibility
from qspx.vpop.population import VirtualPopulation as VirtualPopulation
from qspx.vpop.problem import PopulationProblem as PopulationProblem
from qspx.vpop.push_forward import PushForward as PushForward
from qspx.vpop.quadratic import DirectWeights as DirectWeights
from qspx.vpop.quadratic import QuadraticProgramme as QuadraticProgramme
from qspx.vpop.resampling import systematic as systematic
from qspx.vpop.sampler import AbstractSampler as AbstractSampler
from qspx.vpop.sampler import Evaluator as Evaluator
from qspx.vpop.screening import Screening as Screening
from qspx.vpop.simulator import AbstractSimulator as AbstractSimulator
from qspx.vpop.simulator import AtRest as AtRest
from qspx.vpop.simulator import AtStart as AtStart
from qspx.vpop.simulator import Treated as Treated
from qspx.vpop.targets import AbstractTarget as AbstractTarget
from qspx.vpop.targets import Bins as Bins
from qspx.vpop.targets import Correlation as Correlation
from qspx.vpop.targets import Density2D as Density2D
from qspx.vpop.targets import MeanSd as MeanSd
from qspx.vpop.targets import Quantiles as Quantiles
from qspx.vpop.targets import Survival as Survival
from qspx.vpop.twins import Twins as Twins
from qspx.vpop.weighting import AbstractWeighting as AbstractWeighting
from qspx.vpop.weighting import Cloud as Cloud
