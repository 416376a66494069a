"""Pages: text is escaped, assets lie inside, and a wheel holds every file of the folders called assets."""

import json
import tomllib
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup
from PIL import Image

import tokenfield
from tokenfield.evaluation import pages

ROOT = Path(tokenfield.__file__).resolve().parents[1]


@pytest.fixture
def template(tmp_path):
    (tmp_path / "page.js").write_text("if (1 < 2 && a) {{ b }}")
    path = tmp_path / "small.html"
    path.write_text('{% extends "page.html" %}{% block main %}{{ text }}{% endblock %}'
                    '{% block script %}{{ asset("page.js") }}{% endblock %}')
    return path


def test_text_is_escaped_and_assets_are_taken_as_they_are(template, tmp_path):
    page = pages.render(template, text="<b> & 'c'")
    assert "&lt;b&gt; &amp;" in page and "if (1 < 2 && a) {{ b }}" in page
    assert (pages.ASSETS / "page.css").read_text() in page
    assert "<b>" in pages.render(template, text=Markup("<b>"))
    pages.write_page(tmp_path / "out" / "a.html", template, text="x")
    assert (tmp_path / "out" / "a.html").read_text().startswith("<!doctype html>")
    with pytest.raises(UndefinedError, match="text"):
        pages.render(template)


def test_names_cannot_leave_the_script_they_are_data_of():
    name = "</script><!--<script>&amp;\u2028\"'"
    text = pages.script_data({"name": name})
    assert not set("<>&\u2028") & set(text) and json.loads(text) == {"name": name}


def test_a_picture_in_a_page_is_the_picture():
    assert pages.data_address(Image.new("L", (3, 2))).startswith("data:image/webp;base64,")


def test_the_wheel_holds_every_asset():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    package = ROOT / "tokenfield"
    packed = {path for pattern in settings["package-data"]["tokenfield"] for path in package.glob(pattern)}
    assets = {path for path in package.rglob("assets/*") if path.is_file()}
    assert len(assets) >= 7 and assets <= packed
    assert {".css", ".html", ".js"} <= {path.suffix for path in assets}
    assert package / "models" / "weights" / "photos-s" / "model.safetensors" in packed
