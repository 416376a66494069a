"""The page in a browser: what it decodes equals Python's pixels; drags, fingers, zooms, keys, tokens, interpolation.

Pictures of all kinds of systems, an object (rays) and a globe are on one page (`stage.py`).
"""

import json

import numpy as np
import pytest
import torch
from stage import CODEC, GLOBE, HARMONIC, HEIGHT, OBJECT, WIDTH, ZOOM

from tokenfield.earth.maps import orthographic
from tokenfield.earth.sphere import unit_vectors
from tokenfield.evaluation.figures import bicubic
from tokenfield.fields.axis import TileAxis
from tokenfield.fields.field import Field
from tokenfield.metrics import to_8bit
from tokenfield.views.light_field import render_from
from tokenfield.views.rays import view_rays
from tokenfield.views.viewer.orbits import pose_at

TOLERANCE = 1 / 255 + 1e-6


def decoded(engine, level, i, j):
    """A tile (3, side, side) in [0, 1] that the page decodes."""
    tile = f"{{level: {level}, i: {i}, j: {j}}}"
    side, rgba = engine.evaluate(f"page.decoder.ask('tile', {{tile: {tile}}}).then((t) => [t.side, [...t.rgba]])")
    return torch.tensor(rgba).view(side, side, 4).permute(2, 0, 1)[:3] / 255


