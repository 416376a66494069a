"""`tokenfield latents`, `tokenfield score`, and `tokenfield generate`, a group of sub-commands with a file each."""

from collections.abc import Callable
from typing import Annotated

import tyro

from tokenfield.cli.app import deferred
from tokenfield.cli.console import Usage
from tokenfield.generation.commands.infill import Infill
from tokenfield.generation.commands.interpolate import Interpolate
from tokenfield.generation.commands.samples import Samples

FORMER = {"--between": "interpolate MODEL A B", "--fill": "infill MODEL PICTURE", "--model": "samples MODEL"}
"""Options of the command when it had no sub-commands, and the sub-commands that they became."""


def generate(
    action: Annotated[Samples | Interpolate | Infill, tyro.conf.arg(name=""), tyro.conf.OmitSubcommandPrefixes],
) -> int:
    """Draw from a denoiser of tokens: new pictures, animations between two, parts of a photograph.

    A denoiser is made by tokenfield latents MODEL DATA -o LATENTS and tokenfield train ldm-... --data LATENTS. A sample
    is a set of tokens, and so a field: --size draws the same sample at any number of pixels, and tokenfield decode
    renders its .field file again at any other. Tokens with anchors are drawn in any shape: --aspect 2:1, or --cells for
    an exact number of rows and columns. Tokens of a set have the shape of the pictures that were encoded.

    Args:
        action: what to draw.
    """
    return action.run()


def parser(options: list[str]) -> Callable[[], object]:
    """What to run for `tokenfield generate OPTIONS...`. Raises `Usage` for the options of a former version."""
    for option, form in FORMER.items():
        if option in options and options[0].startswith("-"):
            raise Usage(f"tokenfield generate {option} became tokenfield generate {form} -o FOLDER; "
                        "tokenfield generate --help lists the sub-commands")
    return tyro.cli(deferred(generate), prog="tokenfield generate", args=options)
