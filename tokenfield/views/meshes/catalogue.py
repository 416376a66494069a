"""The objects of a path, and their files.

A mesh file is one object; a folder is all mesh files and archives below it; a zip archive is the mesh files in it; and
a Sweet Home 3D library (`.sh3f`) is a zip archive with a catalogue that gives every model a name, a category, an author
and the rotation that stands it upright. `mesh_file` unpacks only the folder of an archive that one object lies in, and
the pictures beside it that its materials name (ShapeNet's `../images`).
"""

import hashlib
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath

from tokenfield.data.pictures import SkippedFiles
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown
from tokenfield.io.walk import files_below
from tokenfield.views.meshes.files import BROKEN, UPRIGHT, read_scene
from tokenfield.views.meshes.obj import text_of
from tokenfield.views.meshes.surface import MeshError, Surface

ARCHIVES = (".zip", ".sh3f")
BAD_ARCHIVE = (zipfile.BadZipFile, *BROKEN)
"""What `zipfile` raises on damaged or encrypted archives."""
CATALOGUE = "PluginFurnitureCatalog.properties"
"""The catalogue of a `.sh3f`, in English: lines `key#number=value`."""

UNPACKED = 1 << 30
"""Most bytes that the folder of one object may have unpacked: a small archive can claim to hold terabytes."""


@dataclass(frozen=True)
class MeshEntry:
    """One object; what a catalogue would say is empty where there is none."""

    name: str  # of its folder of views: letters, digits, dots, dashes; unique in a listing
    title: str  # what people call it
    file: Path  # the mesh file, or the archive it lies in
    member: str = ""  # path in the archive
    rotation: tuple[float, ...] = ()  # 9 numbers, a matrix row by row that stands the model upright
    category: str = ""
    author: str = ""
    read: Callable[[Path], list[Surface]] = read_scene  # gives the parts of the file

    @property
    def where(self) -> str:
        """Where it is from, for messages and lists."""
        return f"{self.file}:{self.member}" if self.member else str(self.file)


def find_meshes(path: Path, skipped: SkippedFiles) -> list[MeshEntry]:
    """The objects of a file, an archive or a folder, in a fixed order with unique names.

    Archives that cannot be read, and models of a catalogue that are missing or of another kind, go to `skipped`. Raises
    UserError where nothing of use is left.
    """
    if not path.exists():
        raise UserError(f"{shown(path)}: no such file or folder; give a mesh ({', '.join(UPRIGHT)}), a folder of them, "
                        f"or an archive ({', '.join(ARCHIVES)})")
    inside = [file for file in files_below(path, skipped.add) if file.is_file()] if path.is_dir() else [path]
    entries: list[MeshEntry] = []
    for file in inside:
        if (kind := file.suffix.lower()) in UPRIGHT:
            place = file.relative_to(path).with_suffix("") if path.is_dir() else Path(file.stem)
            entries.append(MeshEntry(slug(place.as_posix()), file.stem, file))
        elif kind in ARCHIVES:
            entries += in_archive(file, skipped)
    if not entries:
        reason = skipped.summary() or f"read are {', '.join(UPRIGHT)} and these in {', '.join(ARCHIVES)}"
        raise UserError(f"{shown(path)}: no meshes found; {reason}")
    return unique(entries)


def hidden(path: PurePath) -> bool:
    """Whether any part of a path begins with a dot."""
    return any(part.startswith(".") for part in path.parts)


