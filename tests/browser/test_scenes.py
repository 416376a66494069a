"""What is written for the page: tokens without loss, where tokens act, folders whole or not at all, plain refusals."""

import json
import socket
import threading
from urllib.request import urlopen

import numpy as np
import pytest
import torch

from tokenfield.browser import command
from tokenfield.browser.command import HOST, server_of
from tokenfield.browser.page import CONTENTS, write_page
from tokenfield.browser.scenes import Subject, globe, light_field, places_of, whole_tokens, write_tokens
from tokenfield.data.pictures import write_picture
from tokenfield.earth.globe import Globe, pack
from tokenfield.earth.models import GriddedLainrConfig
from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.models import pretrained
from tokenfield.models.lainr import LainrConfig
from tokenfield.views.light_field import LightField
from tokenfield.views.models.lainr_views import LainrViewsConfig
from tokenfield.views.viewer.orbits import pose_at


@pytest.fixture(scope="module")
def lainr():
    return pretrained.load("lainr-photos")


@pytest.mark.parametrize("half", [True, False])
def test_tokens_are_stored_in_as_few_bytes_as_hold_them(half, tmp_path):
    tokens = torch.randn(3, 5, 7)
    tokens = tokens.half().float() if half else tokens
    about = write_tokens(tokens, tmp_path, "some.tokens")
    assert about["dtype"] == ("float16" if half else "float32") and about["shape"] == [3, 5, 7]
    stored = np.fromfile(tmp_path / "some.tokens", about["dtype"]).astype(np.float32)
    assert (torch.from_numpy(stored).view(3, 5, 7) == tokens).all()


def test_a_prefix_decodes_as_the_whole_token_with_zeros():
    field = Field.of(pretrained.load("photos-ladder"), torch.rand(3, 16, 24), rate=1 / 8)
    assert field.tokens.shape[-1] == 24 and whole_tokens(field).shape[-1] == 96
    assert (whole_tokens(field)[..., 24:] == 0).all()


def test_tokens_act_inside_their_tiles(lainr):
    field = Field.of(lainr, torch.rand(3, 70, 100))
    places = torch.tensor(places_of(field, field.domain)).view(*field.domain.shape, 64, 3)
    for (row, column), tile in np.ndenumerate(np.empty(field.domain.shape)):
        low = torch.tensor([axis.starts[k] for axis, k in zip(field.domain.axes, (row, column), strict=True)])
        centres = places[row, column, :, :2]
        assert ((centres >= low) & (centres <= low + 64)).all(), tile
        assert centres.std(0).min() > 8  # trained with the local start: all over the tile


def test_a_page_holds_fields_of_several_models(lainr, tmp_path):
    picture = torch.rand(3, 30, 41)
    lattice = Field.of(pretrained.load("photos-s"), picture)
    subjects = [Subject("a", Field.of(lainr, picture), picture), Subject("b", lattice)]
    write_page(subjects, tmp_path / "page")
    contents = json.loads((tmp_path / "page" / CONTENTS).read_text())
    assert [field["kind"] for field in contents["fields"]] == ["tiles", "lattice"]
    for model in contents["models"].values():
        for file in (model["weights"], *(f"{model['folder']}{name}.onnx" for name in model["networks"])):
            assert (tmp_path / "page" / file).stat().st_size > 0
    assert (tmp_path / "page" / contents["fields"][0]["photograph"]).exists()
    assert "photograph" not in contents["fields"][1]


def test_a_page_that_cannot_be_written_leaves_nothing(model, tmp_path, monkeypatch):
    """A model of its own needs graphs of its own, and the packages that make them."""
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    field = Field.of(pretrained.load(model), torch.rand(3, 12, 20))
    with pytest.raises(UserError, match=r"tokenfield\[onnx\]"):
        write_page([Subject("a", field)], tmp_path / "page")
    assert list(tmp_path.iterdir()) == []


