"""Every part by its name: what this library ships, what its slices add, and what other packages add.

A part is registered by where it stands, `"package.module:name"`, and imported when it is used, so that a list of names,
a help text or a mistyped word costs no import of torch. The core's parts are registered in this file. All others come
through the entry-point group `tokenfield.plugins`, those of `tokenfield.views`, `tokenfield.earth` and
`tokenfield.generation` as well as those of a stranger's package. An entry point names a function that takes this
module:

    def register(registry):
        registry.MODELS.add("grid", "mypackage.grid:GridField")
        registry.RECIPES.add_functions("mypackage.recipes", group="Bilinear grids")

Plug-ins are read when a name is not the core's, or when all names are listed.
"""

import ast
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Generic, TypeVar, cast

from tokenfield.errors import UserError

GROUP = "tokenfield.plugins"
"""The entry-point group of plug-ins."""

Part = TypeVar("Part")
Class = type[object]
"""A class of a floor above this one, where its type is known and looked at."""


@dataclass(frozen=True)
class Place:
    """Where a part stands."""

    module: str
    attribute: str
    group: str = ""
    """Heading under which lists show it."""

    def load(self) -> object:
        """Import it."""
        part: object = getattr(import_module(self.module), self.attribute)
        return part

    def summary(self) -> str:
        """First line of its docstring, read from the source without running it; empty if it has none."""
        node = _definitions(self.module).get(self.attribute)
        return (ast.get_docstring(node) or "").split("\n")[0] if node else ""


class Registry(Mapping[str, Part], Generic[Part]):
    """Parts of one kind, as messages call it, by name. Iterating gives all names, the core's first."""

    def __init__(self, kind: str):
        self.kind = kind
        self.places: dict[str, Place] = {}

    def add(self, name: str, where: str, *, group: str = "") -> None:
        """Register the part at `where`, "package.module:name". Raises UserError if the name is another part's."""
        module, _, attribute = where.partition(":")
        place = Place(module, attribute, group)
        if self.places.get(name, place) != place:
            raise UserError(f"two {self.kind}s are called {name!r}: {self.places[name].module} and {module}; "
                            "uninstall one of the packages, or rename its part")
        self.places[name] = place

    def add_functions(self, module: str, *, group: str, returns: str = "Recipe") -> None:
        """Register every public function of a module that takes nothing and is annotated to return a recipe.

        The name is the function's, with dashes. The module is not imported: its source says which functions it has;
        `name = run("What it is.", ...)` of `tokenfield.training.recipe` is one of them.
        """
        for attribute, node in _definitions(module).items():
            if isinstance(node, ast.FunctionDef) and not attribute.startswith("_") and _makes(node, returns):
                self.add(attribute.replace("_", "-"), f"{module}:{attribute}", group=group)

    def place(self, name: object) -> Place:
        """Where a part stands. Raises UserError for an unknown name, with the nearest known ones."""
        if name in self:
            return self.places[str(name)]
        near = get_close_matches(str(name), self.places, 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(self.places)}"
        raise UserError(f"no {self.kind} is called {reprlib.repr(name)}; {hint}")

    def find_name(self, part: type) -> str | None:
        """The name of a registered class; None for one that is not registered."""
        for names in (list(self.places), self):  # the core's first, plug-ins only if it is none of them
            for name in names:
                if (self.places[name].module, self.places[name].attribute) == (part.__module__, part.__qualname__):
                    return name
        return None

    def name_of(self, part: type) -> str:
        """The name of a registered class. Raises UserError for one that is not registered."""
        if (name := self.find_name(part)) is None:
            raise UserError(f"{part.__name__} is no registered {self.kind}; registered are {', '.join(self.places)}")
        return name

    def __getitem__(self, name: str) -> Part:
        return cast(Part, self.place(name).load())

    def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
        """The part, or the default where there is none."""
        return self[name] if name in self else default  # noqa: SIM401, that would be itself

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):  # from a file, it may be anything
            return False
        if name not in self.places:
            read_plugins()
        return name in self.places

    def __iter__(self) -> Iterator[str]:
        read_plugins()
        return iter(self.places)

    def __len__(self) -> int:
        read_plugins()
        return len(self.places)


