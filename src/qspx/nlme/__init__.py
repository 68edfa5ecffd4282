"""Population fits: nonlinear mixed effects."""

from qspx.nlme.base import AbstractMethod as AbstractMethod
from qspx.nlme.base import PopulationObjective as PopulationObjective
from qspx.nlme.covariate_effects import CategoryEffect as CategoryEffect
from qspx.nlme.covariate_effects import LinearEffect as LinearEffect
from qspx.nlme.covariate_effects import PowerEffect as PowerEffect
from qspx.nlme.data import Endpoint as Endpoint
from qspx.nlme.data import PopulationData as PopulationData
from qspx.nlme.fit import fit_population as fit_population
from qspx.nlme.fo import FO as FO
from qspx.nlme.foce import FOCE as FOCE
from qspx.nlme.focei import FOCEI as FOCEI
from qspx.nlme.laplace import Laplace as Laplace
from qspx.nlme.population_fit import PopulationFit as PopulationFit
from qspx.nlme.prediction_errors import npde as npde
from qspx.nlme.predictive_check import VisualPredictiveCheck as VisualPredictiveCheck
from qspx.nlme.predictive_check import visual_predictive_check as visual_predictive_check
from qspx.nlme.problem import PopulationProblem as PopulationProblem
from qspx.nlme.quadrature import AdaptiveQuadrature as AdaptiveQuadrature
from qspx.nlme.random_effects import RandomEffect as RandomEffect
from qspx.nlme.results import write_results as write_results
from qspx.nlme.simulated import simulate_measurements as simulate_measurements
