"""What reports, metrics and descriptions are before they are JSON."""

from typing import Any

Record = dict[str, Any]
"""One JSON object: text, numbers, lists and objects by name."""
