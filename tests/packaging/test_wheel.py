"""The wheel and the sdist, built offline and installed where there is nothing but what they need.

The environment is a virtual one whose site-packages holds links to the installed files of what the core needs, and of
what that needs, and nothing else: no extra, no test package. It is made in a second, where pip would unpack torch.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LARGEST = 30 * 2**20
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def built(kind: str, target: Path, source: Path) -> Path:
    """`build_wheel` or `build_sdist` of a folder of sources."""
    done = subprocess.run([sys.executable, "-c", BUILD, kind, target], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return target / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """Made from a copy of what git tracks, so that no earlier build leaks in."""
    source, target = (tmp_path_factory.mktemp(name) for name in ("source", "sdist"))
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(ROOT / name, source / name) if same_disk(source) else (source / name).write_bytes(
                (ROOT / name).read_bytes()
            )
    return built("build_sdist", target, source)


def same_disk(folder: Path) -> bool:
    """Whether files of the repository can be linked there."""
    return folder.stat().st_dev == ROOT.stat().st_dev


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    """Made from the sdist, as an installer without a wheel would."""
    source, target = (tmp_path_factory.mktemp(name) for name in ("unpacked", "wheel"))
    shutil.unpack_archive(sdist, source)
    return built("build_wheel", target, next(source.iterdir()))


def closure(names: list[str]) -> set[str]:
    """Distributions that these need, without extras, and what those need."""
    found: set[str] = set()
    while names:
        name = names.pop()
        if name in found:
            continue
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        for requirement in map(Requirement, requires):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                names.append(requirement.name)
                for extra in requirement.extras:
                    names += [
                        one.name
                        for one in map(Requirement, distribution(requirement.name).requires or [])
                        if one.marker and one.marker.evaluate({"extra": extra})
                    ]
    return found


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """The interpreter of an environment with the wheel and the core's dependencies alone."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python3*/site-packages"))
    metadata = (
        zipfile.ZipFile(wheel)
        .read(next(name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA")))
        .decode()
    )
    core = [Requirement(line) for line in re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)]
    for name in closure([one.name for one in core if one.marker is None or one.marker.evaluate({"extra": ""})]):
        installed = distribution(name)
        for top in {file.parts[0] for file in installed.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(installed.locate_file(top))))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-index",
            "--no-compile",
            "--target",
            site,
            wheel,
        ],
        check=True,
    )
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def run(python, tmp_path_factory):
    """`run("import x")`: code in that environment, far from the repository; what it printed, and its exit code."""
    home = tmp_path_factory.mktemp("home")
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "TOKENFIELD_CACHE": str(home), "HOME": str(home)}

    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([python, "-c", code], cwd=home, env=environment, capture_output=True, text=True)

    return run


def test_wheel_is_small_and_whole(wheel):
    assert wheel.stat().st_size < LARGEST, f"{wheel.stat().st_size / 2**20:.1f} MiB"
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tokenfield"}
    assert "tokenfield/py.typed" in names and "tokenfield/models/weights/photos-s/model.safetensors" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_import_is_light(run):
    """Commands answer before torch is there."""
    code = (
        "import sys, time; begun = time.process_time(); import tokenfield, tokenfield.cli.app as app; "
        "app.main(['--help']); print(time.process_time() - begun, 'torch' in sys.modules, file=sys.stderr)"
    )
    seconds, torch = run(code).stderr.split()[-2:]
    assert torch == "False" and float(seconds) < 2.0, f"{seconds} s of processor time, torch {torch}"


SCRIPT = """
import contextlib, io, json, sys, wave
from pathlib import Path
import tokenfield
from tokenfield.cli.app import main
from tokenfield.data.demo_pictures import held_out
from tokenfield.earth.recipes import lainr_climatology
from tokenfield.registry import COMMANDS
from tokenfield.sound.recipes import lainr_speech

tokenfield.write_picture("photos/a.png", held_out("chelsea", size=64))
tokenfield.write_picture("photos/b.png", held_out("coffee", size=64))
for i in range(7):
    tokenfield.write_picture(f"many/{i}.png", held_out("coffee")[:, i : i + 32, i : i + 32])
Path("sea.nc").write_bytes(b"CDF")
tokenfield.save(lainr_climatology().model.build(), "earth")
tokenfield.save(lainr_speech().model.build(), "voice")
with wave.open("tone.wav", "wb") as file:
    file.setparams((1, 2, 16000, 0, "NONE", ""))
    file.writeframes(bytes(2 * 1600))
Path("mesh.obj").write_text("v 0 0 0\\nv 1 0 0\\nv 0 1 0\\nf 1 2 3\\n")
short = ["--data", "photos", "--steps", "2", "--batch-size", "2", "--workers", "0", "--device", "cpu", "--quiet"]
lines = {
    "demo": ["--help"], "doctor": [], "info": ["photos-s"],
    "encode": ["photos/a.png", "-o", "a.field"], "decode": ["a.field", "-o", "a.png", "--size", "32"],
    "train": ["lainr-photos-64", *short], "evaluate": ["photos-s", "--data", "photos", "--size", "64"],
    "fit": ["photos/a.png", "--steps", "2", "-o", "fitted"], "optimize": ["photos/a.png", "--steps", "2"],
    "explain": ["photos/a.png", "--size", "32", "--tokens", "4", "-o", "explained"],
    "compare": ["lainr", "ipc", "--data", "photos", "--budget", "steps=1", "--pictures", "1"],
    "climate": ["encode", "sea.nc", "--model", "earth", "-o", "fields"],
    "latents": ["photos-s", "photos", "--size", "64", "-o", "latents"],
    "generate": ["samples", "generate-fashion", "--count", "1", "--steps", "1", "-o", "out"],
    "score": ["many", "--reference", "many", "--split", "train", "--size", "32"],
    "import": ["nowhere.pt", "-o", "imported"],
    "completion": ["bash"], "view": ["a.field", "--out", "page"], "export": ["photos-s", "-o", "graphs"],
    "sound": ["encode", "tone.wav", "--model", "voice", "-o", "tone.field"],
    "views": ["render", "mesh.obj", "-o", "views", "--views", "2", "--size", "16"],
}
found = {}
for name in COMMANDS:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([name, *lines.get(name, ["--help"])])
    found[name] = code, err.getvalue()[-400:]
json.dump(found, sys.stdout)
"""


def test_every_command_works_or_names_its_extra(run):
    """In one process, which has the core alone."""
    done = run(SCRIPT)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    extras = {"climate": "earth", "generate": "generation", "score": "generation", "export": "onnx", "views": "meshes"}
    for name, (code, text) in found.items():
        assert "Traceback" not in text, f"{name}: {text}"
        if name in extras:
            assert code == 1 and f"pip install 'tokenfield[{extras[name]}]'" in text.splitlines()[-1], f"{name}: {text}"
        elif name == "import":
            assert code == 1 and "nowhere.pt" in text.splitlines()[-1], f"{name}: {text}"
        else:
            assert code == 0, f"{name}: {text}"


def test_the_command_is_installed(python, run):
    """`tokenfield` and `python -m tokenfield` are one."""
    assert (
        run("import runpy, sys; sys.argv = ['tokenfield', '--version']; runpy.run_module('tokenfield')").returncode == 0
    )
    entry = next(python.parents[1].glob("lib/*/site-packages/tokenfield*.dist-info/entry_points.txt")).read_text()
    assert "tokenfield = tokenfield.cli:main" in entry
