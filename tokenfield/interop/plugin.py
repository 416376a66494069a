"""What this slice adds to the registry."""

from types import ModuleType


def register(registry: ModuleType) -> None:
    """The command that reads checkpoints of other projects."""
    registry.COMMANDS.add("import", "tokenfield.interop.command:import_checkpoint")
