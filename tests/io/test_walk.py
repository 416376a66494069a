"""Going through folders: what may not be read is said, links are followed once, hidden names are left out."""

import pytest

from tokenfield.cli.decode import find_fields
from tokenfield.data.pictures import SkippedFiles
from tokenfield.earth.data import find_earth_files
from tokenfield.errors import UserError
from tokenfield.io import walk
from tokenfield.sound.files import find_recordings
from tokenfield.views.meshes.catalogue import find_meshes


@pytest.fixture
def closed(tmp_path, monkeypatch):
    """A folder with a file of every kind, and a sub-folder that may not be read, root or not."""
    for name in ("a.field", "a.wav", "a.nc", "a.obj", ".a.nc", "b.zarr/0"):
        (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "f" / name).touch()
    (tmp_path / "f" / "closed").mkdir()
    (tmp_path / "f" / "back").symlink_to(tmp_path / "f")
    real = walk.os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(walk.os, "scandir", scandir)
    return tmp_path / "f"


def test_a_folder_that_may_not_be_read_is_said(closed):
    for find in (find_fields, find_recordings, find_earth_files):
        with pytest.raises(UserError, match="closed: the folder may not be read"):
            find(closed)
    for find, name in ((find_fields, "a.field"), (lambda *given: [e.file for e in find_meshes(*given)], "a.obj")):
        skipped = SkippedFiles()
        assert find(closed, skipped) == [closed / name]
        assert len(skipped) == 1 and "may not be read" in skipped.summary(2)


def test_what_there_is_is_found_once(closed):
    (closed / "closed").rmdir()
    assert find_fields(closed) == [closed / "a.field"] and find_recordings(closed) == [closed / "a.wav"]
    assert find_earth_files(closed) == [closed / "a.nc", closed / "b.zarr"]
    assert find_earth_files(closed, ("b*",)) == [closed / "b.zarr"]
