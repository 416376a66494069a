"""What a training run needs of its parts: a model's configuration, data, an objective, and perhaps a probe.

The first three are frozen dataclasses of plain values, which become options of the command line and JSON, with the
methods below. Nothing is inherited: a class that has the methods is such a part, and the registry gives it its name.
"""

from collections.abc import Callable
from dataclasses import Field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from accelerate import Accelerator
from torch import nn

from tokenfield.data.sources import Source, Split
from tokenfield.io.record import Record
from tokenfield.models.base import Model
from tokenfield.training.journal import Measure

M_contra = TypeVar("M_contra", bound=Model, contravariant=True)
S_contra = TypeVar("S_contra", bound=Source, contravariant=True)


@runtime_checkable
class Part(Protocol):
    """A frozen dataclass."""

    if TYPE_CHECKING:  # at run time only methods count, so that classes can be checked as well
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


@runtime_checkable
class ModelConfig(Part, Protocol):
    """Sizes and choices of a system. `build` is annotated with the system's own class, which says which one it is."""

    def build(self) -> Model:
        """The model with fresh weights, from torch's global generator. Raises UserError for sizes that do not fit."""
        ...


@runtime_checkable
class Data(Part, Protocol):
    """Which instances a run is trained on."""

    def open(self, root: Path, split: Split, /) -> Source:
        """The instances of one split of the data set at `root`. Raises UserError where there are none."""
        ...


@runtime_checkable
class Objective(Part, Protocol[M_contra, S_contra]):
    """What a step minimises, and what a run is judged by. It may be for some models and some sources alone."""

    @property
    def measure(self) -> Measure:
        """The number that `evaluate` gives; a class variable will do."""
        ...

    def build(self, model: M_contra, /, *, bf16: bool) -> nn.Module:
        """The loss: a module of (batch, generator) -> (loss, squared error (B,) of every instance, without gradient).

        Batches are stacked `Source.sample`s. All that is random comes from the generator, which is the same on all
        processes. `bf16`: run the model under bfloat16 autocast.
        """
        ...

    def check(self, model: M_contra, source: S_contra, held_out: S_contra | None, seed: int, /) -> None:
        """Raises UserError where model and data do not fit: now, and not after an hour at the first evaluation."""
        ...

    def evaluate(self, model: M_contra, source: S_contra, count: int, accelerator: Accelerator,
                 halted: Callable[[], bool], /) -> tuple[float, int]:
        """`measure` of the first `count` held-out instances, shared out between the processes, and of how many it is.

        (nan, 0) without any, or if `halted` on any process.
        """
        ...


@runtime_checkable
class Probe(Protocol):
    """Something else to measure while a run goes on, beside the recipe's own evaluation."""

    def due(self, step: int) -> bool:
        """Whether to measure after so many steps: a function of the step alone, the same on every process."""
        ...

    def __call__(self, model: Model) -> Record:
        """Numbers for a line of metrics; the clock of training stands still meanwhile."""
        ...


AnyObjective = Objective[Any, Any]
"""An objective for models and sources that it checks itself."""
