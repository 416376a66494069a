"""A page on this machine on which an object is turned with the mouse; the model renders every view on request.

Everything it answers is made in memory, so there is no path that could lead anywhere. Requests are functions of their
query alone:

    /                                                              the page (`assets/`, joined into one document)
    /about.json                                                    objects, numbers of views, sizes
    /view?object=0&support=3&azimuth=30&elevation=20&zoom=1&size=64   a PNG
    /support?object=0&view=2                                       a support view, as a PNG
"""

import io
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import parse_qsl, urlsplit

from jaxtyping import Float
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.evaluation.figures import to_pil
from tokenfield.evaluation.pages import render
from tokenfield.fields.field import Field
from tokenfield.io.local_server import TEXT, LocalHandler, listening
from tokenfield.views.data import ViewSet
from tokenfield.views.light_field import LightField, camera_of
from tokenfield.views.models.base import ViewsModel
from tokenfield.views.radiance_field import PUBLISHED, Integral
from tokenfield.views.scores import PREDICTED, Fitting, field_of_views
from tokenfield.views.viewer.orbits import distance_of, elevation_of, pose_at

Number = float | int

SMALLEST, LARGEST = 8, 512
"""Pixels a side of a view."""
CACHE_SIZE = 64
"""Objects, each with one number of support views, whose tokens stay in memory."""

PAGE = render(Path(__file__).parent / "assets" / "viewer.html")
"""One document that loads nothing from elsewhere."""


class Refusal(UserError):
    """A request that cannot be answered."""

    def __init__(self, reason: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST):
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Range:
    """What a parameter may be."""

    lowest: Number
    highest: Number
    default: Number | None = None  # where a request does not name it
    whole: bool = True  # integers only

    def read(self, name: str, text: str | None) -> Number:
        """The number. Raises Refusal for anything else."""
        if text is None and self.default is not None:
            return self.default
        try:
            value = float(text or "")
        except ValueError:
            value = math.nan
        if not self.lowest <= value <= self.highest or (self.whole and value != int(value)):
            kind = "whole number" if self.whole else "number"
            raise Refusal(f"{name} {text!r}; give a {kind} from {self.lowest:g} to {self.highest:g}")
        return int(value) if self.whole else value


class Viewer:
    """What the page shows: a model and objects, with `support` views at first.

    Safe between threads; one view is rendered at a time.
    """

    def __init__(self, model: ViewsModel, objects: Sequence[ViewSet], support: int, integral: Integral = PUBLISHED,
                 fitting: Fitting = PREDICTED):
        if not objects:
            raise UserError("no object to show; give a data set with at least one")
        self.model, self.objects, self.support = model, list(objects), support
        self._lock = Lock()
        self._field = lru_cache(CACHE_SIZE)(
            lambda number, views: field_of_views(model, objects[number], range(views), integral, fitting))
        self._field(0, support)  # what is wrong with model or data shows now, and not in the browser
        self.numbers = [n for n in model.support_numbers(5) if n <= min(map(len, self.objects))]
        self.ranges = {
            "object": Range(0, len(objects) - 1, 0),
            "support": Range(self.numbers[0], self.numbers[-1], support),
            "azimuth": Range(-3600, 3600, whole=False),
            "elevation": Range(-90, 90, whole=False),
            "zoom": Range(0.5, 8, 1, whole=False),
            "size": Range(SMALLEST, LARGEST, model.input_size[0]),
            "view": Range(0, self.numbers[-1] - 1),
        }

    def about(self) -> bytes:
        """What the page has to know, as JSON."""
        facts = {
            "kind": self.model.kind,
            "model": self.model.name,
            "objects": [views.name for views in self.objects],
            "numbers": self.numbers,
            "support": self.support,
            "size": self.model.input_size[0],
            "smallest": SMALLEST,
            "largest": LARGEST,
            "elevation": round(math.degrees(elevation_of(self.objects[0].poses)), 1),
        }
        return json.dumps(facts).encode()

    def view(self, object: int, support: int, azimuth: Number, elevation: Number, zoom: Number, size: int) -> bytes:
        """A square PNG of an object: angles in degrees, zoom of the field of view, size in pixels."""
        with self._lock:
            field = self._field(object, support)
            domain = camera_of(field)
            angle = 2 * math.atan(math.tan(domain.angle_x / 2) / zoom)
            pose = pose_at(azimuth, elevation, distance_of(self.objects[object].poses))
            camera = LightField.at(pose, angle, (size, size), domain.integral)
            return png(Field(field.model, field.tokens, camera).render(size, size).cpu())

    def support_view(self, object: int, view: int) -> bytes:
        """A support view as a PNG."""
        return png(self.objects[object].images[view])


