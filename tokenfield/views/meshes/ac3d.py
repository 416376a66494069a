"""AC3D files (`.ac`), and the variant of the racing simulator TORCS (`.acc`), to surfaces.

The format is lines of words: materials, then a tree of objects with vertices and surfaces
(https://www.inivis.com/ac3d/man/ac3dfileformat.html). A surface is a polygon, or lines, which are nothing to render;
TORCS adds triangle strips (type 4), normals behind the vertices, up to four layers of texture of which the first is the
paint, and four pairs of texture coordinates per corner of which the first belongs to it.

y points upwards. Textures lie beside the file; one that is missing leaves the material's colour.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tokenfield.views.meshes.surface import Material, MeshError, Surface, join, plain

POLYGON, STRIP = 0, 4
"""Types of surfaces, the low four bits of their flags; 1 and 2 are lines."""

Colour = tuple[float, float, float, float]
Textures = dict[str, np.ndarray | None]
"""Pictures by their names in the file; None for one that is missing."""


@dataclass
class Part:
    """One object while it is read: vertices in the world, and triangles by material."""

    vertices: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    texture: str = ""
    repeat: tuple[float, float] = (1.0, 1.0)
    triangles: dict[int, list[tuple[tuple[int, float, float], ...]]] = field(default_factory=dict)


class Lines:
    """The lines of a file that are not empty, one after the other, as lists of words; names in quotes are one word."""

    def __init__(self, file: Path):
        text = file.read_text(encoding="latin-1")
        self.file, self.at = file, 0
        self.words = [words for line in text.splitlines() if (words := split(line))]

    def __bool__(self) -> bool:
        """Whether a line is left."""
        return self.at < len(self.words)

    def next(self) -> list[str]:
        """The next line. Raises MeshError at the end."""
        if not self:
            raise MeshError(self.file, "ends in the middle of an object")
        self.at += 1
        return self.words[self.at - 1]


def split(line: str) -> list[str]:
    """Words of a line; what stands between quotes is one."""
    pieces = enumerate(line.split('"'))
    return [word for i, piece in pieces for word in ([piece] if i % 2 else piece.split())]


def floats(words: list[str]) -> np.ndarray:
    """Words as numbers."""
    return np.array([float(word) for word in words])


def read_ac3d(file: Path) -> list[Surface]:
    """The parts of a model, each of one material and texture.

    Raises:
        MeshError: no AC3D file, or one that ends early.
        ValueError, IndexError: damaged lines; the caller names the file.
    """
    lines = Lines(file)
    if not lines or not lines.next()[0].startswith("AC3D"):
        raise MeshError(file, "is no AC3D file (it does not begin with AC3D)")
    colours: list[Colour] = []
    parts: list[Part] = []
    while lines:
        line = lines.next()
        if line[0] == "MATERIAL":
            red, green, blue = floats(line[line.index("rgb") + 1 :][:3]).tolist()
            colours.append((red, green, blue, 1 - float(line[line.index("trans") + 1])))
        elif line[0] == "OBJECT":
            read_object(lines, np.eye(3), np.zeros(3), parts)
    textures: Textures = {}
    return [surface for part in parts if (surface := surface_of(part, colours, file.parent, textures)) is not None]


def read_object(lines: Lines, turn: np.ndarray, shift: np.ndarray, parts: list[Part]) -> None:
    """One object and its children, whose places are relative to it: a point p becomes turn @ p + shift."""
    part = Part()
    parts.append(part)
    rotation, location, local, children = np.eye(3), np.zeros(3), np.zeros((0, 3)), 0
    while lines:
        key, *rest = lines.next()
        if key == "loc":
            location = floats(rest[:3])
        elif key == "rot":
            rotation = floats(rest[:9]).reshape(3, 3).T  # rows are images of the axes
        elif key == "texture" and not part.texture and rest and rest[0] not in ("empty_texture_no_mapping", ""):
            part.texture = rest[0]
        elif key == "texrep":
            part.repeat = float(rest[0]), float(rest[1])
        elif key == "data":
            lines.next()
        elif key == "numvert":
            local = np.array([floats(lines.next()[:3]) for _ in range(int(rest[0]))]).reshape(-1, 3)
        elif key == "SURF":
            read_surface(lines, int(rest[0], 16), part)
        elif key == "kids":
            children = int(rest[0])
            break
        elif key in ("OBJECT", "MATERIAL"):  # an object without a count of its children
            lines.at -= 1
            break
    turn, shift = turn @ rotation, turn @ location + shift
    part.vertices = local @ turn.T + shift
    for _ in range(children):
        child = lines.next()
        if child[0] != "OBJECT":
            raise MeshError(lines.file, f"has {child[0]!r} where an object should begin")
        read_object(lines, turn, shift, parts)


def read_surface(lines: Lines, flags: int, part: Part) -> None:
    """One surface, cut into triangles: a polygon as a fan, a strip with every other triangle turned round."""
    material = 0
    while (line := lines.next())[0] != "refs":
        if line[0] == "mat":
            material = int(line[1])
    corners = []
    for _ in range(int(line[1])):
        index, u, v, *_ = lines.next()
        corners.append((int(index), float(u), float(v)))
    out = part.triangles.setdefault(material, [])
    if flags & 15 == POLYGON:
        out += [(corners[0], corners[i], corners[i + 1]) for i in range(1, len(corners) - 1)]
    elif flags & 15 == STRIP:
        for i in range(len(corners) - 2):
            a, b, c = corners[i : i + 3]
            out.append((b, a, c) if i % 2 else (a, b, c))


def surface_of(part: Part, colours: list[Colour], folder: Path, textures: Textures) -> Surface | None:
    """The triangles of one object; None if it has none. `textures` remembers those already read."""
    if part.texture and part.texture not in textures:
        textures[part.texture] = picture(folder, part.texture)
    surfaces = []
    for material, triangles in part.triangles.items():
        if not triangles:
            continue
        table = np.array(triangles)  # (F, 3 corners, index u v)
        index = table[..., 0].astype(np.int64)
        if index.min() < 0 or index.max() >= len(part.vertices):
            raise MeshError(folder, f"refers to vertex {index.max()} of {len(part.vertices)}")
        colour = colours[material] if material < len(colours) else (0.7, 0.7, 0.7, 1.0)
        look = Material(colour, textures.get(part.texture))
        surfaces.append(plain(part.vertices[index], look, table[..., 1:] * np.array(part.repeat)))
    return join(surfaces) if surfaces else None


def picture(folder: Path, name: str) -> np.ndarray | None:
    """A texture beside the model as RGBA bytes; None if there is no such file. The folders of the name do not count."""
    file = folder / Path(name.replace("\\", "/")).name
    if not file.is_file():
        return None
    with Image.open(file) as image:
        return np.array(image.convert("RGBA"))
