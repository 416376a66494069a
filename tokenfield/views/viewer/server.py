"""A page on this machine on which an object is turned with the mouse, each view rendered by the model when it is asked.

One process, the standard library's server, no files: everything it answers is made in memory, so there is no path that
could lead anywhere. Requests are functions of their query alone, which makes them testable and cacheable:

    /                                                              the page
    /about.json                                                    objects, numbers of views, sizes
    /view?object=0&support=3&azimuth=30&elevation=20&zoom=1&size=64   a PNG
    /given?object=0&view=2                                         a support view, as a PNG
"""

import io
import json
import math
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tokenfield.errors import UserError
from tokenfield.evaluation.figures import to_pil
from tokenfield.fields.field import Field
from tokenfield.views.data import ViewSet
from tokenfield.views.light_field import Integral, LightField
from tokenfield.views.scores import Fitting, describe, field_of_views, numbers_for
from tokenfield.views.viewer.orbits import distance_of, elevation_of, pose_at
from tokenfield.views.viewer.page import PAGE

Number = float | int

LARGEST = 512
"""Pixels a side of a view that may be asked for."""
SMALLEST = 8
KEPT = 64
"""Objects, each with one number of support views, whose tokens are kept."""


class Refused(Exception):
    """A request that cannot be answered: the status, and one line that says why."""

    def __init__(self, status: HTTPStatus, why: str):
        super().__init__(why)
        self.status = status


class Viewer:
    """What the page shows: a model and objects. Safe between threads; one view is rendered at a time.

    Args:
        model: of views.
        objects: to choose from, at least one.
        support: number of views that are given at first.
        integral: how a radiance field is rendered.
        fitting: test-time optimisation of every object on its given views.
    """

    def __init__(
        self,
        model: Any,
        objects: Sequence[ViewSet],
        support: int,
        integral: Integral | None = None,
        fitting: Fitting | None = None,
    ):
        if not objects:
            raise UserError("no object to show; give a data set with at least one")
        self.model, self.objects, self.support = model, list(objects), support
        self.integral, self.fitting, self._lock = integral, fitting, Lock()
        self.numbers = [n for n in numbers_for(model) if n <= min(map(len, self.objects))]
        self._field = lru_cache(KEPT)(self._encode)
        self._field(0, support)  # what is wrong with model or data shows now, and not in the browser

    def _encode(self, number: int, support: int) -> Field:
        return field_of_views(self.model, self.objects[number], range(support), self.integral, self.fitting)

    def about(self) -> dict[str, Any]:
        """What the page needs to know."""
        poses = self.objects[0].poses
        return {
            "kind": describe(self.model),
            "model": self.model.name,
            "objects": [views.name for views in self.objects],
            "numbers": self.numbers,
            "support": self.support,
            "size": self.model.input_size[0],
            "smallest": SMALLEST,
            "largest": LARGEST,
            "elevation": round(math.degrees(elevation_of(poses)), 1),
        }

    def view(self, number: int, support: int, azimuth: Number, elevation: Number, zoom: Number, size: int) -> bytes:
        """A square PNG of an object: angles in degrees, zoom of the field of view, size in pixels."""
        with self._lock:
            field = self._field(number, support)
            domain = field.domain
            assert isinstance(domain, LightField), "made by field_of_views"
            angle = 2 * math.atan(math.tan(domain.angle_x / 2) / zoom)
            pose = pose_at(azimuth, elevation, distance_of(self.objects[number].poses))
            camera = LightField.at(pose, angle, (size, size), domain.integral)
            seen = Field(field.model, field.tokens, camera).render(size, size)
        return png(seen.cpu())

    def given(self, number: int, view: int) -> bytes:
        """A support view as a PNG."""
        return png(self.objects[number].images[view])


def png(image: Any) -> bytes:
    """A picture as a PNG file."""
    file = io.BytesIO()
    to_pil(image).save(file, "PNG", compress_level=1)
    return file.getvalue()


