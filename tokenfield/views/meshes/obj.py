"""OBJ and MTL files as programs of forty years have written them.

`trimesh` reads the geometry; names of materials, libraries and pictures are read here, since files disagree about them:
options before a picture's name, backslashes and capitals of another system, names with blanks, text that is not UTF-8,
a byte order mark, several libraries in one line or several lines, pictures in a folder beside (ShapeNet's `../images`).
What is missing is said in a warning (`MissingFile`), and the object is drawn without it.
"""

import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tokenfield.data.decoding import PictureError, decode, pixels_of
from tokenfield.errors import DAMAGE
from tokenfield.io.atomic import shown
from tokenfield.views.meshes.surface import Material

WHITE = (1.0, 1.0, 1.0)
NUMBERS_AFTER = {"-o": 3, "-s": 3, "-t": 3, "-mm": 2}
"""Options of `map_Kd` that are followed by up to so many numbers; all others by one word."""
OPTIONS = {*NUMBERS_AFTER, "-blendu", "-blendv", "-boost", "-cc", "-clamp", "-imfchan", "-texres", "-bm", "-type"}


class MissingFile(UserWarning):
    """A material library or a picture that an object lists and nobody has."""

    def __init__(self, file: Path, listed: str, reason: str):
        super().__init__(f"{shown(file)}: {shown(listed)} {reason}")
        self.listed, self.reason = listed, reason


@dataclass
class MtlMaterial:
    """What a library says of a material; `picture` is the rest of its map_Kd line."""

    file: Path
    settings: dict[str, list[str]] = field(default_factory=dict)
    picture: str = ""


def text_of(data: bytes) -> str:
    """Text in UTF-8, with or without a mark, in UTF-16 with one, else in Latin-1; continued lines are whole."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    return re.sub(r"\\[ \t]*\r?\n", " ", text).replace("\r\n", "\n").replace("\r", "\n")


def prepare(file: Path) -> tuple[io.BytesIO, "Materials"]:
    """An OBJ without its libraries, its materials called m0, m1, ..., and what these are."""
    text = text_of(file.read_bytes())
    libraries: dict[str, MtlMaterial] = {}
    for listed in re.findall(r"(?im)^[ \t]*mtllib[ \t]+(.+?)[ \t]*$", text):
        for name, place in find_libraries(file, listed):
            if place is None:
                warnings.warn(MissingFile(file, name, "is a material library (mtl) that is missing"), stacklevel=2)
            else:
                libraries = read_library(place) | libraries  # of two with one name, the first
    numbers: dict[str, int] = {}

    def numbered(match: re.Match[str]) -> str:
        return f"usemtl m{numbers.setdefault(match[1], len(numbers))}"

    text = re.sub(r"(?im)^[ \t]*mtllib\b.*$", "", text)
    text = re.sub(r"(?im)^[ \t]*usemtl[ \t]+(.+?)[ \t]*$", numbered, text)
    header = "mtllib all.mtl\n" if numbers else ""
    return io.BytesIO((header + text).encode()), Materials(file, libraries, list(numbers))


class Materials:
    """The materials of one OBJ file, by the numbers that `prepare` gave them; also what trimesh resolves names with."""

    def __init__(self, file: Path, libraries: dict[str, MtlMaterial], names: list[str]):
        self.file, self.names = file, names
        self.libraries = {name.lower(): material for name, material in reversed(libraries.items())} | libraries
        self._pictures: dict[Path, UInt8[np.ndarray, "h w 4"] | None] = {}

    def get(self, name: str) -> bytes:
        """The one library there is for trimesh: the materials' new names."""
        if name != "all.mtl":
            raise FileNotFoundError(name)
        return "".join(f"newmtl m{i}\nKd 1 1 1\n" for i in range(len(self.names))).encode()

    __getitem__ = get

    def look(self, name: str, mapped: bool) -> Material:
        """A material; its picture only where the surface is `mapped`, has texture coordinates."""
        material = self.find(name)
        if material is None:
            return Material()
        colour, texture = colour_of(material.settings), None
        if material.picture and mapped:
            texture = self.picture(material)
            if texture is not None and (colour is None or max(colour) == 0):
                colour = WHITE
        return Material((*(colour or (Material.colour[:3] if texture is None else WHITE)), opacity(material.settings)),
                        texture)

    def find(self, name: str) -> MtlMaterial | None:
        """What a library says of m0, m1, ...; capitals matter only where they tell two apart."""
        number = name.removeprefix("m")
        if not number.isdigit() or int(number) >= len(self.names):
            return None
        own = self.names[int(number)]
        return self.libraries.get(own) or self.libraries.get(own.lower())

    def uv(self, name: str, uv: np.ndarray) -> np.ndarray:
        """Texture coordinates as the options -s and -o of a material's picture scale and shift them."""
        material = self.find(name)
        _, options = split_options(material.picture if material else "")
        scale, offset = ([*options.get(key, []), *[start] * 3][:2] for key, start in (("-s", 1.0), ("-o", 0.0)))
        return uv * np.array(scale, np.float32) + np.array(offset, np.float32)

    def picture(self, material: MtlMaterial) -> UInt8[np.ndarray, "h w 4"] | None:
        """The picture of a material, read once; None, with a warning, where there is none."""
        name, _ = split_options(material.picture)
        place = find_beside(material.file, name)
        if place is None:
            warnings.warn(MissingFile(self.file, name, "is a texture that is missing"), stacklevel=2)
            return None
        if place not in self._pictures:
            self._pictures[place] = None
            try:
                self._pictures[place] = read_texture(place)
            except PictureError as error:
                warnings.warn(MissingFile(self.file, name, f"is a texture that {error.reason}"), stacklevel=2)
        return self._pictures[place]


