"""What every project that saves one file has in common."""

from collections.abc import Callable
from dataclasses import dataclass

from tokenfield.errors import UserError
from tokenfield.interop.choices import ANY, Choices
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel


@dataclass(frozen=True)
class Project:
    """Whose checkpoints they are.

    Attributes:
        name: owner and repository.
        content: what a checkpoint may hold.
        recognises: whether a checkpoint is one of its own.
        build: the model of a checkpoint, its configuration and the caller's choices.
        needs_config: whether the configuration is a YAML beside the checkpoint, and not in it.
    """

    name: str
    content: frozenset[str]
    recognises: Callable[[Record], bool]
    build: Callable[[Record, Record, Choices], FieldModel]
    needs_config: bool = True

    def read(self, checkpoint: Record, config: Record | None = None, choices: Choices = ANY) -> FieldModel:
        """The model of a checkpoint. Raises UserError for contents that are not known, or no configuration."""
        if config is None and self.needs_config:
            raise UserError("such checkpoints need their YAML; give it as the configuration")
        if unknown := sorted(map(str, checkpoint.keys() - self.content)):
            raise UserError(f"the checkpoint holds unknown {', '.join(unknown)}")
        return self.build(checkpoint, config or {}, choices)
