"""Training: recipes in, weights out."""

from tokenfield.training.loop import train as train
from tokenfield.training.optim import OptimConfig as OptimConfig
from tokenfield.training.recipe import Recipe as Recipe
from tokenfield.training.sampling import CoordinateConfig as CoordinateConfig
from tokenfield.training.stopping import Interrupted as Interrupted