def in_archive(file: Path, skipped: SkippedFiles) -> list[MeshEntry]:
    """The objects of an archive; its own fault is noted in `skipped`."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = {info.filename for info in archive.infolist() if not info.is_dir() and is_safe(info.filename)}
            if CATALOGUE in names:
                return in_catalogue(file, archive.read(CATALOGUE).decode("latin-1"), names, skipped)
    except BAD_ARCHIVE as error:
        skipped.add(file, f"is no archive that can be read ({' '.join(str(error).split())[:80]})")
        return []
    meshes = [path for path in map(PurePosixPath, sorted(names)) if path.suffix.lower() in UPRIGHT and not hidden(path)]
    if not meshes:
        skipped.add(file, "holds no mesh")
    return [MeshEntry(slug(str(path.with_suffix(""))), path.stem, file, str(path)) for path in meshes]


def in_catalogue(file: Path, text: str, names: set[str], skipped: SkippedFiles) -> list[MeshEntry]:
    """The objects of a `.sh3f`, in the order of its catalogue."""
    out = []
    for entry in properties(text).values():
        member = entry.get("model", "").lstrip("/")
        if not member:
            continue
        if member not in names or PurePosixPath(member).suffix.lower() not in UPRIGHT:
            skipped.add(f"{file}:{member}", "is in the catalogue and missing" if member not in names
                        else "is no mesh of a kind that is read")
            continue
        rotation: tuple[float, ...] = ()
        with suppress(ValueError):
            rotation = tuple(float(word) for word in entry.get("modelRotation", "").split())
        name = slug(PurePosixPath(member).stem)
        out.append(MeshEntry(name, entry.get("name", name), file, member, rotation if len(rotation) == 9 else (),
                             entry.get("category", ""), entry.get("creator", "")))
    return out


def properties(text: str) -> dict[int, dict[str, str]]:
    """`key#number=value` lines of a Java properties file, by number: {1: {"name": ...}, ...}."""
    out: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        if match := re.match(r"\s*(\w+)#(\d+)\s*[=:]\s*(.*)$", line):
            value = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), match[3])
            out.setdefault(int(match[2]), {})[match[1]] = re.sub(r"\\(.)", r"\1", value).strip()
    return out


def slug(text: str) -> str:
    """A name that every file system takes: runs of anything but letters, digits, dots and dashes become one dash."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:100] or "object"


def unique(entries: list[MeshEntry]) -> list[MeshEntry]:
    """Entries whose names occur once; of equal ones, all but the first get the beginning of a hash of their origin.

    The hash is of the path in the archive, and the archive's own name, so that adding files renames nothing.
    """
    out: dict[str, MeshEntry] = {}
    for entry in entries:
        if entry.name.lower() in out:  # some file systems do not tell A from a
            origin = f"{entry.file.name}:{entry.member}" if entry.member else entry.where
            entry = replace(entry, name=f"{entry.name}-{hashlib.sha256(origin.encode()).hexdigest()[:6]}")
        out[entry.name.lower()] = entry
    return list(out.values())


def is_safe(name: str) -> bool:
    """Whether an archive's path stays inside the folder it is unpacked to."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def pictures_beside(archive: zipfile.ZipFile, beside: PurePosixPath, members: list[zipfile.ZipInfo],
                    safe: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Members one folder up, and below it, whose names stand in one of an object's material libraries."""
    libraries = [info for info in members if info.filename.lower().endswith(".mtl") and info.file_size < 1 << 20]
    text = "\n".join(text_of(archive.read(info)) for info in libraries).lower()
    if ".." not in text:
        return []
    others = [(info, PurePosixPath(info.filename)) for info in safe if info not in members and not info.is_dir()]
    return [info for info, path in others if path.is_relative_to(beside.parent) and path.name.lower() in text]


@contextmanager
def mesh_file(entry: MeshEntry) -> Iterator[Path]:
    """The mesh file of an entry, on disk for the length of a block, with what lies in its folder.

    Raises MeshError for a damaged or encrypted archive, or a folder that unpacks to more than `UNPACKED` bytes.
    """
    if not entry.member:
        yield entry.file
        return
    beside = PurePosixPath(entry.member).parent
    with tempfile.TemporaryDirectory(prefix="tokenfield-mesh-") as folder:
        try:
            with zipfile.ZipFile(entry.file) as archive:
                safe = [info for info in archive.infolist() if is_safe(info.filename)]
                members = [info for info in safe if PurePosixPath(info.filename).is_relative_to(beside)]
                members += pictures_beside(archive, beside, members, safe)
                size = sum(info.file_size for info in members)
                if size > UNPACKED:
                    raise MeshError(entry.where, f"unpacks to {size / 1e9:.1f} GB; at most {UNPACKED / 1e9:.1f} are")
                archive.extractall(folder, members)
        except MeshError:
            raise
        except BAD_ARCHIVE as error:
            raise MeshError(entry.where, f"cannot be unpacked ({' '.join(str(error).split())[:80]})") from error
        yield Path(folder) / entry.member
