"""Mesh files: what is written is read back, with its colours, from every format; broken files are named."""

import json
import sys
import zipfile

import numpy as np
import pytest
import trimesh
from PIL import Image
from trimesh.visual.material import PBRMaterial

from tokenfield.data.pictures import SkippedFiles
from tokenfield.errors import UserError
from tokenfield.views.meshes import catalogue
from tokenfield.views.meshes.catalogue import CATALOGUE, find_meshes, mesh_file, properties, slug
from tokenfield.views.meshes.files import read_surface
from tokenfield.views.meshes.obj import opacity
from tokenfield.views.meshes.surface import MeshError

OBJ = """mtllib looks.mtl
v 0 0 0
v 2 0 0
v 2 3 0
v 0 3 0
v 0 0 1
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl painted
f 1/1 2/2 3/3 4/4
usemtl glass
f 1 2 5
"""
MTL = """newmtl painted
Kd 0.5 1 1
map_Kd wood.png
newmtl glass
Kd 0.2 0.4 0.8
d 0.25
"""


@pytest.fixture
def obj(tmp_path):
    """A square with a picture and a triangle of glass."""
    folder = tmp_path / "chair"
    folder.mkdir()
    (folder / "chair.obj").write_text(OBJ)
    (folder / "looks.mtl").write_text(MTL)
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(folder / "wood.png")
    return folder / "chair.obj"


def by_material(surface, index):
    return surface.corners[surface.material == index]


def test_obj_with_materials_pictures_and_opacity(obj):
    surface = read_surface(obj)
    assert len(surface) == 3
    painted, glass = sorted(range(len(surface.materials)), key=lambda i: surface.materials[i].texture is None)
    look = surface.materials[painted]
    np.testing.assert_array_equal(look.texture[..., :3], np.arange(48).reshape(4, 4, 3))
    np.testing.assert_allclose(look.colour, (0.5, 1, 1, 1), atol=2 / 255)
    np.testing.assert_allclose(surface.materials[glass].colour, (0.2, 0.4, 0.8, 0.25), atol=2 / 255)
    square = by_material(surface, painted)
    uv = surface.uv[surface.material == painted]
    np.testing.assert_allclose(square[..., :2] / [2, 3], uv, atol=1e-6)  # corners and their places in the picture
    assert by_material(surface, glass).max() == 2


@pytest.mark.parametrize(("settings", "value"), [
    ({"d": ["0.3"]}, 0.3), ({"tr": ["0.3"]}, 0.7), ({"d": ["-halo", "0.5"]}, 0.5), ({}, 1.0), ({"d": ["x"]}, 1.0),
    ({"d": []}, 1.0), ({"d": ["7"]}, 1.0), ({"d": ["1"], "tr": ["0.9"]}, 1.0)])
def test_opacity_of_mtl_files(settings, value):
    assert opacity(settings) == pytest.approx(value)


def textured_square(mode="OPAQUE", alpha=255):
    image = Image.fromarray(np.dstack([np.arange(48).reshape(4, 4, 3), np.full((4, 4), alpha)]).astype(np.uint8))
    material = PBRMaterial(baseColorTexture=image, baseColorFactor=[255, 128, 255, 128], alphaMode=mode,
                           alphaCutoff=0.25)
    vertices = np.array([[0, 0, 0], [2, 0, 0], [2, 3, 0], [0, 3, 0]], float)
    visual = trimesh.visual.TextureVisuals(uv=vertices[:, :2] / [2, 3], material=material)
    return trimesh.Trimesh(vertices, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False)


@pytest.mark.parametrize(("mode", "alphas", "cutoff"), [("OPAQUE", (1, 255), None), ("BLEND", (0.5, 100), None),
                                                        ("MASK", (0.5, 100), 0.25)])
def test_glb_with_pictures_and_alpha_modes(tmp_path, mode, alphas, cutoff):
    scene = trimesh.Scene()
    place = trimesh.transformations.translation_matrix([10, 0, 0])
    scene.add_geometry(textured_square(mode, 100), transform=place)
    (tmp_path / "a.glb").write_bytes(scene.export(file_type="glb"))
    surface = read_surface(tmp_path / "a.glb")
    (look,) = surface.materials
    assert look.colour == pytest.approx((1, 128 / 255, 1, alphas[0]), abs=2 / 255) and look.cutoff == cutoff
    np.testing.assert_array_equal(look.texture[..., :3], np.arange(48).reshape(4, 4, 3))
    assert (look.texture[..., 3] == alphas[1]).all()
    np.testing.assert_allclose((surface.corners[..., :2] - [10, 0]) / [2, 3], surface.uv, atol=1e-6)


def test_ply_with_vertex_colours_and_stl_without_any(tmp_path):
    box = trimesh.creation.box((1, 2, 3))
    colours = np.random.default_rng(0).integers(0, 256, (8, 4)).astype(np.uint8)
    box.visual = trimesh.visual.ColorVisuals(box, vertex_colors=colours)
    box.export(tmp_path / "a.ply")
    box.export(tmp_path / "a.stl")
    ply, stl = read_surface(tmp_path / "a.ply"), read_surface(tmp_path / "a.stl")
    assert len(ply) == len(stl) == 12
    np.testing.assert_array_equal(ply.colours, colours[box.faces])
    np.testing.assert_allclose(ply.corners, box.vertices[box.faces], atol=1e-6)
    assert stl.materials[0].colour == (0.7, 0.7, 0.7, 1.0) and (stl.colours == 255).all()
    np.testing.assert_allclose(np.ptp(stl.corners.reshape(-1, 3), axis=0), [1, 2, 3])