def same_pixels(tile, field, level, i, j):
    """Compares a tile with what the field renders there."""
    height, width = (round(side * 2.0**level) for side in field.native_size)
    side = tile.shape[-1]
    expected = to_8bit(field.render(height, width)[:, i * side : (i + 1) * side, j * side : (j + 1) * side])
    tile = tile[:, : expected.shape[1], : expected.shape[2]]
    torch.testing.assert_close(tile, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("level, i, j", [(0, 0, 0), (-1, 0, 0), (2, 1, 1), (5, 3, 5), (8, 20, 30)])
def test_tiles_of_every_level_are_python_s_pixels(engine, subjects, level, i, j):
    if level < 3:
        return same_pixels(decoded(engine, level, i, j), subjects[0].field, level, i, j)
    tile, field = decoded(engine, level, i, j), subjects[0].field  # too large to render whole
    side = tile.shape[-1]
    box = field.pixel_box(*(at * side / 2**level for at in (i, j, i + 1, j + 1)))
    torch.testing.assert_close(tile, to_8bit(field.crop(box, (side, side))), rtol=0, atol=TOLERANCE)


def test_overlapping_tiles_are_blended_alike(engine, subjects):
    engine.evaluate("page.open(2)")
    for level, i, j in ((0, 0, 0), (0, 0, 1), (1, 1, 2)):
        same_pixels(decoded(engine, level, i, j), subjects[2].field, level, i, j)


@pytest.mark.parametrize("subject", [CODEC, ZOOM])
@pytest.mark.parametrize("level, i, j", [(0, 0, 0), (-1, 0, 0), (1, 0, 1), (4, 2, 3)])
def test_lattices_of_every_kind(engine, subjects, subject, level, i, j):
    engine.evaluate(f"page.open({subject})")
    same_pixels(decoded(engine, level, i, j), subjects[subject].field, level, i, j)


def seen(engine, **view):
    """RGBA (24, 24, 4) of the object or globe from somewhere."""
    view = json.dumps(view | {"zoom": 1, "variable": 0})
    rgba = engine.evaluate(f"page.decoder.ask('view', {{view: {view}, side: 24}}).then((v) => [...v.rgba])")
    return torch.tensor(rgba).view(24, 24, 4)


def view_of(page):
    """From where the page shows it now."""
    return {name: at for name, at in page.evaluate("page.shown.view").items() if name not in ("zoom", "variable")}


@pytest.mark.parametrize("azimuth, elevation", [(30, 20), (-110, -35)])
def test_objects_are_seen_alike(engine, subjects, azimuth, elevation):
    engine.evaluate(f"page.open({OBJECT})")
    pose = pose_at(azimuth, elevation, 4.0)
    expected = to_8bit(render_from(subjects[OBJECT].field, pose[None], (24, 24))[0])
    drawn = seen(engine, azimuth=azimuth, elevation=elevation)[..., :3].movedim(-1, 0) / 255
    torch.testing.assert_close(drawn, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("subject", [GLOBE, HARMONIC])
def test_globes_have_the_same_values_and_colours(engine, subjects, subject):
    engine.evaluate(f"page.open({subject})")
    field, place = subjects[subject].field, [48.0, 11.0]
    places = orthographic(24, (-20.0, 130.0))
    visible = ~places.isnan().any(-1)
    values = field.domain.at(field, places[visible].float())[:, 0]
    answer = engine.evaluate(f"page.decoder.ask('value', {{place: {place}, variable: 0}})")["value"]
    assert answer == pytest.approx(field.domain.at(field, torch.tensor([place])).item(), abs=1e-3)
    drawn = seen(engine, latitude=-20, longitude=130)
    assert ((drawn[..., 3] == 255) == visible).all()
    low, high = engine.evaluate(f"(async ({{low, high}}) => [low[0], high[0]])(page.fields[{subject}])")
    shares = ((values - low) / (high - low)).tolist()
    colours = engine.evaluate(f"import('./colour.js').then((c) => {shares}.map((t) => c.shade(t)))")
    torch.testing.assert_close(drawn[visible].float(), torch.tensor(colours), rtol=0, atol=1)


@pytest.mark.parametrize("subject, start", [
    (OBJECT, {"azimuth": 30, "elevation": 20}), (GLOBE, {"latitude": 20, "longitude": 10}),
])
def test_objects_and_globes_are_turned(page, subject, start):
    page.evaluate(f"window.page.open({subject})")
    page.until("page.shown.whole")
    assert view_of(page) == pytest.approx(start, abs=1e-4)
    page.drag((200, 200), (260, 230))
    page.until("page.shown.whole")
    for name, degrees in zip(start, (-60, 30), strict=True) if subject == OBJECT else ():
        side = page.evaluate("page.shown.side")
        assert view_of(page)[name] == pytest.approx(start[name] + degrees * 180 / side, abs=1e-3)
    assert view_of(page) != pytest.approx(start, abs=1)
    page.click(250, 250)
    page.until("document.querySelectorAll('#attended button').length === 5")
    if subject == GLOBE:
        page.mouse("mouseMoved", 251, 250)
        page.until("/^[0-9.]+° [NS], [0-9.]+° E: [0-9.]+ K$/.test(document.getElementById('status').textContent)")


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


def test_two_fingers_zoom(page):
    before = page.evaluate("page.shown.scale")
    try:
        page.ask("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
        for kind, half in (("touchStart", 40), ("touchMove", 60), ("touchMove", 80), ("touchEnd", 0)):
            points = [{"x": 200 + side, "y": 200, "id": k} for k, side in enumerate((-half, half))] if half else []
            page.ask("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    finally:
        page.ask("Emulation.setTouchEmulationEnabled", enabled=False)
    assert page.evaluate("page.shown.scale") == pytest.approx(2 * before, rel=0.02)


def test_the_line_is_dragged_and_bicubic_is_pillow_s(page, subjects):
    page.evaluate("page.comparison.choose('bicubic')")
    stage = page.evaluate("document.getElementById('stage').getBoundingClientRect().toJSON()")
    x, y, width = (stage[name] for name in ("x", "y", "width"))
    page.drag((x + width / 2, y + 60), (x + width / 4, y + 60))
    assert page.evaluate("document.getElementById('divider').ariaValueNow") == "25"
    y, x = ([(k + 0.5) / 2 - 0.5 for k in range(2 * side)] for side in (HEIGHT, WIDTH))
    rgba = page.evaluate(f"""import("./compare.js").then((c) => c.bicubic(page.comparison.source, {y}, {x}))
        .then((made) => [...made.getContext("2d").getImageData(0, 0, {2 * WIDTH}, {2 * HEIGHT}).data])""")
    drawn = torch.tensor(rgba).view(2 * HEIGHT, 2 * WIDTH, 4).permute(2, 0, 1)[:3] / 255
    expected = bicubic(to_8bit(subjects[0].photograph), 2 * HEIGHT, 2 * WIDTH).clamp(0, 1)
    inside = (slice(None), slice(4, -4), slice(4, -4))  # at the border Pillow leaves out what it has not
    torch.testing.assert_close(drawn[inside], expected[inside], rtol=0, atol=TOLERANCE)


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


def test_a_token_s_value_changes_what_it_should(engine, subjects):
    field = subjects[0].field
    tokens = field.tokens.clone()
    tokens[3, 5, 7] += 2
    token = 3 * tokens.shape[1] + 5
    engine.evaluate(f"page.decoder.ask('edit', {{token: {token}, component: 7, value: {tokens[3, 5, 7].item()}}})")
    same_pixels(decoded(engine, 0, 0, 0), Field(field.model, tokens, field.domain), 0, 0, 0)
    engine.evaluate("page.decoder.ask('edit', { token: null })")
    same_pixels(decoded(engine, 0, 0, 0), field, 0, 0, 0)


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


def geometry(engine, expression):
    return engine.evaluate(f"import('./geometry.js').then((g) => {expression})")


def test_cameras_and_rays(node):
    pose = pose_at(30, 20, 4.0).double()
    angle, at = torch.tensor([0.8]).double(), torch.tensor([[0.3, -0.6]]).double()
    origins, directions = view_rays(pose[None], angle, at, 5, 5)
    seen = geometry(node, "((c) => [c.origin, g.direction(c, 0.3, -0.6, Math.tan(0.4), 1)])(g.camera(30, 20, 4))")
    np.testing.assert_allclose(seen, torch.stack([origins[0, 0], directions[0, 0]]).numpy(), atol=1e-6)


def test_globes(node):
    places = orthographic(6, (20.0, 250.0))
    script = """[...Array(36).keys()].map((k) =>
        g.orthographic(1 - 2 * (Math.floor(k / 6) + .5) / 6, 2 * (k % 6 + .5) / 6 - 1, 20, 250))"""
    for mine, own in zip(geometry(node, script), places.flatten(0, 1), strict=True):
        assert mine is None if own.isnan().any() else np.allclose(mine, own, atol=1e-3)
    np.testing.assert_allclose(geometry(node, "g.earthCoordinates([48, 11], true)"),
                               unit_vectors(torch.tensor([48.0, 11.0]).double()), atol=1e-9)


@pytest.mark.parametrize("length", [40, 70, 211])
def test_partition_of_unity(node, length):
    axis = TileAxis(length, 64, 1 / 8)
    at = torch.linspace(0, length, 57, dtype=torch.float64)
    first, weight = axis.cover(at)
    about = f"{{starts: {list(axis.starts)}, tile: 64, shared: {axis.shared}}}"
    mine = geometry(node, f"{at.tolist()}.map((at) => g.cover({about}, at))")
    assert [k for k, _ in mine] == first.tolist()
    np.testing.assert_allclose([w for _, w in mine], weight, atol=1e-9)
