"""The page in a browser: what it decodes equals Python's pixels; drags, zooms, keys, tokens, interpolation.

Pictures of all kinds of systems, an object (rays) and a globe are on one page.
"""

import threading

import numpy as np
import pytest
import torch
from fixtures import smooth

from benchmarks.chromium import PROGRAM, Chromium
from tokenfield.browser.command import HOST, server_of
from tokenfield.browser.page import write_page
from tokenfield.browser.scenes import Subject
from tokenfield.earth.globe import Globe
from tokenfield.earth.maps import orthographic
from tokenfield.earth.models import GriddedLainrConfig
from tokenfield.earth.sphere import unit_vectors
from tokenfield.fields.axis import TileAxis
from tokenfield.fields.field import Field
from tokenfield.metrics import to_8bit
from tokenfield.models import pretrained
from tokenfield.models.lainr import LainrConfig
from tokenfield.views.light_field import LightField, render_from
from tokenfield.views.models.lainr_views import LainrViewsConfig
from tokenfield.views.rays import view_rays
from tokenfield.views.viewer.orbits import pose_at

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine: apt-get install chromium")
HEIGHT, WIDTH = 76, 108
TOLERANCE = 1 / 255 + 1e-6
SIZES = {"patch": 4, "padding": 0, "num_latents": 5, "latent_dim": 8, "encoder_dim": 12, "encoder_depth": 1,
         "encoder_heads": 3, "dim": 8, "feature_dim": 24}
CODEC, ZOOM, OBJECT, GLOBE, HARMONIC = 3, 4, 5, 6, 7
"""Places of subjects."""


@pytest.fixture(scope="module")
def subjects():
    """Two fields of one model and size, one of overlapping tiles, other lattices, an object and two globes."""
    pictures = [smooth(HEIGHT, WIDTH, seed) + 0.1 * torch.rand(3, HEIGHT, WIDTH) for seed in (1, 2)]
    lattice, tiles = pretrained.load("photos-s"), pretrained.load("lainr-photos")
    return [Subject("first", Field.of(lattice, pictures[0].clamp(0, 1)), pictures[0].clamp(0, 1)),
            Subject("second", Field.of(lattice, pictures[1].clamp(0, 1))),
            Subject("tiles", Field.of(tiles, pictures[0][:, :40, :70].clamp(0, 1))),
            *(Subject(name, Field.of(name, pictures[0].clamp(0, 1))) for name in ("photos-codec", "photos-zoom")),
            Subject("object", an_object()), Subject("globe", a_globe()), Subject("harmonic", a_harmonic_globe())]


def an_object():
    """Not trained, but with colours that differ from ray to ray."""
    torch.manual_seed(0)
    model = LainrViewsConfig(LainrConfig(size=(8, 8), **SIZES), 3).build().eval()
    return Field(model, torch.randn(5, 8), LightField.at(pose_at(30, 20, 4.0), 0.8, (8, 8)))


def a_globe():
    torch.manual_seed(0)
    model = GriddedLainrConfig(lainr=LainrConfig(size=(8, 16), **SIZES)).build().eval()
    return Field(model, torch.randn(5, 8), on_grid((8, 16)))


def a_harmonic_globe():
    """Of the packaged model: every harmonic has a part in it."""
    model = pretrained.load("earth-climate")
    return Field(model, torch.randn(1024, 1) / 32, on_grid(model.input_size))


def on_grid(encoded):
    """8 x 16 cells, of a model whose encoder has so many rows and columns."""
    return Globe((8, 16), encoded, (78.75, -78.75, 8.0), (11.25, 348.75, 16.0), ("t2m",), ("K",), (280.0,), (0.05,))


