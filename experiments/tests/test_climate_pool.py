"""The script that rebuilds the climatologies: whole or absent, with every file's licence."""

import hashlib

import pytest

from experiments.pools import climate as climate_pool


@pytest.fixture
def unpacked(tmp_path, monkeypatch):
    """A package of a few bytes per file, and a list that expects these."""


    folder = tmp_path / "package" / climate_pool.FOLDER
    folder.mkdir(parents=True)
    items = []
    for item in climate_pool.FILES:
        (folder / item.name).write_text(item.what)
        items.append(item._replace(digest=hashlib.sha256(item.what.encode()).hexdigest()[:12]))
    return tuple(items), {climate_pool.PACKAGE: tmp_path / "package"}


def test_every_file_has_a_digest_and_a_licence():
    assert len(climate_pool.CLIMATOLOGIES) == 3
    assert all(len(item.digest) == 12 and item.licence for item in climate_pool.FILES)


def test_files_are_copied_and_listed_with_their_licences(unpacked, tmp_path):
    items, roots = unpacked
    rows = climate_pool.collect(items, roots, tmp_path / "out")
    identity = climate_pool.write_lists(rows, tmp_path / "out")
    assert len(identity) == 64
    assert (tmp_path / "out" / items[0].name).read_text() == items[0].what
    table = [line.split("\t") for line in (tmp_path / "out" / "LICENSES.tsv").read_text().splitlines()]
    assert table[0][0] == "file" and {len(row) for row in table} == {6} and len(table) == 6


def test_other_bytes_and_missing_files_write_nothing(unpacked, tmp_path):
    items, roots = unpacked
    for broken in (items[0]._replace(digest="0" * 12), items[0]._replace(name="nothing.cdf")):
        with pytest.raises(SystemExit, match="another version of the package"):
            climate_pool.collect((*items[1:], broken), roots, tmp_path / "out")
        assert not (tmp_path / "out").exists()
