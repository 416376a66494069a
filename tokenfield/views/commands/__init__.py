"""`tokenfield views`: objects from a few posed pictures; a group of sub-commands.

Training is `tokenfield train views-lamps --data FOLDER` and its like.
"""

from collections.abc import Callable
from typing import Annotated

import tyro

from tokenfield.cli.app import deferred
from tokenfield.cli.console import Usage
from tokenfield.views.commands.measure import Measure
from tokenfield.views.commands.orbit import Orbit, Serve
from tokenfield.views.commands.render import Render


def views(
    action: Annotated[Measure | Orbit | Serve | Render, tyro.conf.arg(name=""), tyro.conf.OmitSubcommandPrefixes],
) -> int:
    """Objects from a few posed pictures: measure models, draw orbits, turn objects on a page, render data from meshes.

    Posed views are folders in learnit's layout (CATEGORY/OBJECT/transforms.json, CATEGORY_splits.json) or in that of
    NeRF-synthetic; tokenfield views render makes them from meshes. views-lamps is a packaged model of lamps and
    furniture; train others with tokenfield train views-lamps --data FOLDER. Each of the four has --help.

    Args:
        action: what to do.
    """
    return action.run()


def parser(words: list[str]) -> Callable[[], object]:
    """What runs. Raises Usage for a command line without a sub-command, with the one that it should have."""
    if words and words[0] not in ("measure", "orbit", "serve", "render", "-h", "--help"):
        one = {"--object", "--pose"} & set(words) or words[0].endswith(".field")
        action = "serve" if "--serve" in words else "orbit" if one else "measure"
        renamed = ["--targets" if word == "--asked" else word for word in words if word != "--serve"]
        raise Usage(f"tokenfield views has sub-commands; this is: tokenfield views {action} {' '.join(renamed)}")
    return tyro.cli(deferred(views), prog="tokenfield views", args=words)
