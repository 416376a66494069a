"""Training: recipes in, weights out."""

from tokenfield.training.objective import ReconstructionConfig as ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig as OptimConfig
from tokenfield.training.recipe import Recipe as Recipe
from tokenfield.training.session import Diverged as Diverged
from tokenfield.training.session import Interrupted as Interrupted
from tokenfield.training.session import Session as Session
from tokenfield.training.trainer import train as train
