"""The page by HTTP: pictures decode, nonsense is answered 4xx, nothing but what it has can be reached."""

import http.client
import io
import json
import re
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from posed_scenes import SIDE, write_scene
from view_tools import miniature

from tokenfield.errors import UserError
from tokenfield.evaluation.figures import to_pil
from tokenfield.training.recipe import fresh_model
from tokenfield.views import recipes as recipes
from tokenfield.views.data import ViewsConfig
from tokenfield.views.light_field import move_camera
from tokenfield.views.scores import field_of_views
from tokenfield.views.viewer.orbits import distance_of, pose_at
from tokenfield.views.viewer.server import Viewer, server_of


@pytest.fixture(scope="module")
def viewer(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKENFIELD_CACHE", str(tmp_path_factory.mktemp("cache")))
        root = write_scene(tmp_path_factory.mktemp("balls"), objects=("a", "b", "c"))
        items = list(ViewsConfig(size=SIDE).open(root, "train").objects())
    return Viewer(fresh_model(miniature(recipes.views_lainr_64())).eval(), items, support=3)


@pytest.fixture(scope="module")
def port(viewer):
    with server_of(viewer, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(port, target, method="GET", body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, target, skip_accept_encoding=True)
    if body:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, reply.headers, content


def picture(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def test_the_page_is_whole_and_asks_nobody_else(port):
    status, headers, content = ask(port, "/")
    page = content.decode()
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert not re.search(r"""(src|href)\s*=|https?://|@import|url\(""", page.replace("image.src =", ""))
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    queries = {"/support": "?view=0", "/view": "?azimuth=0&elevation=0"}
    addresses = set(re.findall(r'"(/[a-z.]+)[?"]', page))
    assert addresses == {"/about.json", "/support", "/view"}
    assert all(ask(port, path + queries.get(path, ""))[0] == 200 for path in addresses)


def test_the_facts_on_the_page(port):
    status, _, content = ask(port, "/about.json")
    about = json.loads(content)
    assert status == 200 and about["objects"] == ["balls/a", "balls/b"] and about["numbers"] == [1, 2, 3, 4, 5]
    assert about["kind"] == "light field" and about["size"] == SIDE and about["support"] == 3


def test_a_view_is_what_the_field_shows_from_there(port, viewer):
    status, headers, content = ask(port, "/view?object=1&support=2&azimuth=40&elevation=-15&size=24")
    assert (status, headers["Content-Type"], int(headers["Content-Length"])) == (200, "image/png", len(content))
    assert float(headers["Server-Timing"].removeprefix("render;dur=")) > 0
    item = viewer.objects[1]
    field = move_camera(field_of_views(viewer.model, item, range(2)), pose_at(40, -15, distance_of(item.poses)))
    expected = np.asarray(to_pil(field.render(24, 24))).astype(int)
    assert np.abs(picture(content).astype(int) - expected).max() <= 1


def test_zoom_is_the_middle_of_the_picture(port):
    whole, middle = (
        picture(ask(port, f"/view?azimuth=10&elevation=20&size={size}&zoom={zoom}")[2])
        for size, zoom in ((64, 1), (32, 2))
    )
    assert np.abs(middle.astype(int) - whole[16:48, 16:48]).max() <= 1


def test_input_views_are_the_photographs(port, viewer):
    for view in range(3):
        expected = np.asarray(to_pil(viewer.objects[0].images[view]))
        assert np.array_equal(picture(ask(port, f"/support?view={view}")[2]), expected)


@pytest.mark.parametrize(
    "query",
    [
        "", "azimuth=10", "azimuth=x&elevation=0", "azimuth=nan&elevation=0", "azimuth=inf&elevation=0",
        "azimuth=0&elevation=91", "azimuth=0&elevation=0&size=7", "azimuth=0&elevation=0&size=100000",
        "azimuth=0&elevation=0&size=9.5", "azimuth=0&elevation=0&object=2", "azimuth=0&elevation=0&object=-1",
        "azimuth=0&elevation=0&support=6", "azimuth=0&elevation=0&support=0", "azimuth=0&elevation=0&zoom=0",
        "azimuth=0&elevation=0&pose=1", "azimuth=0&azimuth=1&elevation=0", "azimuth=0&elevation=%00",
        "azimuth=1e999&elevation=0", "azimuth=&elevation=",
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_one_line(port, query):
    status, headers, content = ask(port, f"/view?{query}")
    assert status == 400 and headers["Content-Type"].startswith("text/plain") and content.count(b"\n") == 1


@pytest.mark.parametrize(
    "target",
    ["/etc/passwd", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "//etc/passwd",
     "/view/", "/view/../about.json", "/favicon.ico", "/about.json/", "/static/page.py", "http://example.org/x"],
)  # fmt: skip
def test_there_is_nothing_else(port, target):
    status, _, content = ask(port, target)
    assert status == (421 if "example.org" in target else 404) and b"root:" not in content


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_only_questions_are_answered(port, method):
    assert ask(port, "/view?azimuth=0&elevation=0", method, b"x=1" if method in ("POST", "PUT") else None)[0] == 405


def raw(port, *parts):
    """Everything that comes back for bytes, until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        answer = b""
        while more := connection.recv(1 << 16):
            answer += more
    return answer


HOST = b"Host: 127.0.0.1\r\n"


@pytest.mark.parametrize("host", [b"Host: evil.example\r\n", b"Host: 127.0.0.1.evil.example:80\r\n", b"",
                                  b"Host: localhost\r\nHost: evil.example\r\n"])
def test_a_page_of_another_name_reads_nothing_here(port, host):
    answer = raw(port, b"GET /about.json HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 421 ") and b"objects" not in answer
    for own in (b"localhost", b"127.0.0.1:%d" % port, b"LOCALHOST:80"):
        request = b"GET /about.json HTTP/1.1\r\nHost: " + own + b"\r\nConnection: close\r\n\r\n"
        assert b" 200 " in raw(port, request)[:20]


@pytest.mark.parametrize("line", [b"nonsense", b"GET", b"GET / / HTTP/1.1", b"GET / HTTP/x", b"GET / HTTP/9.9",
                                  b"\xff\xfe", b"GET " + b"/" * 70_000 + b" HTTP/1.1", b"BREW /pot HTTP/1.1"])
def test_malformed_requests_are_answered_in_a_line_of_text(port, line, capfd):
    answer = raw(port, line + b"\r\n" + HOST + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 ") and answer.split()[1] in (b"400", b"414", b"501", b"505")
    assert b"<html" not in answer.lower() and b"Connection: close" in answer
    assert ask(port, "/about.json")[0] == 200 and "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("target", ["//[", "/view?azimuth=%00", "/view?" + "a=1&" * 2000])
def test_addresses_that_are_none_are_refused(port, target):
    assert ask(port, target)[0] in (400, 404)


def test_nothing_follows_a_body_that_was_not_read(port):
    hidden = b"GET /about.json HTTP/1.1\r\n" + HOST + b"\r\n"
    for method in (b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\n"):
        length = b"Content-Length: %d\r\n\r\n" % len(hidden)
        assert raw(port, method + HOST + length, hidden).count(b"HTTP/1.1 ") == 1


def test_an_error_of_the_program_is_one_answer_and_the_server_goes_on(port, viewer, monkeypatch, capfd):
    def broken(*_, **__):
        raise ZeroDivisionError("by accident")

    monkeypatch.setattr(viewer, "_field", broken)
    status, _, content = ask(port, "/view?azimuth=0&elevation=0")
    assert status == 500 and b"ZeroDivisionError" in content and content.count(b"\n") == 1
    monkeypatch.undo()
    assert ask(port, "/view?azimuth=0&elevation=0")[0] == 200 and "Traceback" not in capfd.readouterr().err


def test_questions_at_the_same_time_get_their_own_answers(port):
    targets = [f"/view?azimuth={30 * i}&elevation=10&object={i % 2}&support={1 + i % 5}" for i in range(12)]
    alone = [ask(port, target)[2] for target in targets]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda target: ask(port, target)[2], targets)) == alone
    assert len(set(alone)) > 6


def test_a_browser_that_goes_away_leaves_no_noise(port, capfd):
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, at once
            connection.sendall(b"GET /view?azimuth=0&elevation=0&size=128 HTTP/1.1\r\n\r\n")
    assert ask(port, "/about.json")[0] == 200
    assert ask(port, "/view?azimuth=0&elevation=0")[0] == 200  # renders one at a time: those before are done
    assert capfd.readouterr().err == ""


def test_a_taken_port_is_one_line(viewer, port):
    with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}"):
        server_of(viewer, port)
    with pytest.raises(UserError, match="cannot listen"):
        server_of(viewer, 70000)
    with pytest.raises(UserError, match="no object to show"):
        Viewer(viewer.model, [], 3)
