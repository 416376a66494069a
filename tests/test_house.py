"""The house keeps its shape: floors, no circles, slices apart, and prose that points to files which exist.

Imports are read from the source with `ast`, those inside functions and under `TYPE_CHECKING` included, and
`import_module` of a literal name too. Names in the registry are strings and no imports: that is what they are for.
"""

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePath

import pytest
from processes import start

from tokenfield.registry import GROUP

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tokenfield"

FLOORS = (
    "_version errors io",
    "configs coords metrics registry",
    "nn",
    "models",
    "data",
    "fields",
    "training",
    "evaluation",
    "recipes",
    "comparison",
    "demo",
    "cli",
    "signals",
    "views earth generation sound film",
    "interop",
    "browser",
)
"""Rooms of the package from the ground up: a file imports from its own room and from floors below it."""

SLICES = {"views", "earth", "generation", "sound", "film"}
"""Kinds of signals that register themselves; they know the library, the library does not know them."""

DOORS = {"tokenfield", "tokenfield.__main__"}
"""What users and `python -m` come in by: it sees every room, and no room imports from it."""


def modules_of(folder: Path) -> dict[str, Path]:
    """Every module under a package's folder by its dotted name; a package's `__init__.py` has the package's name."""
    pairs = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        pairs[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return pairs


MODULES = modules_of(PACKAGE)


@cache
def imported_names(path: Path, package: str) -> tuple[tuple[str, int], ...]:
    """Dotted names that a file in a package imports, with the line; `from a import b` gives `a.b`."""
    return tuple(_imported_names(path, package))


def _imported_names(path: Path, package: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(parse(path)):
        match node:
            case ast.Import():
                yield from ((alias.name, node.lineno) for alias in node.names)
            case ast.ImportFrom():
                parents = package.split(".")
                base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
                start = ".".join(filter(None, (base, node.module)))
                yield from ((f"{start}.{alias.name}", node.lineno) for alias in node.names)
            case ast.Call(func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                          args=[ast.Constant(value=str(name)), *_]):
                yield name, node.lineno


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports() -> dict[str, dict[str, int]]:
    """For every module of the package, the modules of the package that it imports, with the line of the first time."""
    graph: dict[str, dict[str, int]] = {}
    for name, path in MODULES.items():
        graph[name] = {}
        for target, line in imported_names(path, package_of(name)):
            module = target if target in MODULES else target.rpartition(".")[0]
            if module in MODULES and module != name:
                graph[name].setdefault(module, line)
    return graph


def package_of(module: str) -> str:
    """The package that a module's relative imports start from."""
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


def room(module: str) -> str:
    """The folder, or the loose file, of the package's top that a module belongs to."""
    return module.split(".")[1]


def show(module: str, line: int | None = None) -> str:
    """A module as the path of its file, with a line if given."""
    path = str(MODULES[module].relative_to(ROOT))
    return path if line is None else f"{path}:{line}"


def arrows() -> Iterator[tuple[str, str, int]]:
    """Every import between files of different rooms: who, whom, in which line. The doors import from everywhere."""
    for module, targets in imports().items():
        if module not in DOORS:
            for target, line in targets.items():
                if target in DOORS or room(module) != room(target):
                    yield module, target, line


def report(faults: list[str]) -> None:
    """Fail with every fault on a line of its own."""
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)


def test_every_room_has_a_floor():
    rooms = {room(module) for module in MODULES if module not in DOORS}
    listed = " ".join(FLOORS).split()
    assert sorted(listed) == sorted(set(listed)), "a room stands on two floors"
    assert rooms == set(listed), f"without a floor: {rooms - set(listed)}; gone: {set(listed) - rooms}"


def test_no_import_runs_upward():
    floor = {name: level for level, names in enumerate(FLOORS) for name in names.split()}
    report([
        f"{show(module, line)} imports from {show(target)}, " + (
            "the package's door; import from the file that defines the name" if target in DOORS else
            f"which stands higher: {room(module)} is on floor {floor[room(module)]}, {room(target)} on "
            f"{floor[room(target)]}")
        for module, target, line in arrows()
        if target in DOORS or floor[room(target)] > floor[room(module)]
    ])


def test_slices_do_not_import_one_another():
    report([
        f"{show(module, line)} imports from {show(target)}: two slices; what both need belongs below them"
        for module, target, line in arrows()
        if target not in DOORS and {room(module), room(target)} <= SLICES
    ])


def circles(graph: dict[str, dict[str, int]]) -> list[list[str]]:
    """Groups of modules each of which reaches every other, by taking away whatever imports nothing that is left."""
    remaining = {name: set(targets) for name, targets in graph.items()}
    while bare := [name for name, targets in remaining.items() if not targets & remaining.keys()]:
        for name in bare:
            del remaining[name]
    circles = []
    while remaining:
        walk, name = [], next(iter(remaining))
        while name not in walk:
            walk.append(name)
            name = sorted(remaining[name] & remaining.keys())[0]
        circle = walk[walk.index(name):]
        circles.append(circle)
        for member in circle:  # what only leads there is no circle of its own
            del remaining[member]
        while bare := [name for name, targets in remaining.items() if not targets & remaining.keys()]:
            for name in bare:
                del remaining[name]
    return circles


def test_no_circle_of_files():
    report(["a circle: " + " -> ".join(map(show, [*circle, circle[0]])) for circle in circles(imports())])


def test_circles_are_found():
    graph = {"a": {"b": 1}, "b": {"c": 1}, "c": {"b": 1}, "d": {"a": 1}, "e": {}}
    assert circles(graph) == [["b", "c"]]
    assert circles({"a": {"b": 1}, "b": {}}) == []


def test_at_most_eight_loose_modules():
    loose = sorted(path.name for path in PACKAGE.glob("*.py"))
    assert len(loose) <= 8, f"{len(loose)} loose modules at the top of the package: {', '.join(loose)}; give them rooms"


def test_any_is_rare():
    """`Any` says nothing; `io.record.Record` is a JSON object, protocols and type variables are for the rest."""
    lines = [f"{show(module)}:{number}" for module, path in MODULES.items()
             for number, line in enumerate(path.read_text().splitlines(), 1)
             if re.search(r"\bAny\b", line) and not re.match(r" *(from|import) ", line)]
    assert len(lines) < 80, f"{len(lines)} lines with Any: {', '.join(lines)}"


@pytest.mark.parametrize("outside", ["experiments", "benchmarks", "tests"])
def test_package_imports_nothing_beside_it(outside):
    report([
        f"{show(module, line)} imports {target}: the package is installed without {outside}/"
        for module, path in MODULES.items()
        for target, line in imported_names(path, package_of(module))
        if target.split(".")[0] == outside
    ])


def test_field_loads_no_slice():
    """`tokenfield.fields.Field` needs the library alone."""
    code = ("import json, sys\nfrom tokenfield.fields import Field\n"
            "print(json.dumps([name for name in sys.modules if name.startswith('tokenfield.')]))")
    loaded = json.loads(start(f"-c {code}").stdout)
    slices = [name for name in loaded if room(name) in SLICES]
    assert not slices, f"importing tokenfield.fields loads {', '.join(slices)}"


# Prose.

TRACKED = [
    path for path in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    if path and (ROOT / path).is_file()
]
FOREIGN = {"setup.py", "__init__.py"}
"""Files of other people's repositories and of no place in particular that prose may name."""
MENTION = re.compile(r"(?<![\w/.\-<*])(?![A-Z]+/)([\w\-]+(?:/[\w\-]+)*\.(?:py|md))\b(?!\()")
"""Names of source and text files; `TABLE/table.md`, with capitals for what varies, is none."""


def docstrings(path: Path) -> Iterator[tuple[str, int]]:
    """Every string that stands as a statement, which docstrings of modules, classes, functions and names are."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value, node.lineno


ENDINGS = {path[start:] for path in TRACKED for start in [0, *(match.end() for match in re.finditer("/", path))]}
"""Every tracked path, and what is left of it without its first folders."""


def missing_files(text: str, beside: Path) -> list[str]:
    """Names of source and text files in prose that no tracked file has, from the root, from beside, or as an ending.

    A page that shows a file names it on a line of its own, `PACKAGE/file.py`, and may mention it.
    """
    own = set(re.findall(r"^`([\w/.]+)`$", text, re.MULTILINE)) | FOREIGN
    return [name for name in dict.fromkeys(MENTION.findall(text))
            if name not in own and name not in ENDINGS and not (beside / name).exists()]


def missing_names(text: str) -> list[str]:
    """Names such as `tokenfield.fields.Field` in prose whose module, or whose last part in it, does not exist."""
    missing = []
    for name in re.findall(r"`(tokenfield(?:\.\w+)+)", text):
        module, rest = name, []
        while module not in MODULES:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
        if name != GROUP and rest and not re.search(rf"\b{rest[0]}\b", MODULES[module].read_text()):
            missing.append(name)
    return missing


@pytest.mark.skipif(not TRACKED, reason="not a checkout: git lists no files")
@pytest.mark.parametrize("folder", ["tokenfield", "experiments", "benchmarks", "tests"])
def test_docstrings_name_files_that_exist(folder):
    report([
        f"{path}:{line} names {name}, which does not exist"
        for path in TRACKED if path.startswith(f"{folder}/") and path.endswith(".py")
        for text, line in docstrings(ROOT / path)
        for name in missing_files(text, (ROOT / path).parent) + missing_names(text)
    ])


def test_every_file_is_packaged():
    """The wheel has what lies in the package beside its source, and nothing from outside it."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["packages"]["find"]["include"] == ["tokenfield*"]
    patterns = setuptools["package-data"]["tokenfield"]
    beside = [PurePath(path).relative_to("tokenfield") for path in TRACKED
              if path.startswith("tokenfield/") and not path.endswith(".py")]
    report([f"tokenfield/{path} is in no pattern of package-data in pyproject.toml" for path in beside
            if not any(path.match(pattern) for pattern in patterns)])


PAGES = [path for path in TRACKED if path.endswith(".md")]


def anchor(heading: str) -> str:
    """The fragment that a heading is reached by, as on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def is_made(page: Path) -> bool:
    """Whether the site makes a page when it is built: of a tutorial's script, or of a room's docstrings."""
    match page.relative_to(ROOT).parts if page.is_relative_to(ROOT) else ():
        case ("docs", "tutorials", name):
            return name == "index.rst" or (ROOT / "examples" / name).with_suffix(".py").exists()
        case ("docs", "api", name):
            return Path(name).stem in MODULES or name == "tokenfield.rst"
    return False


def broken_links(page: Path) -> Iterator[str]:
    """Links of a page to files of this repository, or to headings in them, that lead nowhere."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, fragment = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if is_made(there):
            continue
        if not there.exists():
            yield f"links to {target}, which does not exist"
        elif fragment and there.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            if fragment not in map(anchor, headings):
                yield f"links to {target}, but {there.name} has no such heading"


@pytest.mark.skipif(not TRACKED, reason="not a checkout: git lists no files")
@pytest.mark.parametrize("page", PAGES)
def test_pages_name_files_that_exist(page):
    text = (ROOT / page).read_text()
    faults = list(broken_links(ROOT / page)) + [
        f"names {name}, which does not exist" for name in missing_files(text, (ROOT / page).parent)]
    report([f"{page} {fault}" for fault in faults])
