"""One set of versions, written three times: what tests run with, the same for every platform, the same with hashes."""

import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
HASHES = (ROOT / "requirements.lock").read_text()


def canonical(name: str) -> str:
    """A project's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, set[str]]:
    """Versions by name, of lines `name==version`; some have one per platform."""
    versions = defaultdict(set)
    for name, version in re.findall(r"^([\w.\-]+)==([^\s;\\]+)", text, re.MULTILINE):
        versions[canonical(name)].add(version)
    return versions


LOCKED = defaultdict(set)
for entry in LOCK["package"]:
    LOCKED[entry["name"]].add(entry.get("version"))
TESTED = pins((ROOT / "constraints.txt").read_text())


def test_the_lock_holds_what_tests_run_with():
    other = {name: (version, LOCKED[name]) for name, version in TESTED.items() if not version <= LOCKED[name]}
    assert not other, f"constraints.txt and uv.lock differ: {other}; see CONTRIBUTING.md, Versions"


def test_hashes_are_the_locks():
    hashed = pins(HASHES)
    assert hashed and {name: versions for name, versions in hashed.items() if not versions <= LOCKED[name]} == {}
    for requirement in re.split(r"\n(?=\w)", HASHES)[1:]:
        assert "--hash=sha256:" in requirement, requirement.split("\n")[0]


def test_the_lock_knows_every_requirement():
    """`uv lock --check` in as far as that can be read: no requirement of pyproject.toml is newer than the lock."""
    (package,) = (entry for entry in LOCK["package"] if entry["name"] == "tokenfield")
    written = [*PROJECT["dependencies"], *(one for extra in PROJECT["optional-dependencies"].values() for one in extra)]
    described = {canonical(one["name"]): one.get("specifier", "") for one in package["metadata"]["requires-dist"]}
    for requirement in written:
        name, specifier = re.fullmatch(r"([\w.\-]+)(?:\[[\w,]*\])?(.*)", requirement).groups()
        assert described[canonical(name)] == specifier, f"{requirement}: run uv lock"


def test_the_lock_names_public_places_alone():
    places = set(re.findall(r"https?://[^/\"]+", (ROOT / "uv.lock").read_text()))
    assert places == {"https://pypi.org", "https://files.pythonhosted.org"}
    assert not re.search(r"file:|/simple.*@|path = ", (ROOT / "uv.lock").read_text())


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_declared_pythons_have_wheels(version):
    """Every package of the lock has a wheel for every Python that the classifiers name."""
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    tag = rf"-(cp{version.replace('.', '')}|py3|py2\.py3|cp3\d+-abi3)-|-none-any"
    for entry in LOCK["package"]:
        wheels = [wheel["url"].rsplit("/", 1)[1] for wheel in entry.get("wheels", ())]
        assert not wheels or any(re.search(tag, wheel) for wheel in wheels), entry["name"]


def test_authors_are_those_of_the_citation():
    citation = (ROOT / "CITATION.cff").read_text()
    for author in PROJECT["authors"]:
        assert f'name: "{author["name"]}"' in citation


def test_the_index_page_stands_alone():
    """What an index shows has no folder around it: no relative links, no pictures beside it."""
    page = (ROOT / "docs" / "package.md").read_text()
    assert not re.findall(r"\]\((?!https?:)[^)]*\)|<img", page)
