"""OBJ and MTL as programs write them: the picture is found, or said to be missing by its name."""

import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from tokenfield.data.pictures import SkippedFiles
from tokenfield.views.meshes.catalogue import find_meshes, mesh_file
from tokenfield.views.meshes.files import read_surface
from tokenfield.views.meshes.obj import MissingFile, colour_of, find_beside, split_options, text_of
from tokenfield.views.meshes.objects import ViewSettings, render_all

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
FACES = "usemtl wood\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
RED = (200, 50, 50)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), RED).save(path)


def read(path):
    """The surface, and what was said to be missing."""
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", MissingFile)
        surface = read_surface(path)
    return surface, [str(one.message) for one in noted if isinstance(one.message, MissingFile)]


LINES = {
    "wood.png": "wood.png", "./wood.png": "wood.png", '"wood.png"': "wood.png", "WOOD.PNG": "wood.png",
    "textures\\wood.png": "textures/wood.png", "Textures/Wood.png": "textures/wood.png",
    "C:\\Users\\Ann\\wood.png": "wood.png", "/home/ann/wood.png": "wood.png",
    "../images/wood.png": "../images/wood.png",
    "-s 1 1 1 -o 0 0 0 wood.png": "wood.png", "-s 2 wood.png": "wood.png", "-clamp on wood.png": "wood.png",
    "-bm 1 my wood.png": "my wood.png", "-mm 0 1 -BLENDU off my  wood.png": "my  wood.png",
    "-type sphere -imfchan l wood.png": "wood.png", "Holz-\u00e4.png": "Holz-\u00e4.png", "wood.tga": "wood.tga",
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("key", ["map_Kd", "MAP_KD"])
def test_a_picture_is_found_however_it_is_named(line, key, tmp_path):
    folder = tmp_path / "object"
    write(folder / "m.obj", "mtllib m.mtl\n" + SQUARE + FACES)
    write(folder / "m.mtl", f"newmtl wood\nKd 1 1 1\n{key} {line}\n")
    assert read(folder / "m.obj")[1][0].endswith("is a texture that is missing")
    picture(folder / LINES[line])
    surface, missing = read(folder / "m.obj")
    assert not missing and tuple(surface.materials[0].texture[0, 0, :3]) == RED


LIBRARIES = {
    "Latin-1": ("newmtl Gl\u00e4s\nKd 0.8 0.2 0.2\n".encode("latin-1"), "m.mtl", "Gl\u00e4s".encode("latin-1")),
    "UTF-8": ("newmtl Gl\u00e4s\nKd 0.8 0.2 0.2\n".encode(), "m.mtl", "Gl\u00e4s".encode()),
    "a mark": ("\ufeffnewmtl wood\nKd 0.8 0.2 0.2\n".encode(), "m.mtl", b"wood"),
    "UTF-16": ("newmtl wood\nKd 0.8 0.2 0.2\n".encode("utf-16"), "m.mtl", b"wood"),
    "several": (b"newmtl wood\nKd 0.8 0.2 0.2\n", "a.mtl m.mtl", b"wood"),
    "on two lines": (b"newmtl wood\nKd 0.8 0.2 0.2\n", "a.mtl\nmtllib m.mtl", b"wood"),
    "capitals": (b"NEWMTL Wood\nKD 0.8 0.2 0.2\n", "M.MTL", b"wood"),
    "tabs and blanks": (b"  newmtl\tred wood  \n\tKd\t0.8 0.2 0.2\n", "m.mtl  ", b"red wood"),
    "carriage returns": (b"newmtl wood\rKd 0.8 0.2 0.2\r", "m.mtl", b"wood"),
    "a line continued": (b"newmtl wood\nKd 0.8 \\\n 0.2 0.2\n", "m.mtl", b"wood"),
    "the first of two": (b"newmtl wood\nKd 0.8 0.2 0.2\n", "m.mtl b.mtl", b"wood"),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_materials_are_found_however_their_library_is_written(name, tmp_path):
    content, listed, material = LIBRARIES[name]
    write(tmp_path / "m.mtl", content)
    write(tmp_path / "b.mtl", "newmtl wood\nKd 0 1 0\n")
    faces = FACES.encode().replace(b"wood", material)
    write(tmp_path / "m.obj", f"mtllib {listed}\n".encode() + SQUARE.encode() + faces)
    surface, missing = read(tmp_path / "m.obj")
    np.testing.assert_allclose(surface.materials[0].colour, (0.8, 0.2, 0.2, 1), atol=1e-6)
    assert [one.endswith("a.mtl is a material library (mtl) that is missing") for one in missing] == (
        [True] if "a.mtl" in listed else [])


def test_scale_and_offset_of_a_picture_move_it(tmp_path):
    write(tmp_path / "m.obj", "mtllib m.mtl\n" + SQUARE + FACES)
    write(tmp_path / "m.mtl", "newmtl wood\nmap_Kd -s 2 3 -o 0.5 wood.png\n")
    picture(tmp_path / "wood.png")
    surface, _ = read(tmp_path / "m.obj")
    assert surface.uv.reshape(-1, 2).max(0).tolist() == [2.5, 3.0]
    assert surface.uv.reshape(-1, 2).min(0).tolist() == [0.5, 0.0]


def test_nothing_outside_the_object_s_folder_and_its_neighbours_is_opened(tmp_path):
    picture(tmp_path / "secret.png")
    file = tmp_path / "shelf" / "object" / "m.mtl"
    write(file, "")
    for name in ("../../secret.png", "../../../etc/passwd", str(tmp_path / "secret.png"), "..", "a\0b", ""):
        assert find_beside(file, name) is None
    (file.parent / "link.png").symlink_to(tmp_path / "secret.png")
    assert find_beside(file, "link.png") is None


@pytest.mark.parametrize("settings, colour", [
    (["0.5"], (0.5, 0.5, 0.5)), (["1", "2", "-1"], (1, 1, 0)), (["spectral", "a.rfl"], None), (["nan"] * 3, None),
    ([], None)])
def test_colours_of_libraries(settings, colour):
    assert colour_of({"kd": settings}) == colour


def test_options_end_where_the_name_begins():
    assert split_options("-o 1 2 3d.png") == ("3d.png", {"-o": [1.0, 2.0]})
    assert split_options("-x.png") == ("-x.png", {}) and split_options("") == ("", {})
    assert text_of(b"a \\\r\nb\r\nc\rd") == "a  b\nc\nd"


def test_shapenet_s_pictures_are_found_in_an_archive_and_missing_ones_counted(tmp_path):
    pytest.importorskip("embreex")
    picture(tmp_path / "t.jpg")
    with zipfile.ZipFile(tmp_path / "shapes.zip", "w") as archive:
        for name in ("abc", "def"):
            archive.writestr(f"0269/{name}/models/m.obj", "mtllib m.mtl\n" + SQUARE + FACES)
            archive.writestr(f"0269/{name}/models/m.mtl", "newmtl wood\nKd 1 1 1\nmap_Kd ../images/texture0.jpg\n")
        archive.write(tmp_path / "t.jpg", "0269/abc/images/texture0.jpg")
        archive.writestr("0269/abc/images/other.jpg", b"no part of it")
    skipped = SkippedFiles()
    first, second = find_meshes(tmp_path / "shapes.zip", skipped)
    with mesh_file(first) as file:
        assert sorted(p.name for p in file.parent.parent.rglob("*.jpg")) == ["texture0.jpg"]
        surface, missing = read(file)
        assert not missing and abs(int(surface.materials[0].texture[0, 0, 0]) - RED[0]) < 8
    settings = ViewSettings(views=1, size=8, samples=1)
    assert len(list(render_all([first, second], tmp_path / "out", settings, skipped, processes=1))) == 2
    assert len(skipped) == 1 and "texture0.jpg (is a texture that is missing)" in skipped.summary()