@cache
def _definitions(module: str) -> dict[str, ast.FunctionDef | ast.ClassDef]:
    """Functions and classes at the top level of a module's source, which is parsed and not run."""
    top, *inner = module.split(".")
    spec = find_spec(top)
    for depth in range(len(inner)):
        spec = spec and PathFinder.find_spec(".".join([top, *inner[: depth + 1]]), spec.submodule_search_locations)
    if spec is None or spec.origin is None:
        raise UserError(f"no module {module!r}, which a plug-in names; install its package again")
    nodes = map(_as_function, ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body)
    return {node.name: node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _as_function(node: ast.stmt) -> ast.stmt:
    """`name = run("What it is.", ...)` as the function that it makes; any other statement as it is."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)],
                        value=ast.Call(func=ast.Name(id="run"), args=[ast.Constant(value=str(about)), *_])):
            return ast.parse(f"def {name}() -> Recipe: {about!r}").body[0]
    return node


def _makes(node: ast.FunctionDef, kind: str) -> bool:
    """Whether a function takes nothing and is annotated to return a `kind`, or a `kind[...]`."""
    arguments = node.args
    takes = arguments.args or arguments.kwonlyargs or arguments.posonlyargs
    return not takes and node.returns is not None and ast.unparse(node.returns).split("[")[0] == kind


MODELS: Registry[Class] = Registry("system")
"""Systems: subclasses of `tokenfield.models.base.FieldModel`, which encode and decode."""
DENOISERS: Registry[Class] = Registry("denoiser")
"""Networks over tokens, which do neither."""
DATA: Registry[Class] = Registry("kind of data")
"""Classes of `Recipe.data`, by the kind that JSON carries."""
OBJECTIVES: Registry[Class] = Registry("objective")
"""Classes of `Recipe.objective`, by the kind that JSON carries."""
DOMAINS: Registry[Class] = Registry("domain")
"""Classes of `Field.domain`, by the kind that files carry."""
RECIPES: Registry[Callable[[], object]] = Registry("recipe")
"""Training runs: functions that return a `tokenfield.training.Recipe`."""
COMMANDS: Registry[Callable[..., object]] = Registry("command")
"""Commands of the command line: functions whose signature and docstring are options and help."""
FILES: dict[str, str] = {}
"""Endings of files that are no pictures, and the command whose `encode` takes them, and whose `decode` their fields."""


@cache
def read_plugins() -> None:
    """Let every installed plug-in register its parts, once. Raises UserError for one that fails, by its name."""
    import tokenfield.registry as registry  # this module, as plug-ins see it

    points = entry_points(group=GROUP)
    for entry in sorted(points, key=lambda entry: (not entry.value.startswith("tokenfield."), entry.name)):
        try:
            entry.load()(registry)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"plug-in {entry.name!r} ({entry.value}) cannot be used: {type(error).__name__}: {error}; "
                            "repair or uninstall it") from error


def _core() -> None:
    """What this library has without its slices."""
    for name, where in {
        "lainr": "lainr:Lainr",
        "anchored": "anchored:Anchored",
        "switched": "pca_mixture:PcaMixture",
        "lapped": "lapped:Lapped",
        "anr": "anr:Anr",
        "anr-trans-inr": "anr_rivals:HyperTransInr",
        "anr-ipc": "anr_rivals:HyperIpc",
        "lainr-localized": "lainr:LocalizedLainr",
        "lainr-composed": "lainr:ComposedLainr",
        "ipc": "hyponet_field:Ipc",
        "trans-inr": "hyponet_field:TransInr",
        "learned-init": "learned_init:LearnedInit",
        "coordinate-mlp": "coordinate_mlp:CoordinateMlp",
        "functa": "functa:Functa",
        "spatial-functa": "functa:SpatialFuncta",
        "liif": "liif:Liif",
        "gb-lsr": "gb_lsr:GbLsr",
        "autoencoder-kl": "autoencoder_kl:AutoencoderKl",
    }.items():
        MODELS.add(name, f"tokenfield.models.{where}")
    DATA.add("pictures", "tokenfield.data.datasets:DataConfig")
    OBJECTIVES.add("pictures", "tokenfield.training.objective:ReconstructionConfig")
    OBJECTIVES.add("zoom", "tokenfield.training.zoom:ZoomConfig")
    DOMAINS.add("tiles", "tokenfield.fields.tiles:Tiles")
    DOMAINS.add("lattice", "tokenfield.fields.lattice:Lattice")
    for module, group in {
        "photos": "Photographs, any folder of them",
        "published": "LAINR as published",
        "ablations": "LAINR's ablations (Tables 3, 4, 7)",
        "anr": "ANR",
        "baselines": "TransINR, IPC, Learned Init",
        "functa": "Functa and Spatial Functa",
    }.items():
        RECIPES.add_functions(f"tokenfield.recipes.{module}", group=group)
    for command in (
        "demo", "train", "evaluate", "encode", "decode", "info", "fit", "optimize", "explain", "compare", "doctor",
        "completion",
    ):  # fmt: skip
        COMMANDS.add(command, f"tokenfield.cli.{command}:{command}")


_core()
