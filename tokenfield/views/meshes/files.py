"""Mesh files to surfaces.

`trimesh` reads OBJ (with MTL), GLB and glTF, PLY, STL and OFF; AC3D has a reader of its own (`ac3d`). This file decides
what their colours mean:

    OBJ/MTL    Kd times map_Kd, opacity d (or 1 - Tr); a Kd of black beside a picture is taken for "not set"
    GLB, glTF  base colour factor times base colour texture; alpha as the alpha mode says
    PLY, OFF   colours of vertices or faces
    STL        grey
Files are read from folders, so that pictures and materials beside them are found.
"""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tokenfield.data.decoding import DAMAGE
from tokenfield.errors import UserError
from tokenfield.views.meshes.ac3d import read_ac3d
from tokenfield.views.meshes.surface import Material, MeshError, Surface, Up, join, plain

INSTALL = "pip install trimesh embreex"
"""What to type where one of the two is missing."""

UPRIGHT: dict[str, Up] = {".obj": "y", ".glb": "y", ".gltf": "y", ".ac": "y", ".acc": "y",
                          ".ply": "z", ".stl": "z", ".off": "z"}
"""Endings of the files that are read, and which axis points upwards in files of the kind: glTF and AC3D say so, OBJ
files of the world mostly do, printable ones (STL) stand on z."""

BROKEN = (*DAMAGE, NameError, MemoryError, struct.error, zlib.error)
"""What readers raise on damaged files."""


def read_surface(file: Path) -> Surface:
    """The triangles of a mesh file, in its own unit and orientation.

    Raises:
        MeshError: missing, damaged, of another kind, or without triangles.
        UserError: `trimesh` is not installed.
    """
    kind = file.suffix.lower()
    if kind not in UPRIGHT:
        raise MeshError(file, f"is no mesh of a kind that is read ({', '.join(UPRIGHT)})")
    try:
        if file.stat().st_size == 0:
            raise MeshError(file, "is empty (0 bytes)")
        parts = read_ac3d(file) if kind in (".ac", ".acc") else read_scene(file)
    except MeshError:
        raise
    except BROKEN as error:
        what = " ".join(str(error).split())[:100] or type(error).__name__
        raise MeshError(file, f"is damaged or no {kind[1:].upper()} file ({what})") from error
    parts = [part for part in parts if len(part)]
    if not parts:
        raise MeshError(file, "holds no triangles")
    return join(parts)


def read_scene(file: Path) -> list[Surface]:
    """Every mesh of a file in its place, through trimesh."""
    try:
        import trimesh
    except ImportError as error:
        raise UserError(f"reading meshes needs trimesh, which is not installed ({error}); {INSTALL}") from error
    scene = trimesh.load_scene(file, process=False)
    parts = []
    for node in scene.graph.nodes_geometry:
        place, name = scene.graph[node]
        geometry = scene.geometry[name]
        if isinstance(geometry, trimesh.Trimesh) and len(geometry.faces):
            corners = trimesh.transform_points(geometry.vertices, place)[geometry.faces]
            parts.extend(painted(corners, geometry.faces, geometry.visual))
    return parts


def painted(corners: np.ndarray, faces: np.ndarray, visual: Any) -> list[Surface]:
    """Triangles with the looks that trimesh's `visual` gives them."""
    if visual.kind == "texture":
        uv = None if visual.uv is None or not len(visual.uv) else np.asarray(visual.uv)[faces]
        material = visual.material
        which = getattr(visual, "face_materials", None)
        if getattr(material, "materials", None) and which is not None:  # several materials in one mesh
            return [plain(corners[which == i], look(each, uv is not None), None if uv is None else uv[which == i])
                    for i, each in enumerate(material.materials)]
        colours = visual.vertex_attributes.get("color")
        colours = None if colours is None or np.shape(colours)[-1] != 4 else as_bytes(np.asarray(colours)[faces])
        return [plain(corners, look(material, uv is not None), uv, colours)]
    if visual.kind == "vertex":
        return [plain(corners, Material((1.0, 1.0, 1.0, 1.0)), colours=np.asarray(visual.vertex_colors)[faces])]
    if visual.kind == "face":
        colours = np.repeat(np.asarray(visual.face_colors)[:, None], 3, 1)
        return [plain(corners, Material((1.0, 1.0, 1.0, 1.0)), colours=colours)]
    return [plain(corners, Material())]


def look(material: Any, mapped: bool) -> Material:
    """A material of trimesh: SimpleMaterial of MTL files, PBRMaterial of glTF.

    Args:
        material: of trimesh.
        mapped: whether the triangles have texture coordinates; without them a texture has no place.
    """
    if hasattr(material, "baseColorFactor"):
        colour = (1.0,) * 4 if material.baseColorFactor is None else unit(material.baseColorFactor)
        image, mode = material.baseColorTexture, material.alphaMode or "OPAQUE"
        if mode == "OPAQUE":
            colour = (*colour[:3], 1.0)
        cutoff = (material.alphaCutoff or 0.5) if mode == "MASK" else None
        texture = texels(image) if mapped and image is not None else None
        if texture is not None and mode == "OPAQUE":
            texture[..., 3] = 255
        return Material(colour, texture, cutoff)
    image = getattr(material, "image", None)
    colour, settings = unit(material.diffuse), getattr(material, "kwargs", {})
    texture = texels(image) if mapped and image is not None else None
    if texture is not None and max(colour[:3]) == 0:
        colour = (1.0, 1.0, 1.0, 1.0)
    return Material((*colour[:3], opacity(settings)), texture)


def opacity(settings: dict[str, Any]) -> float:
    """What an MTL file says of a material: `d` if there is one, else 1 - `Tr`, else opaque; in [0, 1]."""
    for key, sign in (("d", 1.0), ("tr", -1.0)):
        words = [word for word in settings.get(key, []) if word.lower() != "-halo"]
        try:
            value = float(words[0])
        except (IndexError, ValueError):
            continue
        return min(1.0, max(0.0, value if sign > 0 else 1 - value))
    return 1.0


def unit(colour: Any) -> tuple[float, float, float, float]:
    """A colour of trimesh (bytes, or floats of at most 1; alpha may lack) as floats in [0, 1]."""
    red, green, blue, alpha = (as_bytes(np.atleast_1d(np.asarray(colour)))[:4] / 255).tolist()
    return red, green, blue, alpha


def as_bytes(colours: np.ndarray) -> np.ndarray:
    """RGBA bytes of RGB or RGBA, bytes or floats of at most 1, on the last axis."""
    if colours.dtype.kind == "f":
        colours = np.rint(np.clip(colours, 0, 1) * 255)
    if colours.shape[-1] == 3:
        colours = np.concatenate([colours, np.full_like(colours[..., :1], 255)], -1)
    return colours.astype(np.uint8)


def texels(image: Image.Image) -> np.ndarray:
    """A picture as RGBA bytes. Raises what Pillow raises on damaged ones."""
    return np.array(image.convert("RGBA"))
