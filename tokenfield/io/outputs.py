"""What a command would overwrite, said before its work begins.

Results are named after inputs, in one place, so that no two of a run share a name and none is an input. What is there
already is replaced only where its own path was given with -o, or with --overwrite; never by another kind of file.
"""

import os
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from tokenfield.errors import UserError
from tokenfield.io.atomic import shown, takes_bytes
from tokenfield.io.lock import take

NOT_REPORTS = ("config.json", "recipe.json", "latents.json", "state.json", "transforms.json")
"""JSON files that others read: a report for machines never takes their place."""


FIGURES = ("figure", "neighbours")
RESULTS = ("json", "table", *FIGURES, "output", "out", "save")
"""Options that name where results go: files for machines, tables, figures, and what each command makes."""


def plan_file(source: Path, output: Path | None, endings: Sequence[str]) -> Path:
    """Where the one result of a file goes: to `output`, or beside it with the first of the endings.

    Raises UserError for an ending of another kind, a folder, the input itself, or a file in the way without `output`.
    """
    target = output or source.with_suffix(endings[0])
    if same(target, source):
        raise UserError(f"{shown(target)} is the input itself; give another name")
    if output is None and present(target):
        raise UserError(f"{shown(target)} exists already; name it with -o to replace it, or give another name")
    check_folders([target])
    if present(target) and target.is_dir():
        raise UserError(f"{shown(target)} is a folder; for one file name a file, such as "
                        f"{shown(target / source.stem)}{endings[0]}")
    if target.suffix.lower() not in endings:
        raise UserError(f"{shown(target)}: give a name ending in {' '.join(endings)}")
    return target


def plan_folder(source: Path, files: Sequence[Path], output: Path | None, ending: str, *,
                overwrite: bool = False) -> list[Path]:
    """Where the results of a folder's files go: below `output`, by their paths below `source`.

    Files that differ in their ending alone, a.jpg and a.png, keep it: a.jpg.field and a.png.field. Raises UserError
    without an output folder, and for files in the way unless `overwrite`; an input is in the way in any case.
    """
    if output is None:
        raise UserError(f"{shown(source)} is a folder; say with -o FOLDER where the results go")
    if present(output) and not output.is_dir():
        raise UserError(f"{shown(output)} is a file; for a folder of files give a folder with -o")
    take(output)
    targets = [output / name for name in distinct_names([path.relative_to(source) for path in files], ending)]
    inputs = {os.path.realpath(path) for path in files}
    check_free(targets, overwrite=overwrite, inputs=inputs)
    return targets


def distinct_names(paths: Sequence[Path], ending: str) -> list[Path]:
    """A name for each path's result: with another ending, or, where two would be called alike, with one more.

    Letter case tells none apart, since on many disks it does not.
    """
    names, long = [path.with_suffix(ending) for path in paths], [path.with_name(path.name + ending) for path in paths]
    for _ in paths:  # a name that became long may be that of another: a.jpg.png beside a.jpg and a.png
        shared = Counter(str(name).casefold() for name in names)
        clashes = [i for i, name in enumerate(names) if shared[str(name).casefold()] > 1 and name != long[i]]
        if not clashes:
            break
        for i in clashes:
            names[i] = long[i]
    taken: set[str] = set()
    return [untaken(name, taken) for name in names]  # A.png and a.png are still alike


def short(stem: str) -> str:
    """The beginning of a name, at most 200 bytes, so that numbers and endings have room in the 255 there are."""
    return os.fsencode(stem)[:200].decode(errors="ignore")


def untaken(name: Path, taken: set[str]) -> Path:
    """The name, or with ~2, ~3, ... before its ending where an earlier result has it; it is noted in `taken`."""
    tries = (name if n == 1 else name.with_name(f"{name.stem}~{n}{name.suffix}") for n in count(1))
    free = next(each for each in tries if str(each).casefold() not in taken)
    taken.add(str(free).casefold())
    return free


def check_free(targets: Sequence[Path], *, overwrite: bool, inputs: set[str] | None = None) -> None:
    """Raises UserError that names what is in the way: files that exist, unless `overwrite`, and inputs."""
    own = [target for target in targets if os.path.realpath(target) in (inputs or set())]
    if own:
        raise UserError(f"{shown(own[0])} is an input, and would be replaced; give another folder with -o")
    check_folders(targets)
    there = [target for target in targets if present(target)]
    if there and not overwrite:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise UserError(f"{shown(there[0])}{more} would be replaced; give another folder, or --overwrite")


def check_folders(targets: Sequence[Path]) -> None:
    """Raises UserError where a file stands in the place of a folder that targets are to lie in."""
    for folder in {target.parent for target in targets}:
        nearest = next((place for place in (folder, *folder.parents) if present(place)), folder)
        if present(nearest) and not nearest.is_dir():
            raise UserError(f"{shown(nearest)} is a file, not a folder; give another folder")


def check_report(path: Path) -> None:
    """Raises UserError unless a JSON report may be written to a path: a new file, or one that is a report."""
    if not present(path):
        return
    if path.is_dir():
        raise UserError(f"{shown(path)} is a folder; give a file name for the JSON")
    if takes_bytes(path):
        return
    with open(path, "rb") as file:
        beginning = file.read(64).lstrip()
    if beginning and beginning[:1] not in (b"{", b"["):
        raise UserError(f"{shown(path)} exists and is no JSON file; it was left as it is: give another name for the "
                        "JSON")
    if path.name in NOT_REPORTS:
        raise UserError(f"{shown(path)} is read by others and not replaced by a report; give another name for the JSON")


def check_named(results: Sequence[tuple[str, Path]], inputs: Sequence[Path]) -> None:
    """Raises UserError where a place that an option names for results is an input, or another's, or of another kind.

    Args:
        results: names of options, which are in `RESULTS`, and what they were given.
        inputs: files and folders that the command reads.
    """
    places: dict[str, str] = {}
    for option, path in results:
        if option == "json":
            check_report(path)
            regular = path.is_file() and not takes_bytes(path)
            if regular and path.stat().st_size and b'"command"' not in path.read_bytes():
                raise UserError(f"{shown(path)} holds JSON that is no report of a command; it was left as it is: give "
                                "another name for the JSON")
        elif option in FIGURES:
            check_figure(path, inputs)
        if present(path) and path.is_file() and any(same(path, one) for one in inputs):
            raise UserError(f"--{option} {shown(path)} is an input, and would be replaced; give another name")
        other = places.setdefault(os.path.realpath(path).casefold(), option)
        if other != option:
            raise UserError(f"--{other} and --{option} are both {shown(path)}; give two names")


def check_figure(path: Path, inputs: Sequence[Path]) -> None:
    """Raises UserError unless a figure may be written to a path: a new file, or a PNG in no folder that is read."""
    if not present(path):
        return
    if path.is_dir():
        raise UserError(f"{shown(path)} is a folder; give a file name for the figure")
    if path.is_file():
        with open(path, "rb") as file:
            if file.read(4) not in (b"", b"\x89PNG"):
                raise UserError(f"{shown(path)} exists and is no PNG; it was left as it is: give another name for the "
                                "figure")
        if any(one.is_dir() and path.resolve().is_relative_to(one.resolve()) for one in inputs):
            raise UserError(f"{shown(path)} lies in a folder that is read, and would be replaced; give another name "
                            "for the figure")


def same(one: Path, other: Path) -> bool:
    """Whether two paths are one file, through links."""
    return present(one) and present(other) and one.samefile(other)


def present(path: Path) -> bool:
    """Whether there is something at a path; nothing is at one that no disk can hold, which writing says."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
