"""Has a commit made something slower? Ratios and instruction counts beside the committed ones.

    python -m benchmarks.guard            # compare: exit 1 where something has become slower; four minutes
    python -m benchmarks.guard --write    # the figures of this machine become the committed ones

Ratios, plain port over ours in interleaved turns, are compared with those committed for the same kernels (AVX2,
AVX512, AMX): they say nothing about another kind of processor. A seventh is within what runs beside other work differ
by. Instruction counts are of toy cases under callgrind, the same whatever else the machine does; two hundredths more
are reported. Without valgrind there are none, which is said.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from benchmarks import cases, measure
from benchmarks.cases import Case
from tokenfield.io.atomic import write_whole

COMMITTED = Path(__file__).parents[1] / "results" / "guard" / "guard.json"
SLOWER = {"ratio": 0.85, "instructions": 1 / 1.02}
"""A figure below so many times the committed one is a finding; of instructions their reciprocal."""
def narrow() -> bool:
    """Whether bfloat16 is worth a turn here."""
    return measure.multiplies_natively(torch.bfloat16)


TIMED: dict[str, Callable[[], list[Case]]] = {
    "encode, 178 px": lambda: cases.encode(cases.PAPER, bf16=narrow()),
    "decode, 178 px": lambda: cases.decode(cases.PAPER, 178, bf16=narrow()),
    "step, 1 picture, 10 % of pixels": lambda: cases.train(cases.PAPER, 0.1, bf16=narrow(), batch=1),
}
COUNTED: dict[str, Callable[[], list[Case]]] = {
    "decode": lambda: cases.decode(cases.TOY, 23, bf16=False)[1:2],
    "step": lambda: cases.train(cases.TOY, bf16=False)[1:2],
}
TURNS = 4
"""Runs of a counted case that are counted."""


@dataclass(frozen=True)
class Options:
    """What to do."""

    write: bool = False
    """Make these figures the committed ones."""
    instructions: bool = True
    """Count instructions too, two minutes; needs valgrind."""
    repeats: int = 5
    """Recorded turns."""
    threads: int = 1
    """Threads of torch."""
    count: str = ""
    """Run this counted case and nothing else: what the program starts under callgrind."""


def kernels() -> str:
    """What ratios depend on most."""
    return "AMX" if torch.cpu.get_capabilities().get("amx_bf16") else torch.backends.cpu.get_cpu_capability()


def ratios(repeats: int) -> dict[str, float]:
    """Seconds of the plain port over ours."""
    figures = {}
    for title, make in TIMED.items():
        alternatives = make()
        for case in alternatives:
            case.settle()
        runs = {case.name: case.run for case in alternatives}
        measure.interleave(runs, 1)
        seconds, _ = measure.interleave(runs, repeats)
        plain, *ours = (min(seconds[case.name]) for case in alternatives)  # what other work disturbed least
        figures |= {f"{title}: {case.name}": plain / own for case, own in zip(alternatives[1:], ours, strict=True)}
    return figures


def run_counted(name: str) -> None:
    """A counted case after a line on standard input; a line on standard output before and after it."""
    (case,) = COUNTED[name]()
    case.settle()
    case.run()  # what is made once only is not counted
    for say in ("ready", "done"):
        print(say, flush=True)
        sys.stdin.readline()
        if say == "ready":
            for _ in range(TURNS):
                case.run()


def instructions(name: str) -> float:
    """Instructions of one run of a case: callgrind counts between two lines of the program, not while it starts."""
    program = [sys.executable, "-m", "benchmarks.guard", "--count", name]
    settings = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "MKL_CBWR": "COMPATIBLE", "MALLOC_ARENA_MAX": "1"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
        with subprocess.Popen([*tool, *program], env=os.environ | settings, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as counted:
            for command in ("--instr=on", "--dump"):
                assert counted.stdout.readline(), "the counted program ended early"
                subprocess.run(["callgrind_control", command, str(counted.pid)], check=True, capture_output=True)
                print(file=counted.stdin, flush=True)
        dump = Path(f"{out}.1").read_text()
        return int(re.search(r"^(?:summary|totals): (\d+)", dump, re.M)[1]) / TURNS


def findings(figures: dict[str, dict[str, float]], committed: dict[str, dict[str, float]]) -> list[str]:
    """Prints every figure beside the committed one; those that are worse."""
    worse = []
    for kind, of_kind in figures.items():
        for name, figure in of_kind.items():
            before = committed.get(kind, {}).get(name)
            print(f"{name:55} {figure:14.4g}   committed {'-' if before is None else format(before, '.4g')}")
            gain = 1.0 if before is None else figure / before if kind == "ratio" else before / figure
            worse += [f"{name}: {figure:.4g}, committed {before:.4g}"] if gain < SLOWER[kind] else []
    return worse


def main(options: Options) -> int:
    """Measure, compare, print the line of JSON; the exit code."""
    torch.set_num_threads(options.threads)
    if options.count:
        run_counted(options.count)
        return 0
    every: dict[str, dict[str, dict[str, float]]] = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    figures = {"ratio": ratios(options.repeats)}
    if options.instructions and not shutil.which("valgrind"):
        print("no instruction counts: valgrind is not installed (Debian: apt-get install valgrind)", file=sys.stderr)
    elif options.instructions:
        figures["instructions"] = {name: instructions(name) for name in COUNTED}
    worse = findings(figures, every.get(kernels(), {}))
    if options.write:
        COMMITTED.parent.mkdir(parents=True, exist_ok=True)
        every[kernels()] = every.get(kernels(), {}) | figures
        write_whole(COMMITTED, json.dumps(every, indent=1) + "\n")
    for line in worse:
        print(f"slower: {line}", file=sys.stderr)
    print(json.dumps({"benchmark": "guard", "kernels": kernels(), **measure.circumstances(), **figures}))
    return 1 if worse and not options.write else 0


if __name__ == "__main__":
    if any(os.environ.get(k) != v for k, v in measure.TUNED_MALLOC.items()):  # page faults differ from run to run
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.guard", *sys.argv[1:]],
                  os.environ | measure.TUNED_MALLOC)
    sys.exit(main(tyro.cli(Options, description=__doc__)))
