"""AC3D files (`.ac`), and the variant of the racing simulator TORCS (`.acc`), to surfaces: the cars of `objects.py`.

The format is lines of words: materials, then a tree of objects with vertices and surfaces
(https://www.inivis.com/ac3d/man/ac3dfileformat.html). A surface is a polygon, or lines, which are nothing to render;
TORCS adds triangle strips (type 4), normals behind the vertices, up to four layers of texture of which the first is the
paint, and four pairs of texture coordinates per corner of which the first belongs to it.

y points upwards. Textures lie beside the file; one that is missing leaves the material's colour.
"""

import re
from collections import deque
from pathlib import Path

import numpy as np
from PIL import Image

from tokenfield.views.meshes.surface import Material, MeshError, Surface, plain

POLYGON, STRIP = 0, 4
"""Types of surfaces, the low four bits of their flags; 1 and 2 are lines."""

Corner = tuple[int, float, float]
"""Index of a vertex, and u, v."""


def read_ac3d(file: Path) -> list[Surface]:
    """The parts of a model, each of one material and texture.

    Raises:
        MeshError: no AC3D file, or one that ends early.
        ValueError, IndexError: damaged lines; the caller names the file.
    """
    reader = Reader(file)
    if not reader.lines or not reader.next()[0].startswith("AC3D"):
        raise MeshError(file, "is no AC3D file (it does not begin with AC3D)")
    while reader.lines:
        line = reader.next()
        if line[0] == "MATERIAL":
            red, green, blue = floats(line[line.index("rgb") + 1 :][:3]).tolist()
            reader.colours.append((red, green, blue, 1 - float(line[line.index("trans") + 1])))
        elif line[0] == "OBJECT":
            reader.read_object(np.eye(3), np.zeros(3))
    return reader.surfaces


class Reader:
    """A file while it is read: lines that are left, as lists of words; the materials' colours; surfaces so far."""

    def __init__(self, file: Path):
        text = file.read_text(encoding="latin-1")
        self.file, self.lines = file, deque(words for line in text.splitlines() if (words := split(line)))
        self.colours: list[tuple[float, float, float, float]] = []
        self.surfaces: list[Surface] = []
        self.textures: dict[str, np.ndarray | None] = {}

    def next(self) -> list[str]:
        """The next line. Raises MeshError at the end."""
        if not self.lines:
            raise MeshError(self.file, "ends in the middle of an object")
        return self.lines.popleft()

    def read_object(self, turn: np.ndarray, shift: np.ndarray) -> None:
        """One object and its children, whose places are relative to it: a point p becomes turn @ p + shift."""
        rotation, location, local, children = np.eye(3), np.zeros(3), np.zeros((0, 3)), 0
        texture, repeat = "", (1.0, 1.0)
        triangles: dict[int, list[list[Corner]]] = {}
        while self.lines and self.lines[0][0] not in ("OBJECT", "MATERIAL"):  # some do not count their children
            key, *rest = self.next()
            if key == "loc":
                location = floats(rest[:3])
            elif key == "rot":
                rotation = floats(rest[:9]).reshape(3, 3).T  # rows are images of the axes
            elif key == "texture" and not texture and rest and rest[0] != "empty_texture_no_mapping":
                texture = rest[0]
            elif key == "texrep":
                repeat = float(rest[0]), float(rest[1])
            elif key == "data":
                self.next()
            elif key == "numvert":
                local = np.array([floats(self.next()[:3]) for _ in range(int(rest[0]))]).reshape(-1, 3)
            elif key == "SURF":
                material, outline = self.read_surface(int(rest[0], 16))
                triangles.setdefault(material, []).extend(outline)
            elif key == "kids":
                children = int(rest[0])
                break
        turn, shift = turn @ rotation, turn @ location + shift
        vertices = local @ turn.T + shift
        for material, corners in triangles.items():
            if corners:
                table = np.array(corners)  # (F, 3 corners, index u v)
                index = table[..., 0].astype(np.int64)
                if index.min() < 0 or index.max() >= len(vertices):
                    raise MeshError(self.file, f"refers to vertex {index.max()} of {len(vertices)}")
                colour = self.colours[material] if material < len(self.colours) else Material().colour
                look = Material(colour, self.picture(texture))
                self.surfaces.append(plain(vertices[index], look, table[..., 1:] * np.array(repeat)))
        for _ in range(children):
            child = self.next()
            if child[0] != "OBJECT":
                raise MeshError(self.file, f"has {child[0]!r} where an object should begin")
            self.read_object(turn, shift)

    def read_surface(self, flags: int) -> tuple[int, list[list[Corner]]]:
        """A surface's material and triangles: a polygon is a fan, a strip has every other triangle turned round."""
        material = 0
        while (line := self.next())[0] != "refs":
            if line[0] == "mat":
                material = int(line[1])
        corners: list[Corner] = []
        for _ in range(int(line[1])):
            index, u, v, *_ = self.next()
            corners.append((int(index), float(u), float(v)))
        inner = range(len(corners) - 2)
        if flags & 15 == POLYGON:
            return material, [[corners[0], corners[i + 1], corners[i + 2]] for i in inner]
        if flags & 15 == STRIP:
            return material, [[corners[i + i % 2], corners[i + 1 - i % 2], corners[i + 2]] for i in inner]
        return material, []

    def picture(self, name: str) -> np.ndarray | None:
        """A texture as RGBA bytes, read once; None if there is no such file. The folders of the name do not count."""
        file = self.file.parent / Path(name.replace("\\", "/")).name
        if name not in self.textures:
            self.textures[name] = np.array(Image.open(file).convert("RGBA")) if name and file.is_file() else None
        return self.textures[name]


def split(line: str) -> list[str]:
    """Words of a line; what stands between quotes is one."""
    return [quoted or word for quoted, word in re.findall(r'"([^"]*)"?|([^\s"]+)', line)]


def floats(words: list[str]) -> np.ndarray:
    """Words as numbers."""
    return np.array([float(word) for word in words])
