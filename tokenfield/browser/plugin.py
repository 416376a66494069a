"""What this room adds to the registry."""

from types import ModuleType


def register(registry: ModuleType) -> None:
    """The command that opens fields in a browser."""
    registry.COMMANDS.add("view", "tokenfield.browser.command:view")
