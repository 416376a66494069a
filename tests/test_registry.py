"""The registry: names, near misses, plug-ins, and recipes read from source that is not run."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from tokenfield import registry
from tokenfield.errors import UserError
from tokenfield.registry import MODELS, RECIPES, Place, Registry


@pytest.fixture
def plugins(monkeypatch):
    """Installs plug-ins for one test, in the place of those that are there: `plugins(name="module:function")`."""
    reads = []

    def install(**places: str) -> list[str]:
        entries = [EntryPoint(name, place, registry.GROUP) for name, place in places.items()]
        monkeypatch.setattr(registry, "entry_points", lambda group: (reads.append(group), entries)[1])
        registry.read_plugins.cache_clear()
        return reads

    yield install
    registry.read_plugins.cache_clear()


def test_a_part_is_imported_when_it_is_used():
    animals = Registry("animal")
    animals.add("dog", "no_such_package:Dog")  # nobody looks before somebody wants the dog
    assert "dog" in animals and len(animals) == 1
    with pytest.raises(ModuleNotFoundError):
        animals["dog"]
    animals.add("cat", "decimal:Decimal")
    assert animals["cat"].__name__ == "Decimal" and animals.get("bird", 3) == 3
    assert ["cat"] not in animals and None not in animals


def test_an_unknown_name_gives_the_three_nearest():
    with pytest.raises(UserError, match=r"no recipe is called 'lainr-foto-64'; did you mean ") as caught:
        RECIPES["lainr-foto-64"]
    assert str(caught.value).count(" or ") == 2 and "lainr-photos-64" in str(caught.value)
    with pytest.raises(UserError, match=r"no animal is called 'xyz'; there are: dog, cat"):
        animals = Registry("animal")
        animals.add("dog", "a:Dog")
        animals.add("cat", "a:Cat")
        animals["xyz"]


def test_two_parts_of_one_name_are_refused():
    animals = Registry("animal")
    animals.add("dog", "one:Dog")
    animals.add("dog", "one:Dog")  # the same part again is no other part
    with pytest.raises(UserError, match=r"two animals are called 'dog': one and two; uninstall one"):
        animals.add("dog", "two:Dog")


def test_classes_know_their_names():
    from tokenfield.models.lainr import Lainr

    assert MODELS.name_of(Lainr) == "lainr" and MODELS.find_name(dict) is None
    with pytest.raises(UserError, match="dict is no registered system; registered are lainr"):
        MODELS.name_of(dict)


def test_core_names_need_no_plugins(plugins):
    reads = plugins(stranger="no_such_package:register")
    assert MODELS["lainr"].name == "lainr" and reads == []


@pytest.mark.parametrize(("place", "said"), [("no_such_package:register", "No module"), ("math:sqrt", "TypeError")])
def test_a_broken_plugin_is_one_line_that_names_it(plugins, place, said):
    plugins(stranger=place)
    with pytest.raises(UserError, match=said) as caught:
        list(Registry("animal"))
    assert f"plug-in 'stranger' ({place}) cannot be used" in str(caught.value) and "\n" not in str(caught.value)


def test_a_plugin_adds_parts_and_is_read_once(plugins, tmp_path, monkeypatch):
    (tmp_path / "plug_in_of_a_test.py").write_text(
        "def register(registry):\n    registry.MODELS.add('stranger', 'plug_in_of_a_test:register')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(MODELS, "places", dict(MODELS.places))
    reads = plugins(one="plug_in_of_a_test:register")
    assert "stranger" in MODELS and "stranger" in list(MODELS) and reads == [registry.GROUP]


def test_functions_are_read_from_source_that_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "recipes_of_a_test.py").write_text(
        "raise RuntimeError('this module was run')\n"
        'def one_run() -> Recipe:\n    """What it is.\n\n    More."""\n'
        "def other_run() -> Recipe[Config]: ...\n"
        'third_run = run("A row.", print, 3)\n'
        "def takes_something(size: int) -> Recipe: ...\n"
        "def gives_something_else() -> int: ...\n"
        "def _private() -> Recipe: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    runs = Registry("run")
    runs.add_functions("recipes_of_a_test", group="Tests")
    assert list(runs.places) == ["one-run", "other-run", "third-run"]
    assert runs.place("one-run") == Place("recipes_of_a_test", "one_run", "Tests")
    assert [runs.place(name).summary() for name in runs.places] == ["What it is.", "", "A row."]
    with pytest.raises(UserError, match=r"no module 'recipes_of_nobody'"):
        runs.add_functions("recipes_of_nobody", group="Tests")


def test_importing_the_package_is_cheap():
    """Neither torch nor more than five modules of its own; a list of names needs no torch either."""
    code = ("import sys, tokenfield\nown = [m for m in sys.modules if m.split('.')[0] == 'tokenfield']\n"
            "from tokenfield.registry import MODELS, RECIPES\nlist(MODELS), list(RECIPES)\n"
            "print(len(own), 'torch' in sys.modules)")
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own, torch = process.stdout.split()
    assert int(own) <= 5 and torch == "False"