@pytest.fixture(scope="module")
def browser(subjects, tmp_path_factory):
    """A Chromium before the page."""
    folder = tmp_path_factory.mktemp("page") / "page"
    write_page(subjects, folder)
    with server_of(folder, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = Chromium(tmp_path_factory.mktemp("profile"), 700, 500)
        try:
            browser.open(f"http://{HOST}:{server.server_port}/")
            browser.until("window.page?.shown?.whole")
            yield browser
        finally:
            browser.close()
            server.shutdown()


@pytest.fixture
def page(browser):
    """The page as it is after it was opened."""
    browser.evaluate("window.page.open(0)")
    browser.until("window.page.shown.whole")
    return browser


def decoded(page, level, i, j):
    """A tile (3, side, side) in [0, 1] that the page decodes."""
    tile = f"{{level: {level}, i: {i}, j: {j}}}"
    side, rgba = page.evaluate(f"page.decoder.ask('tile', {{tile: {tile}}}).then((t) => [t.side, [...t.rgba]])")
    return torch.tensor(rgba).view(side, side, 4).permute(2, 0, 1)[:3] / 255


def same_pixels(tile, field, level, i, j):
    """Compares a tile with what the field renders there."""
    height, width = (round(side * 2.0**level) for side in field.native_size)
    side = tile.shape[-1]
    expected = to_8bit(field.render(height, width)[:, i * side : (i + 1) * side, j * side : (j + 1) * side])
    tile = tile[:, : expected.shape[1], : expected.shape[2]]
    torch.testing.assert_close(tile, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("level, i, j", [(0, 0, 0), (-1, 0, 0), (2, 1, 1), (5, 3, 5), (8, 20, 30)])
def test_tiles_of_every_level_are_python_s_pixels(page, subjects, level, i, j):
    if level < 3:
        return same_pixels(decoded(page, level, i, j), subjects[0].field, level, i, j)
    tile, field = decoded(page, level, i, j), subjects[0].field  # too large to render whole
    side = tile.shape[-1]
    box = field.pixel_box(*(at * side / 2**level for at in (i, j, i + 1, j + 1)))
    torch.testing.assert_close(tile, to_8bit(field.crop(box, (side, side))), rtol=0, atol=TOLERANCE)


def test_overlapping_tiles_are_blended_alike(page, subjects):
    page.evaluate("window.page.open(2)")
    for level, i, j in ((0, 0, 0), (0, 0, 1), (1, 1, 2)):
        same_pixels(decoded(page, level, i, j), subjects[2].field, level, i, j)


@pytest.mark.parametrize("subject", [CODEC, ZOOM])
@pytest.mark.parametrize("level, i, j", [(0, 0, 0), (-1, 0, 0), (1, 0, 1), (4, 2, 3)])
def test_lattices_of_every_kind(page, subjects, subject, level, i, j):
    page.evaluate(f"window.page.open({subject})")
    same_pixels(decoded(page, level, i, j), subjects[subject].field, level, i, j)


def seen(page):
    """RGBA (24, 24, 4) of the object or globe as the page shows it now."""
    rgba = page.evaluate("page.decoder.ask('view', {view: page.shown.view, side: 24}).then((v) => [...v.rgba])")
    return torch.tensor(rgba).view(24, 24, 4)


def test_an_object_is_turned_and_seen_alike(page, subjects):
    page.evaluate(f"window.page.open({OBJECT})")
    page.until("page.shown.whole")
    field = subjects[OBJECT].field
    for turned in (False, True):
        if turned:
            page.drag((200, 200), (260, 230))
            page.until("page.shown.whole")
        view = page.evaluate("page.shown.view")
        assert ((view["azimuth"], view["elevation"]) == pytest.approx((30, 20), abs=1e-4)) is not turned
        pose = pose_at(view["azimuth"], view["elevation"], 4.0)
        expected = to_8bit(render_from(field, pose[None], (24, 24))[0])
        torch.testing.assert_close(seen(page)[..., :3].movedim(-1, 0) / 255, expected, rtol=0, atol=TOLERANCE)
    page.click(250, 250)
    page.until("document.querySelectorAll('#attended button').length === 5")


@pytest.mark.parametrize("subject", [GLOBE, HARMONIC])
def test_a_globe_is_turned_and_has_the_same_values_and_colours(page, subjects, subject):
    page.evaluate(f"window.page.open({subject})")
    page.until("page.shown.whole")
    page.drag((200, 200), (230, 190))
    page.until("page.shown.whole")
    view, field = page.evaluate("page.shown.view"), subjects[subject].field
    places = orthographic(24, (view["latitude"], view["longitude"]))
    visible = ~places.isnan().any(-1)
    values = field.domain.at(field, places[visible].float())[:, 0]
    place = [48.0, 11.0]
    answer = page.evaluate(f"page.decoder.ask('value', {{place: {place}, variable: 0}})")["value"]
    assert answer == pytest.approx(field.domain.at(field, torch.tensor([place])).item(), abs=1e-3)
    drawn = seen(page)
    assert ((drawn[..., 3] == 255) == visible).all()
    low, high = page.evaluate(f"(({{low, high}}) => [low[0], high[0]])(page.fields[{subject}])")
    shares = ((values - low) / (high - low)).tolist()
    colours = page.evaluate(f"import('./colour.js').then((c) => {shares}.map((t) => c.shade(t)))")
    torch.testing.assert_close(drawn[visible].float(), torch.tensor(colours), rtol=0, atol=1)


def test_a_token_is_chosen_by_its_number_where_nothing_attends(page, subjects):
    page.evaluate(f"window.page.open({ZOOM})")
    page.evaluate("(({x, y}) => page.tokens.ask(x, y))(page.shown.place(3.5, 7.5))")
    assert page.evaluate("page.tokens.selected") == 3 * WIDTH + 7
    page.evaluate("""(() => { const chosen = document.getElementById("chosen"); chosen.value = 5;
        chosen.dispatchEvent(new Event("change")); })()""")
    page.until("page.tokens.selected === 5 && document.getElementById('token').textContent.includes('column 5')")


def test_the_canvas_shows_the_picture_s_own_pixels(page, subjects):
    page.evaluate("document.getElementById('actual').click()")
    page.until("page.shown.whole && page.shown.level === 0")
    shown = page.evaluate(f"""(() => {{
        page.stage.drawNow();
        const {{ x, y }} = page.shown.place(0, 0);
        return [...document.getElementById("view").getContext("2d").getImageData(Math.round(x), Math.round(y),
            {WIDTH}, {HEIGHT}).data];
    }})()""")
    pixels = torch.tensor(shown).view(HEIGHT, WIDTH, 4).permute(2, 0, 1)[:3] / 255
    torch.testing.assert_close(pixels, to_8bit(subjects[0].field.render(HEIGHT, WIDTH)), rtol=0, atol=TOLERANCE)


def test_a_drag_moves_and_a_wheel_zooms_about_the_mouse(page):
    box = page.evaluate("(({x, y}) => [x, y])(document.getElementById('view').getBoundingClientRect())")
    at = (round(box[0]) + 150, round(box[1]) + 120)  # a mouse is on whole pixels
    local = ", ".join(str(a - b) for a, b in zip(at, box, strict=True))
    before = page.evaluate("[page.shown.x, page.shown.y, page.shown.scale]")
    page.drag(at, (at[0] + 40, at[1] - 30))
    after = page.evaluate("[page.shown.x, page.shown.y, page.shown.scale]")
    np.testing.assert_allclose(after, [before[0] - 40 / before[2], before[1] + 30 / before[2], before[2]], atol=1e-9)
    fixed = page.evaluate(f"page.shown.at({local})")
    page.wheel(*at, -480)
    page.until(f"page.shown.scale > {3.9 * before[2]}")
    again = page.evaluate(f"page.shown.at({local})")
    np.testing.assert_allclose([again["x"], again["y"]], [fixed["x"], fixed["y"]], atol=1e-6)
    page.until("page.shown.whole && page.shown.level >= 4")


def test_keys_move_zoom_and_announce(page):
    page.evaluate("document.getElementById('view').focus()")
    before = page.evaluate("page.shown.scale")
    page.key("+")
    page.until(f"Math.abs(page.shown.scale / {before} - Math.SQRT2) < 1e-9")
    page.key("c")
    page.until("document.getElementById('status').textContent.includes('photograph')")
    assert not page.evaluate("document.getElementById('divider').hidden")


def test_a_click_names_the_tokens_of_a_pixel(page, subjects):
    field = subjects[0].field
    page.evaluate(f"(({{x, y}}) => page.tokens.ask(x, y))(page.shown.place({HEIGHT} * 0.4, {WIDTH} * 0.3))")
    found = dict(page.evaluate("page.tokens.found.map(({token, weight}) => [token, weight])"))
    padded = [n * field.model.cell for n in field.tokens.shape[:2]]  # the lattice is a little larger than the picture
    coords = torch.tensor([[2 * HEIGHT * 0.4 / padded[0] - 1, 2 * WIDTH * 0.3 / padded[1] - 1]])
    weights = field.model.attention(field.tokens[None], coords)[0, 0]
    assert sorted(found) == weights.nonzero()[:, 0].tolist()
    for token, weight in found.items():
        assert weight == pytest.approx(weights[token].item(), abs=1e-4)
    listed = page.evaluate("[...document.querySelectorAll('#attended button')].map((b) => Number(b.dataset.token))")
    assert listed == [token for token, weight in sorted(found.items(), key=lambda pair: -pair[1]) if weight > 5e-4]


def test_a_token_s_value_changes_what_it_should(page, subjects):
    field = subjects[0].field
    tokens = field.tokens.clone()
    tokens[3, 5, 7] += 2
    token = 3 * tokens.shape[1] + 5
    page.evaluate(f"page.decoder.ask('edit', {{token: {token}, component: 7, value: {tokens[3, 5, 7].item()}}})")
    same_pixels(decoded(page, 0, 0, 0), Field(field.model, tokens, field.domain), 0, 0, 0)
    page.evaluate("page.tokens.restore()")
    same_pixels(decoded(page, 0, 0, 0), field, 0, 0, 0)


def test_two_fields_are_interpolated(page, subjects):
    first, second = (subject.field for subject in subjects[:2])
    page.evaluate("""(() => { const mix = document.getElementById("mix"); mix.value = 0.25;
        mix.dispatchEvent(new Event("input")); })()""")
    page.until("page.mixing === false && page.shown.whole")
    between = Field(first.model, first.tokens + 0.25 * (second.tokens - first.tokens), first.domain)
    same_pixels(decoded(page, 0, 0, 0), between, 0, 0, 0)


def test_nothing_comes_from_elsewhere(page):
    assert page.evaluate("performance.getEntriesByType('resource').every((e) => e.name.startsWith(location.origin) "
                         "|| e.name.startsWith('blob:'))")


def test_every_control_has_a_name(page):
    nameless = page.evaluate("""[...document.querySelectorAll("button, input, select, canvas, [role=slider]")]
        .filter((e) => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim())).map((e) => e.id)""")
    assert nameless == []


def test_a_phone_s_width_needs_no_scrolling_sideways(page):
    page.ask("Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=1, mobile=True)
    try:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.getElementById('view').clientHeight > 300")
    finally:
        page.ask("Emulation.setDeviceMetricsOverride", width=700, height=500, deviceScaleFactor=1, mobile=False)


# Geometry, against Python's.


def geometry(page, expression):
    return page.evaluate(f"import('./geometry.js').then((g) => {expression})")


def test_cameras_and_rays(page):
    pose = pose_at(30, 20, 4.0).double()
    angle, at = torch.tensor([0.8]).double(), torch.tensor([[0.3, -0.6]]).double()
    origins, directions = view_rays(pose[None], angle, at, 5, 5)
    seen = geometry(page, "((c) => [c.origin, g.direction(c, 0.3, -0.6, Math.tan(0.4), 1)])(g.camera(30, 20, 4))")
    np.testing.assert_allclose(seen, torch.stack([origins[0, 0], directions[0, 0]]).numpy(), atol=1e-6)


def test_globes(page):
    places = orthographic(6, (20.0, 250.0))
    script = """[...Array(36).keys()].map((k) =>
        g.orthographic(1 - 2 * (Math.floor(k / 6) + .5) / 6, 2 * (k % 6 + .5) / 6 - 1, 20, 250))"""
    for mine, own in zip(geometry(page, script), places.flatten(0, 1), strict=True):
        assert mine is None if own.isnan().any() else np.allclose(mine, own, atol=1e-3)
    np.testing.assert_allclose(geometry(page, "g.earthCoordinates([48, 11], true)"),
                               unit_vectors(torch.tensor([48.0, 11.0]).double()), atol=1e-9)


@pytest.mark.parametrize("length", [40, 70, 211])
def test_partition_of_unity(page, length):
    axis = TileAxis(length, 64, 1 / 8)
    at = torch.linspace(0, length, 57, dtype=torch.float64)
    first, weight = axis.cover(at)
    about = f"{{starts: {list(axis.starts)}, tile: 64, shared: {axis.shared}}}"
    mine = geometry(page, f"{at.tolist()}.map((at) => g.cover({about}, at))")
    assert [k for k, _ in mine] == first.tolist()
    np.testing.assert_allclose([w for _, w in mine], weight, atol=1e-9)
