"""`tokenfield view`: fields in a browser, decoded there, and the web server for such pages, on this machine alone.

The server isolates a page from others (COOP, COEP), which is what browsers ask for before WebAssembly gets threads.
"""

import tempfile
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File, Folder, Json
from tokenfield.cli.options import DEFAULT
from tokenfield.cli.types import FieldModel, SkippedFiles
from tokenfield.errors import UserError
from tokenfield.io.local_server import HOST, LocalHandler, listening

if TYPE_CHECKING:
    from tokenfield.browser.scenes import Subject

HEADERS = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp",
           "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


class Handler(LocalHandler, SimpleHTTPRequestHandler):
    """Files of one folder."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json",
        ".onnx": "application/octet-stream",
    }

    def end_headers(self) -> None:
        for header in HEADERS.items():
            self.send_header(*header)
        super().end_headers()

    def list_directory(self, path: object) -> None:  # type: ignore[override]
        """Folders are not listed."""
        self.send_error(404)


def server_of(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of a folder's files that `listening` gives."""
    return listening(partial(Handler, directory=str(folder)), port)


Inputs = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FIELD")]


def view(inputs: Inputs, *, photograph: File = None, out: Folder = None, serve: bool = False, port: int = 0,
         open: bool = True, model: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None,
         json: Json = None) -> int:
    """Open fields in a browser, where they are decoded: zoom without end, tokens, attention, comparison, interpolation.

    The page is a folder of files that needs nothing from elsewhere: with --out it is written there, for any web server;
    else it is served from this machine until Ctrl-C. Fields of pictures, of views of objects and of the globe are
    shown. Two fields of one model and of one size can be interpolated.

    Args:
        inputs: .field files, photographs (which are encoded first), or folders of either; or the folder of a page.
        photograph: what the field was made from, to compare with; of one field.
        out: a new folder for the page.
        serve: also serve the folder of --out.
        port: of the server; 0 takes a free one.
        open: show the page in the browser, where there is a display; --no-open does not.
        model: what photographs are encoded with, by default photos-s; of a field only if it is not where the file says.
    """
    from tokenfield.browser.page import CONTENTS, fill, write_page
    from tokenfield.data.pictures import SkippedFiles

    if len(inputs) == 1 and (inputs[0] / CONTENTS).exists():
        return show(inputs[0], port, open)
    if out is not None and out.exists():
        raise UserError(f"{out} exists already; name a new folder with --out")
    skipped = SkippedFiles()
    subjects = find_subjects(inputs, photograph, model, skipped)
    if out is not None:
        write_page(subjects, out)
    names = [subject.name for subject in subjects]
    console.write_json(json, "view", {"fields": names, "out": None if out is None else str(out),
                              "skipped": skipped.as_json()})
    code = console.finish(skipped, len(subjects) + len(skipped))
    if out is None:
        with tempfile.TemporaryDirectory(prefix="tokenfield-") as folder:
            fill(subjects, Path(folder))
            return show(Path(folder), port, open) or code
    console.say(f"{out}: {console.counted(len(subjects), 'field')}; tokenfield view {out} opens it, any web server "
                "serves it")
    return show(out, port, open) or code if serve else code


def show(folder: Path, port: int, browse: bool) -> int:
    """Serve a page until Ctrl-C."""
    with server_of(folder, port) as server:
        address = f"http://{HOST}:{server.server_port}/"
        console.say(f"{address} shows {folder}; Ctrl-C ends it")
        if browse:
            open_browser(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.notice("the page is closed")
    return console.OK


def open_browser(address: str) -> bool:
    """Shows an address in the browser; not without a terminal and a display."""
    import webbrowser

    return console.is_desktop() and webbrowser.open(address)


def find_subjects(inputs: Sequence[Path], photograph: Path | None, model: str | None,
                  skipped: SkippedFiles) -> "list[Subject]":
    """What the page shows, in the order given; folders in the order of their names.

    Of several files those that cannot be shown are noted in `skipped`. Raises UserError where none is left, or a
    photograph is given for several fields.
    """
    from tokenfield.cli.options import load_model

    files = [file for path in inputs for file in find_files(path)]
    if not files:
        raise UserError("no field to show; give .field files, photographs, or folders of either")
    if photograph is not None and len(files) != 1:
        raise UserError(f"--photograph is for one field, and there are {len(files)}")
    override = None if model is None else load_model(model, "cpu")
    models: dict[str, FieldModel] = {}
    subjects = []
    for file in files:
        try:
            subjects.append(open_subject(file, photograph, override, models))
        except UserError as error:
            if len(files) == 1:
                raise
            skipped.add(file, str(error).removeprefix(str(file)).lstrip(": "))
    if not subjects:
        raise UserError(skipped.summary(len(files)))
    return subjects


def open_subject(
    file: Path, photograph: Path | None, override: Optional[FieldModel], models: dict[str, FieldModel]  # noqa: UP045
) -> "Subject":
    """A field with its photograph, if that is at hand; a photograph is encoded. Raises UserError for neither."""
    from tokenfield.browser.scenes import Subject
    from tokenfield.cli.decode import open_field
    from tokenfield.cli.options import load_model
    from tokenfield.data.pictures import read_picture
    from tokenfield.fields.field import Field

    if file.suffix.lower() != ".field":
        if override is None and DEFAULT not in models:
            models[DEFAULT] = load_model(DEFAULT, "cpu")
        picture = read_picture(file)
        return Subject(file.stem, Field.of(override or models[DEFAULT], picture), picture)
    field = open_field(file, override, models, "cpu")
    if photograph is None:
        return Subject(file.stem, field)
    picture = read_picture(photograph)
    if tuple(picture.shape[1:]) != tuple(field.native_size):
        raise UserError(f"{photograph} has {picture.shape[2]} x {picture.shape[1]} pixels, and {file} was made from "
                        f"{field.native_size[1]} x {field.native_size[0]}; give the picture that was encoded")
    return Subject(file.stem, field, picture)


def find_files(path: Path) -> list[Path]:
    """A file; of a folder its .field files, or its pictures where it has none. Raises UserError for neither."""
    from tokenfield.cli.decode import find_fields
    from tokenfield.data.pictures import find_pictures

    if not path.is_dir():
        return [path]
    try:
        return find_fields(path)
    except UserError:
        return find_pictures(path)