def png(image: Float[Tensor, "3 h w"]) -> bytes:
    """A picture as a PNG file."""
    file = io.BytesIO()
    to_pil(image).save(file, "PNG", compress_level=1)
    return file.getvalue()


def answer(viewer: Viewer, target: str) -> tuple[str, bytes]:
    """What a GET of `target` (path and query) gives: content type and body.

    Raises Refusal unless every parameter is there once, or has a default, and in its range.
    """
    try:
        parts = urlsplit(target)
    except ValueError as error:  # half an IPv6 address
        raise Refusal("no address that can be read") from error
    if parts.path not in ROUTES:
        raise Refusal(f"there is nothing here; there are {', '.join(ROUTES)}", HTTPStatus.NOT_FOUND)
    kind, body, names = ROUTES[parts.path]
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    values = dict(pairs)
    if len(values) < len(pairs):
        raise Refusal("a parameter is given twice")
    if unknown := sorted(values.keys() - set(names)):
        raise Refusal(f"unknown parameter {unknown[0][:40]!r}")
    return kind, body(viewer, **{name: viewer.ranges[name].read(name, values.get(name)) for name in names})


ROUTES: dict[str, tuple[str, Callable[..., bytes], tuple[str, ...]]] = {
    "/": ("text/html; charset=utf-8", lambda viewer: PAGE.encode(), ()),
    "/about.json": ("application/json", Viewer.about, ()),
    "/view": ("image/png", Viewer.view, ("object", "support", "azimuth", "elevation", "zoom", "size")),
    "/support": ("image/png", Viewer.support_view, ("object", "view")),
}
"""Everything there is: content type, what answers, and its parameters."""
POLICY = "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' blob:"


def server_of(viewer: Viewer, port: int) -> ThreadingHTTPServer:
    """A server that `listening` gives."""

    class Handler(LocalHandler):
        def do_GET(self) -> None:
            begin = time.perf_counter()
            try:
                kind, body = answer(viewer, self.path)
                self.reply(HTTPStatus.OK, kind, body, 1000 * (time.perf_counter() - begin))
            except UserError as error:
                status = error.status if isinstance(error, Refusal) else HTTPStatus.UNPROCESSABLE_ENTITY
                self.reply(status, TEXT, f"{error}\n".encode())
            except ConnectionError:
                self.close_connection = True
            except Exception as error:  # the page says so, and the server goes on
                self.close_connection = True
                self.reply(HTTPStatus.INTERNAL_SERVER_ERROR, TEXT, f"an error of this program: {error!r}\n".encode())

        def refuse(self) -> None:
            """Nothing here can be changed; what a request brings along is not read, so the connection ends."""
            self.close_connection = True
            self.reply(HTTPStatus.METHOD_NOT_ALLOWED, TEXT, b"only GET is answered\n")

        do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = refuse

        def reply(self, status: HTTPStatus, kind: str, body: bytes, milliseconds: float = 0.0) -> None:
            headers = {"Server-Timing": f"render;dur={milliseconds:.1f}", "Content-Type": kind,
                       "Content-Length": str(len(body)), "Cache-Control": "no-store",
                       "X-Content-Type-Options": "nosniff", "Content-Security-Policy": POLICY}
            try:
                self.send_response(status)
                for header in headers.items():
                    self.send_header(*header)
                if self.close_connection:
                    self.send_header("Connection", "close")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
            except (ConnectionError, TimeoutError):  # a browser that went away, or wants a newer view than this one
                self.close_connection = True

    return listening(Handler, port)
