"""The folder that this library has on a machine for itself: everything in it can be deleted at any time."""

import os
from contextlib import suppress
from pathlib import Path

from tokenfield.errors import UserError
from tokenfield.io.atomic import write_whole


def cache_folder() -> Path:
    """`$TOKENFIELD_CACHE`, or `~/.cache/tokenfield`."""
    return Path(os.environ.get("TOKENFIELD_CACHE") or "~/.cache/tokenfield").expanduser()


def remember_model(digest: str, folder: Path) -> None:
    """Note where the model of a hash was when this machine used it last; where nothing can be noted, nothing is."""
    with suppress(UserError, OSError):
        if remembered_model(digest) != folder:
            write_whole(cache_folder() / "models" / digest, f"{folder}\n")


def remembered_model(digest: str) -> Path | None:
    """Where a model was that this machine used before; None for one that it never had."""
    if len(digest) != 64 or not digest.isalnum():  # from a file, it may be anything
        return None
    with suppress(OSError, ValueError):
        return Path((cache_folder() / "models" / digest).read_text(encoding="utf-8").rstrip("\n"))
    return None
