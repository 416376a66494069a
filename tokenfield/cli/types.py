"""Types of what commands hand from function to function, by name: at run time none of their modules is loaded here.

Commands import torch in their bodies alone, so that `--help` and a mistyped option answer at once.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor as Tensor

    from tokenfield.data.pictures import SkippedFiles as SkippedFiles
    from tokenfield.demo.steps import Findings as Findings
    from tokenfield.evaluation.evaluate import Report as Report
    from tokenfield.evaluation.evaluate import Score as Score
    from tokenfield.evaluation.explain import Explained as Explained
    from tokenfield.evaluation.optimization_curves import Curve as Curve
    from tokenfield.fields.field import Field as Field
    from tokenfield.fields.optimization import Optimization as Optimization
    from tokenfield.models.base import FieldModel as FieldModel
    from tokenfield.models.base import Model as Model
    from tokenfield.models.folder import ModelId as ModelId
    from tokenfield.training.recipe import Recipe as Recipe
    from tokenfield.training.session import Session as Session
else:
    Tensor = "torch.Tensor"
    SkippedFiles = "tokenfield.data.pictures.SkippedFiles"
    Findings = "tokenfield.demo.steps.Findings"
    Report, Score = "tokenfield.evaluation.evaluate.Report", "tokenfield.evaluation.evaluate.Score"
    Explained = "tokenfield.evaluation.explain.Explained"
    Curve = "tokenfield.evaluation.optimization_curves.Curve"
    Field = "tokenfield.fields.field.Field"
    Optimization = "tokenfield.fields.optimization.Optimization"
    FieldModel, Model = "tokenfield.models.base.FieldModel", "tokenfield.models.base.Model"
    ModelId = "tokenfield.models.folder.ModelId"
    Recipe, Session = "tokenfield.training.recipe.Recipe", "tokenfield.training.session.Session"