@pytest.mark.parametrize(("name", "content", "words"), [
    ("a.obj", b"", "empty"),
    ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no triangles"),
    ("a.obj", b"v 0 0 0\nf 1 2 9\n", "damaged"),
    ("a.glb", b"glTF\x02\0\0\0\x30\0\0\0", "damaged"),
    ("a.gltf", b'{"asset": {}, "meshes": [{}]}', "damaged"),
    ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 1\n", "damaged"),
    ("a.stl", b"solid x\nendsolid x\n", "no triangles"),
    ("a.off", b"OFF\n1 1\n", "damaged"),
    ("a.txt", b"hello", "no mesh of a kind"),
])
def test_broken_files_are_named_with_a_reason(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MeshError, match=words) as caught:
        read_surface(tmp_path / name)
    assert caught.value.path == tmp_path / name


def test_without_trimesh_the_message_says_what_to_install(obj, monkeypatch):
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(UserError, match=r"pip install 'tokenfield\[meshes\]'") as caught:
        read_surface(obj)
    assert not isinstance(caught.value, MeshError)


def zipped(file, members):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


def test_archives_are_read_object_by_object(obj, tmp_path):
    inside = {f"set/chair/{file.name}": file.read_bytes() for file in obj.parent.iterdir()}
    inside |= {"set/stool.obj": "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "__MACOSX/._x.obj": "", "note.txt": "hello"}
    archive = zipped(tmp_path / "things.zip", inside)
    entries = find_meshes(archive, SkippedFiles())
    assert [entry.name for entry in entries] == ["set-chair-chair", "set-stool"]
    with mesh_file(entries[0]) as file:
        surface = read_surface(file)
        assert any(look.texture is not None for look in surface.materials)
        path = file
    assert not path.exists()


def test_archives_do_not_write_outside_or_without_bound(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "evil.zip", {"../up.obj": "v 0 0 0", "/abs.obj": "v 0 0 0", "ok/a.obj": "v 0 0 0",
                                             "ok/../../b.txt": "x"})
    (entry,) = find_meshes(archive, SkippedFiles())
    with mesh_file(entry) as file:
        assert [p.name for p in file.parents[1].rglob("*") if p.is_file()] == ["a.obj"]
    monkeypatch.setattr(catalogue, "UNPACKED", 3)
    with pytest.raises(MeshError, match="unpacks to"), mesh_file(entry):
        pass


def test_a_catalogue_names_models_and_stands_them_upright(tmp_path):
    text = ("id=x\nname#2=Caf\\u00e9 chair\nmodel#2=/a/chair.obj\ncategory#2=Kitchen\ncreator#2=Ann\n"
            "modelRotation#2=1 0 0 0 0 1 0 -1 0\nname#7=Lamp\nmodel#7=/b/lamp.obj\nname#9=Gone\nmodel#9=/c/gone.obj\n"
            "name#11=Other\nmodel#11=/d/other.dae\nname#12=Again\nmodel#12=/b/chair.obj\nname#13=nothing\n")
    triangle = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
    archive = zipped(tmp_path / "furniture.sh3f", {CATALOGUE: text, "a/chair.obj": triangle, "b/lamp.obj": triangle,
                                                   "b/chair.obj": triangle, "d/other.dae": ""})
    skipped = SkippedFiles()
    chair, lamp, again = find_meshes(archive, skipped)
    assert (chair.name, chair.title, chair.category, chair.author) == ("chair", "Café chair", "Kitchen", "Ann")
    assert chair.rotation == (1, 0, 0, 0, 0, 1, 0, -1, 0) and lamp.rotation == ()
    assert again.name.startswith("chair-") and again.name != "chair"
    assert {file.rsplit(":", 1)[1]: reason for file, reason in skipped.reasons.items()} == {
        "c/gone.obj": "is in the catalogue and missing", "d/other.dae": "is no mesh of a kind that is read"}


def test_folders_hold_files_and_archives_and_what_is_broken_is_counted(obj, tmp_path):
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 nothing")
    zipped(tmp_path / "empty.zip", {"note.txt": "no mesh"})
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.obj").write_text("v 0 0 0")
    (tmp_path / "chair.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    skipped = SkippedFiles()
    assert [entry.name for entry in find_meshes(tmp_path, skipped)] == ["chair-chair", "chair"]
    assert sorted(file.rsplit("/", 1)[1] for file in skipped.reasons) == ["broken.zip", "empty.zip"]
    with pytest.raises(UserError, match=r"no meshes found; skipped 1: broken\.zip"):
        find_meshes(tmp_path / "broken.zip", SkippedFiles())
    with pytest.raises(UserError, match="no such file"):
        find_meshes(tmp_path / "nowhere", SkippedFiles())


@pytest.mark.parametrize(("text", "name"), [("a b/c", "a-b-c"), ("...", "object"), ("Stühle", "St-hle"),
                                            ("x" * 300, "x" * 100)])
def test_names_are_safe_everywhere(text, name):
    assert slug(text) == name


def test_properties_are_read_as_java_writes_them():
    assert properties("a#1 = b\\=c\nx=y\nq#3:\\u00e9\n") == {1: {"a": "b=c"}, 3: {"q": "é"}}
    assert json.dumps(properties("")) == "{}"
