"""AC3D files of the TORCS cars: what they say is read, broken ones are named, and views are made of them."""

import numpy as np
import pytest
from PIL import Image

from experiments.pools.ac3d import read_ac3d
from tokenfield.data.pictures import SkippedFiles
from tokenfield.views.meshes.catalogue import MeshEntry
from tokenfield.views.meshes.files import read_surface
from tokenfield.views.meshes.objects import ViewSettings, render_all
from tokenfield.views.meshes.surface import MeshError

AC = """AC3Db
MATERIAL "red paint" rgb 0.9 0.1 0.2 amb 0 0 0 emis 0 0 0 spec 0 0 0 shi 10 trans 0.25
OBJECT world
kids 2
OBJECT poly
name "a box, half"
data 4
none
texture "skin.rgb" base
texture "skin.rgb" tiled
texrep 2 3
loc 10 20 30
rot 0 1 0 -1 0 0 0 0 1
numvert 4
0 0 0 0 0 1
1 0 0 0 0 1
1 1 0 0 0 1
0 1 0 0 0 1
numsurf 2
SURF 0x20
mat 0
refs 4
0 0 0
1 1 0
2 1 1
3 0 1
SURF 0x2
mat 0
refs 2
0 0 0
1 0 0
kids 1
OBJECT poly
loc 1 0 0
numvert 4
0 0 0
1 0 0
0 1 0
1 1 0
numsurf 1
SURF 0x14
mat 0
refs 4
0 0 0 0 0 0 0 0 0
1 0 0 0 0 0 0 0 0
2 0 0 0 0 0 0 0 0
3 0 0 0 0 0 0 0 0
kids 0
OBJECT poly
kids 0
"""


def test_ac3d_polygons_strips_places_and_textures(tmp_path):
    (tmp_path / "car.acc").write_text(AC)
    Image.fromarray(np.full((2, 2, 3), 77, np.uint8)).save(tmp_path / "skin.rgb", format="SGI")
    surface = read_surface(tmp_path / "car.acc", read_ac3d)
    assert len(surface) == 4  # two of the square, none of the line, two of the strip
    quad, strip = surface.corners[:2], surface.corners[2:]
    x, y = np.array([0, 1, 0]), np.array([-1, 0, 0])  # where the rotation puts the axes
    at = np.array([10, 20, 30])
    np.testing.assert_allclose(quad[0], [at, at + x, at + x + y])
    np.testing.assert_allclose(strip[0], [at + x, at + 2 * x, at + x + y])
    np.testing.assert_allclose(surface.uv[0], [[0, 0], [2, 0], [2, 3]])
    normals = np.cross(surface.corners[:, 1] - surface.corners[:, 0], surface.corners[:, 2] - surface.corners[:, 0])
    np.testing.assert_allclose(normals / np.linalg.norm(normals, axis=1, keepdims=True), [[0, 0, 1]] * 4, atol=1e-6)
    looks = [surface.materials[m] for m in surface.material]
    assert all(look.colour == pytest.approx((0.9, 0.1, 0.2, 0.75)) for look in looks)
    assert (looks[0].texture[..., :3] == 77).all() and looks[2].texture is None


@pytest.mark.parametrize(("name", "content", "words"), [
    ("a.ac", b"AC3Db\nOBJECT world\nkids 3\n", "ends in the middle"),
    ("a.ac", b"v 0 0 0\n", "no AC3D"),
    ("a.acc", b"AC3Db\nOBJECT poly\nnumvert 1\n0 0 x\n", "damaged"),
])
def test_broken_files_are_named_with_a_reason(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MeshError, match=words) as caught:
        read_surface(tmp_path / name, read_ac3d)
    assert caught.value.path == tmp_path / name


@pytest.mark.parametrize("processes", [1, 2])
def test_cars_become_views_in_every_process(tmp_path, processes):
    entries = [MeshEntry(name, name, tmp_path / f"{name}.acc", read=read_ac3d) for name in ("one", "two")]
    for entry in entries:
        entry.file.write_text(AC)
    skipped = SkippedFiles()
    settings = ViewSettings(views=1, size=8, samples=1)
    assert sorted(render_all(entries, tmp_path / "cars", settings, skipped, processes=processes)) == ["one", "two"]
    assert not skipped and Image.open(tmp_path / "cars" / "two" / "view-000.png").size == (8, 8)