def test_the_server_isolates_the_page_and_lists_no_folders(tmp_path):
    (tmp_path / "a.mjs").write_text("1")
    with server_of(tmp_path, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with urlopen(f"http://{HOST}:{server.server_port}/a.mjs") as answer:
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert answer.headers["Content-Type"] == "text/javascript"
        with pytest.raises(OSError, match="404"):
            urlopen(f"http://{HOST}:{server.server_port}/")
        for request, said in ((b"GET /a.mjs HTTP/1.1\r\nHost: example.org", b" 421 "),
                              (b"GET /a.mjs HTTP/1.1", b" 421 "),
                              (b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost", b" 404 "),
                              (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost", b" 404 "),
                              (b"POST / HTTP/1.1\r\nHost: localhost", b" 501 "), (b"\xff\0 nonsense", b" 400 ")):
            with socket.create_connection((HOST, server.server_port), timeout=5) as client:
                client.sendall(request + b"\r\nContent-Length: 9\r\n\r\nGET / x\r\n")
                answer = client.makefile("rb").read()  # to its end: what follows a body is not answered
            assert said in answer.partition(b"\r\n")[0] and answer.count(b"HTTP/1.1 ") == 1
        with pytest.raises(UserError, match="cannot listen"):
            server_of(tmp_path, server.server_port)
        server.shutdown()


def test_command_writes_a_folder_for_any_web_server(run, photo, tmp_path):
    outcome = run("view", photo, "--out", tmp_path / "page", "--json", tmp_path / "about.json")
    assert outcome.code == 0 and (tmp_path / "page" / "index.html").exists()
    assert json.loads((tmp_path / "about.json").read_text())["fields"] == ["photo"]
    again = run("view", photo, "--out", tmp_path / "page")
    assert again.code == 1 and "exists already" in again.err and len(again.lines) == 1


def test_a_photograph_is_of_one_field(run, folder, photo):
    outcome = run("view", folder, "--photograph", photo)
    assert outcome.code == 1 and "--photograph is for one field" in outcome.err


def test_a_photograph_of_another_size_is_refused(run, photo, tmp_path):
    assert run("encode", photo, "-o", tmp_path / "a.field").code == 0
    write_picture(tmp_path / "other.png", torch.rand(3, 9, 9))
    outcome = run("view", tmp_path / "a.field", "--photograph", tmp_path / "other.png")
    assert outcome.code == 1 and "9 x 9 pixels" in outcome.lines[-1]


@pytest.mark.parametrize("name, system", [("photos-codec", "lapped"), ("photos-zoom", "liif")])
def test_a_field_is_shown_in_its_own_tokens(run, photo, tmp_path, name, system):
    """The first is what `tokenfield encode` makes by default."""
    assert run("encode", photo, "-o", tmp_path / "a.field", "--model", name).code == 0
    outcome = run("view", tmp_path / "a.field", "--photograph", photo, "--out", tmp_path / "page")
    assert outcome.code == 0 and not outcome.err
    contents = json.loads((tmp_path / "page" / CONTENTS).read_text())
    assert [model["system"] for model in contents["models"].values()] == [system]


def test_nothing_to_show_is_said(run):
    outcome = run("view")
    assert outcome.code == 1 and "no field to show" in outcome.err


def test_of_several_files_the_others_are_shown(run, photo, tmp_path):
    (tmp_path / "broken.field").write_text("x")
    outcome = run("view", photo, tmp_path / "broken.field", "--out", tmp_path / "page")
    assert outcome.code == 3 and "skipped 1 of 2: broken.field" in outcome.err
    assert len(json.loads((tmp_path / "page" / CONTENTS).read_text())["fields"]) == 1


@pytest.mark.parametrize("terminal, display, expected", [(True, ":0", True), (True, "", False), (False, ":0", False)])
def test_browsers_open_for_somebody_who_sees_them(monkeypatch, terminal, display, expected):
    opened = []
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert command.open_browser("http://x") is expected and bool(opened) is expected


def test_an_object_is_seen_from_where_its_camera_stands(tmp_path):
    sizes = LainrConfig(size=(8, 8), patch=4, padding=0, num_latents=5, latent_dim=8, encoder_dim=12, encoder_depth=1,
                        encoder_heads=3, dim=8, feature_dim=24)
    domain = LightField.at(pose_at(-70, 35, 3.5), 0.8, (8, 8))
    entry = light_field(Field(LainrViewsConfig(sizes, 3).build(), torch.randn(5, 8), domain), 0, tmp_path)
    seen = [entry[name] for name in ("azimuth", "elevation", "distance", "angle")]
    assert seen == pytest.approx([-70, 35, 3.5, 0.8], abs=1e-4)


def test_a_globe_says_units_ranges_and_what_is_missing(tmp_path):
    sizes = LainrConfig(size=(6, 12), patch=2, padding=0, num_latents=5, latent_dim=8, encoder_dim=12, encoder_depth=1,
                        encoder_heads=3, dim=8, feature_dim=24)
    missing = torch.zeros(1, 6, 12, dtype=torch.bool)
    missing[0, 2, 3] = True
    domain = Globe((6, 12), (6, 12), (75.0, -75.0, 6.0), (15.0, 345.0, 12.0), ("t2m",), ("K",), (280.0,), (0.05,),
                   pack(missing))
    field = Field(GriddedLainrConfig(lainr=sizes).build(), torch.randn(5, 8), domain)
    entry = globe(field, 3, tmp_path)
    assert entry["sphere"] and entry["units"] == ["K"] and entry["latitudes"] == [75, -75]
    values = domain.native(field)[~missing]
    assert values.min() <= entry["low"][0] <= entry["high"][0] <= values.max()
    known = np.fromfile(tmp_path / entry["maskFile"], np.uint8).reshape(6, 12)
    assert known.sum() == 71 and known[2, 3] == 0
