"""`tokenfield completion SHELL`: a script that completes commands, recipes, models and options."""

import re
from typing import Literal

import tyro

from tokenfield.cli import console
from tokenfield.registry import COMMANDS, MODELS, RECIPES

BASH = """\
_tokenfield() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then words="{commands} --help --version"
  else case "${{COMP_WORDS[1]}}:$COMP_CWORD" in
    train:2|compare:*) words="{recipes}" ;;
    *) case "$word:${{COMP_WORDS[COMP_CWORD-1]}}" in
      -*) words="$(tokenfield "${{COMP_WORDS[1]}}" --help 2>/dev/null | grep -oE -- '--[a-z][a-z0-9.-]*' | sort -u)" ;;
      *:--model|*:evaluate|*:latents|*:info) words="{models}" ;;
    esac ;;
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _tokenfield tokenfield
"""

FISH = """\
complete -c tokenfield -n __fish_use_subcommand -f -a "{commands}"
complete -c tokenfield -n "__fish_seen_subcommand_from train compare" -f -a "{recipes}"
complete -c tokenfield -n "__fish_seen_subcommand_from evaluate info latents" -a "{models}"
complete -c tokenfield -l model -x -a "{models}"
complete -c tokenfield -l json -r
"""


def completion(shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]) -> int:
    """Print a script that completes commands, recipes, models and options in a shell.

    bash and zsh: eval "$(tokenfield completion bash)" in ~/.bashrc, zsh in ~/.zshrc; fish: tokenfield completion fish |
    source. Names are those of this installation, plug-ins included; options are read from --help when they are asked
    for.
    """
    from tokenfield.models import pretrained

    names = {"commands": COMMANDS, "recipes": [*RECIPES, *MODELS], "models": pretrained.list_models()}
    words = {kind: " ".join(name for name in some if re.fullmatch(r"[\w.\-]+", name)) for kind, some in names.items()}
    if shell == "zsh":  # which completes by bash's functions
        console.show("autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit")
    console.show((FISH if shell == "fish" else BASH).format(**words).rstrip())
    return console.OK