class Query:
    """The parameters of a request; every number is read once and has a range."""

    def __init__(self, text: str):
        pairs = parse_qsl(text, keep_blank_values=True)
        self.values = dict(pairs)
        if len(self.values) < len(pairs):
            raise Refused(HTTPStatus.BAD_REQUEST, "a parameter is given twice")

    def number(self, name: str, lowest: Number, highest: Number, default: Number | None = None) -> Number:
        """A finite number in [lowest, highest]."""
        text = self.values.pop(name, None)
        if text is None and default is not None:
            return default
        try:
            value = float(text or "")
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest:
            raise Refused(HTTPStatus.BAD_REQUEST, f"{name} {text!r}; give a number from {lowest:g} to {highest:g}")
        return value

    def whole(self, name: str, lowest: int, highest: int, default: int | None = None) -> int:
        """A whole number in [lowest, highest]."""
        value = self.number(name, lowest, highest, default)
        if value != int(value):
            raise Refused(HTTPStatus.BAD_REQUEST, f"{name} {value:g}; give a whole number")
        return int(value)

    def finish(self) -> None:
        """Nothing may be left."""
        if self.values:
            raise Refused(HTTPStatus.BAD_REQUEST, f"unknown parameter {sorted(self.values)[0][:40]!r}")


def answer(viewer: Viewer, target: str) -> tuple[str, bytes]:
    """What a GET of `target` (path and query) gives: content type and body. Raises Refused."""
    parts = urlsplit(target)
    if parts.path not in ROUTES:
        raise Refused(HTTPStatus.NOT_FOUND, f"there is nothing here; there are {', '.join(ROUTES)}")
    query = Query(parts.query)
    kind, body = ROUTES[parts.path](viewer, query)
    return kind, body


def _page(viewer: Viewer, query: Query) -> tuple[str, bytes]:
    query.finish()
    return "text/html; charset=utf-8", PAGE.encode()


def _about(viewer: Viewer, query: Query) -> tuple[str, bytes]:
    query.finish()
    return "application/json", json.dumps(viewer.about()).encode()


def _view(viewer: Viewer, query: Query) -> tuple[str, bytes]:
    number = query.whole("object", 0, len(viewer.objects) - 1, 0)
    support = query.whole("support", viewer.numbers[0], viewer.numbers[-1], viewer.support)
    azimuth = query.number("azimuth", -3600, 3600)
    elevation = query.number("elevation", -90, 90)
    zoom, size = query.number("zoom", 0.5, 8, 1), query.whole("size", SMALLEST, LARGEST, viewer.model.input_size[0])
    query.finish()
    return "image/png", viewer.view(number, support, azimuth, elevation, zoom, size)


def _given(viewer: Viewer, query: Query) -> tuple[str, bytes]:
    number = query.whole("object", 0, len(viewer.objects) - 1, 0)
    view = query.whole("view", 0, viewer.numbers[-1] - 1)
    query.finish()
    return "image/png", viewer.given(number, view)


ROUTES: dict[str, Callable[[Viewer, Query], tuple[str, bytes]]] = {
    "/": _page,
    "/about.json": _about,
    "/view": _view,
    "/given": _given,
}
"""Everything there is."""


def handler_of(viewer: Viewer) -> type[BaseHTTPRequestHandler]:
    """A request handler for a viewer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open: a drag is one conversation
        timeout = 60

        def do_GET(self) -> None:
            begun = time.perf_counter()
            try:
                kind, body = answer(viewer, self.path)
                self.reply(HTTPStatus.OK, kind, body, 1000 * (time.perf_counter() - begun))
            except Refused as refusal:
                self.reply(refusal.status, "text/plain; charset=utf-8", f"{refusal}\n".encode())
            except UserError as error:
                self.reply(HTTPStatus.UNPROCESSABLE_ENTITY, "text/plain; charset=utf-8", f"{error}\n".encode())

        def refuse(self) -> None:
            """Nothing here can be changed; what a request brings along is not read, so the connection ends."""
            self.close_connection = True
            self.reply(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", b"only GET is answered\n")

        do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = refuse

        def reply(self, status: HTTPStatus, kind: str, body: bytes, milliseconds: float = 0.0) -> None:
            try:
                self.send(status, kind, body, milliseconds)
            except ConnectionError:  # a browser that went away, or wants a newer view than this one
                self.close_connection = True

        def send(self, status: HTTPStatus, kind: str, body: bytes, milliseconds: float) -> None:
            self.send_response(status)
            self.send_header("Server-Timing", f"render;dur={milliseconds:.1f}")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            policy = "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' blob:"
            self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silence: a drag is hundreds of requests."""

    return Handler


def server_of(viewer: Viewer, port: int, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """A server that listens already; `serve_forever` answers.

    Args:
        viewer: what it shows.
        port: 0 takes a free one, which `server_port` then tells.
        host: this machine alone by default.
    Raises:
        UserError: the port is taken or may not be used.
    """
    try:
        server = ThreadingHTTPServer((host, port), handler_of(viewer))
    except (OSError, OverflowError) as error:
        raise UserError(f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}; "
                        "give another --port, or 0 for any") from error  # fmt: skip
    server.daemon_threads = True
    return server