def read_texture(place: Path) -> UInt8[np.ndarray, "h w 4"]:
    """A picture as RGBA bytes; Targa files too, which nothing but their ending tells from other bytes."""
    if place.suffix.lower() != ".tga":
        rgba = pixels_of(decode(place), keep_alpha=True)
        return (rgba * 255).round().byte().permute(1, 2, 0).numpy()
    try:
        with Image.open(place, formats=["TGA"]) as image:
            return np.array(image.convert("RGBA"))
    except DAMAGE as error:
        raise PictureError(place, "is damaged or truncated") from error


def read_library(place: Path) -> dict[str, MtlMaterial]:
    """The materials of an MTL file by their names."""
    materials: dict[str, MtlMaterial] = {}
    current: MtlMaterial | None = None
    for line in text_of(place.read_bytes()).split("\n"):
        key, _, rest = line.strip().replace("\t", " ").partition(" ")
        key, rest = key.lower(), rest.strip()
        if key == "newmtl":
            current = materials.setdefault(rest, MtlMaterial(place))
        elif current is not None and key == "map_kd":
            current.picture = rest
        elif current is not None and rest:
            current.settings[key] = rest.split()
    return materials


def find_libraries(file: Path, listed: str) -> Iterator[tuple[str, Path | None]]:
    """The libraries of one line: a single name, blanks and all, or several."""
    if (whole := find_beside(file, listed)) is not None:
        yield listed, whole
        return
    for name in listed.split():
        yield name, find_beside(file, name)


def find_beside(file: Path, name: str) -> Path | None:
    """The file that another one names: in its own folder, or in one beside that; None for none, or one elsewhere.

    Paths of other systems are read as what they mean here, absolute ones as their last part.
    """
    path = PurePosixPath(name.strip().strip('"').replace("\\", "/"))
    outer = file.parent.resolve().parent
    foreign = path.is_absolute() or ":" in name
    for each in [PurePosixPath(path.name)] if foreign else [path, PurePosixPath(path.name)]:
        place = descend(file.parent, each)
        if place is not None and place.is_file() and place.resolve().is_relative_to(outer):
            return place
    return None


def descend(folder: Path, path: PurePosixPath) -> Path | None:
    """A path below a folder, part by part, each as it is written or with other capitals."""
    for part in path.parts:
        if part == "..":
            folder = folder / part
            continue
        try:
            if not (folder / part).exists():
                names = sorted(entry.name for entry in folder.iterdir())
                part = next((name for name in names if name.lower() == part.lower()), "")
        except (OSError, ValueError):
            return None
        if not part:
            return None
        folder = folder / part
    return folder


def split_options(line: str) -> tuple[str, dict[str, list[float]]]:
    """A `map_Kd` line as the picture's name, blanks and all, and the numbers of its options."""
    options: dict[str, list[float]] = {}
    rest = line.strip()
    while (option := (rest.split(maxsplit=1) or [""])[0].lower()) in OPTIONS:
        words = rest.split()
        count = 1 + max(1, sum(1 for _ in leading_numbers(words[1:][: NUMBERS_AFTER.get(option, 1)])))
        options[option] = list(leading_numbers(words[1:count]))
        for _ in range(count):  # word by word, so that blanks inside the name stay
            rest = [*rest.split(maxsplit=1), "", ""][1]
    return rest, options


def leading_numbers(words: list[str]) -> Iterator[float]:
    """Words as long as they are numbers."""
    for word in words:
        try:
            yield float(word)
        except ValueError:
            return


def colour_of(settings: dict[str, list[str]]) -> tuple[float, float, float] | None:
    """`Kd` in [0, 1], of one number grey; None where there is none, or it is given as a spectrum."""
    numbers = list(leading_numbers(settings.get("kd", [])[:3]))
    red, green, blue = numbers if len(numbers) == 3 else (numbers * 3)[:3] or (np.nan,) * 3
    clipped = [min(1.0, max(0.0, value)) for value in (red, green, blue)]
    return (clipped[0], clipped[1], clipped[2]) if np.isfinite([red, green, blue]).all() else None


def opacity(settings: dict[str, list[str]]) -> float:
    """What an MTL file says of a material: `d` if there is one, else 1 - `Tr`, else opaque; in [0, 1]."""
    for key in ("d", "tr"):
        words = [word for word in settings.get(key, []) if word.lower() != "-halo"]
        for value in leading_numbers(words[:1]):
            if np.isfinite(value):
                return min(1.0, max(0.0, value if key == "d" else 1 - value))
    return 1.0
