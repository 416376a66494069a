"""Mesh files to surfaces.

`trimesh` reads OBJ (with MTL), GLB and glTF, PLY, STL and OFF. This file decides what their colours mean:

    OBJ/MTL    Kd times map_Kd, opacity d (or 1 - Tr), see `obj.py`; a Kd of black beside a picture is "not set"
    GLB, glTF  base colour factor times base colour texture; alpha as the alpha mode says
    PLY, OFF   colours of vertices or faces
    STL        grey

Files are read from folders, so that pictures and materials beside them are found.
"""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tokenfield.errors import DAMAGE, UserError
from tokenfield.views.meshes.obj import Materials, prepare
from tokenfield.views.meshes.surface import Material, MeshError, Surface, Up, join, plain

INSTALL = "pip install 'tokenfield[meshes]'"
"""What to type where one of the two is missing."""

UPRIGHT: dict[str, Up] = {".obj": "y", ".glb": "y", ".gltf": "y", ".ply": "z", ".stl": "z", ".off": "z"}
"""Endings of the files that are read, and which axis points upwards in files of the kind: glTF says so, OBJ files of
the world mostly do, printable ones (STL) stand on z."""

BROKEN = (*DAMAGE, NameError, MemoryError, struct.error, zlib.error)
"""What readers raise on damaged files."""

WHITE = (1.0, 1.0, 1.0, 1.0)


def read_scene(file: Path) -> list[Surface]:
    """Every mesh of a file in its place, through trimesh."""
    if file.suffix.lower() not in UPRIGHT:
        raise MeshError(file, f"is no mesh of a kind that is read ({', '.join(UPRIGHT)})")
    try:
        import trimesh
    except ImportError as error:
        raise UserError(f"reading meshes needs trimesh, which is not installed ({error}); {INSTALL}") from error
    materials = None
    if file.suffix.lower() == ".obj":
        content, materials = prepare(file)
        resolver: Any = materials  # all that trimesh asks of one is `get`
        scene = trimesh.load_scene(content, file_type="obj", resolver=resolver, process=False)
    else:
        scene = trimesh.load_scene(file, process=False)
    parts = []
    for node in scene.graph.nodes_geometry:
        place, name = scene.graph[node]
        geometry = scene.geometry[name]
        if isinstance(geometry, trimesh.Trimesh) and len(geometry.faces):
            corners = trimesh.transform_points(geometry.vertices, place)[geometry.faces]
            parts += surfaces_of(corners, geometry.faces, geometry.visual, materials)
    return parts


def read_surface(file: Path, read: Callable[[Path], list[Surface]] = read_scene) -> Surface:
    """The triangles of a mesh file, in its own unit and orientation; `read` gives the parts of it.

    Raises MeshError where it is missing, damaged, of another kind or without triangles; UserError without `trimesh`.
    """
    try:
        if file.stat().st_size == 0:
            raise MeshError(file, "is empty (0 bytes)")
        parts = read(file)
    except UserError:  # a `ValueError` too, but one with its own words
        raise
    except BROKEN as error:
        what = " ".join(str(error).split())[:100] or type(error).__name__
        raise MeshError(file, f"is damaged or no {file.suffix[1:].upper()} file ({what})") from error
    parts = [part for part in parts if len(part)]
    if not parts:
        raise MeshError(file, "holds no triangles")
    return join(parts)


def surfaces_of(corners: np.ndarray, faces: np.ndarray, visual: Any, materials: Materials | None) -> list[Surface]:
    """Triangles with the looks that trimesh's `visual` gives them, or of an OBJ file its own materials."""
    from trimesh.visual.color import to_rgba

    if visual.kind == "vertex":
        return [plain(corners, Material(WHITE), colours=visual.vertex_colors[faces])]
    if visual.kind == "face":
        return [plain(corners, Material(WHITE), colours=np.repeat(visual.face_colors[:, None], 3, 1))]
    if visual.kind != "texture":
        return [plain(corners, Material())]
    uv = None if visual.uv is None or not len(visual.uv) else np.asarray(visual.uv)[faces]
    if materials is not None:
        name = str(visual.material.name)
        mapped = None if uv is None else materials.uv(name, uv.astype(np.float32))
        return [plain(corners, materials.look(name, uv is not None), mapped)]
    several = getattr(visual.material, "materials", None)
    if several and visual.face_materials is not None:
        which = visual.face_materials
        return [plain(corners[which == i], look(each, uv is not None), None if uv is None else uv[which == i])
                for i, each in enumerate(several)]
    colours = visual.vertex_attributes.get("color")
    colours = None if colours is None or np.shape(colours)[-1] != 4 else to_rgba(colours)[faces]
    return [plain(corners, look(visual.material, uv is not None), uv, colours)]


def look(material: Any, mapped: bool) -> Material:
    """A material of trimesh, PBRMaterial of glTF or a simple one; a texture only where it is `mapped`."""
    physical = hasattr(material, "baseColorFactor")
    image = material.baseColorTexture if physical else getattr(material, "image", None)
    texture = np.array(image.convert("RGBA")) if mapped and image is not None else None
    if not physical:
        return Material(unit(material.diffuse), texture)
    colour = WHITE if material.baseColorFactor is None else unit(material.baseColorFactor)
    mode = material.alphaMode or "OPAQUE"
    if mode == "OPAQUE":
        colour = (*colour[:3], 1.0)
        if texture is not None:
            texture[..., 3] = 255
    return Material(colour, texture, (material.alphaCutoff or 0.5) if mode == "MASK" else None)


def unit(colour: np.ndarray) -> tuple[float, float, float, float]:
    """RGBA bytes as floats in [0, 1]."""
    red, green, blue, alpha = (colour / 255).tolist()
    return red, green, blue, alpha
