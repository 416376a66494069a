"""What this slice adds to the registry."""

from types import ModuleType


def register(registry: ModuleType) -> None:
    """Commands that read checkpoints of other projects, and write graphs for other programs."""
    registry.COMMANDS.add("import", "tokenfield.interop.command:import_checkpoint")
    registry.COMMANDS.add("export", "tokenfield.interop.command:export")
