"""`tokenfield bench`: the repository's benchmarks, from the command line."""

import json as json_module
import subprocess
import sys
from pathlib import Path
from typing import Literal

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
"""The repository, where the package is installed from one."""


def bench(*, only: Literal["all", "encode", "decode", "train"] = "all", json: Json = None) -> int:
    """Measure speed and memory against a plain reference in the same run: minutes on two cores.

    The benchmarks lie in the repository beside the package; an installed package alone does not have them.

    Args:
        only: a part of them.
    """
    if not (ROOT / "benchmarks" / "lainr_178.py").exists():
        raise UserError("the benchmarks are part of the repository, not of the installed package; clone it, then "
                        "type: make demo, and tokenfield bench in the clone")
    last = ""
    command = [sys.executable, "-m", "benchmarks.lainr_178", "--only", only]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            console.say(line.rstrip("\n"))
            last = line.strip() or last
    if process.returncode:
        raise UserError(f"the benchmark ended with exit code {process.returncode}; what it said is above")
    if json is not None:
        try:
            results = json_module.loads(last)
        except ValueError as error:
            raise UserError("the benchmark printed no line of JSON at its end; nothing was written") from error
        console.write_json(json, {"command": "bench", "results": results})
    return console.OK
