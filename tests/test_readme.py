"""The README's Python runs as it stands, that of the results too, and every command on a page is one that parses."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from skimage import data

from tokenfield.cli import app
from tokenfield.data import demo_pictures, write_picture

ROOT = Path(__file__).parents[1]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in [
    ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "results").rglob("README.md"))]}
THEIRS = {"docs/log.md", "docs/add-a-system.md"}
"""Pages whose commands are not this installation's: of their day, or of a package that a test of its own installs."""
LONGEST = 120


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


def command_lines() -> list[tuple[str, str]]:
    """Every `tokenfield` command of a page's shell blocks, without its comment, and those in backticks with options.

    Continued lines are joined, and a command in backticks may be broken over lines. Placeholders are words that are
    spelt in capitals or end in dots: what cannot be parsed as it stands is left to the reader.
    """
    lines_of_pages = []
    for page in PAGES.keys() - THEIRS:
        shell = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
        lines = re.findall(r"^ *(tokenfield [^#\n]*)", shell, re.MULTILINE)
        prose = re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL)
        lines += [" ".join(line.split()) for line in re.findall(r"`(tokenfield [\w-]+ [^`]* --?[^`]*)`", prose)]
        lines_of_pages += [(page, line.strip()) for line in lines if not re.search(r"\$|\.\.\.|\|", line)]
    return sorted(set(lines_of_pages))  # a loop's variable is no name


def run_blocks(page: str) -> None:
    """Execute a page's Python in one namespace, top to bottom."""
    assert blocks(page, "python")
    namespace: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), namespace)


def test_the_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= LONGEST


def test_the_readme_runs(tmp_path, monkeypatch):
    """With a photograph of an odd size, within one tile: where tiles overlap, values cost four times as much."""
    monkeypatch.chdir(tmp_path)
    photo = torch.from_numpy(data.chelsea()[:61, :53].copy()).permute(2, 0, 1) / 255
    write_picture(tmp_path / "photo.jpg", photo)
    run_blocks("README.md")
    assert (tmp_path / "photo.field").exists()


def test_the_results_run(monkeypatch, capsys):
    """With one photograph in place of eight; the page's numbers are of all."""
    monkeypatch.setattr(demo_pictures, "HELD_OUT", {"coffee": demo_pictures.HELD_OUT["coffee"]})
    run_blocks("docs/results.md")
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_derivatives_and_edits_run():
    run_blocks("docs/calculus.md")


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_commands_parse(page, line):
    """The command exists and takes these options. Nothing is run."""
    assert callable(app.parse(shlex.split(line)[1:]))


@pytest.mark.parametrize("page", sorted(PAGES))
def test_modules_exist(page):
    """`python -m experiments.tables` and the like."""
    for name in re.findall(r"python -m ((?:tokenfield|experiments|benchmarks)[\w.]*)", PAGES[page]):
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), f"{page} runs {name}: no such file"
