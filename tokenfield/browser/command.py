"""`tokenfield view`: fields in a browser, decoded there."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File, Folder, Json
from tokenfield.cli.options import DEFAULT, WHICH
from tokenfield.errors import UserError

if TYPE_CHECKING:
    from tokenfield.browser.scenes import Subject

Inputs = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FIELD")]


def view(
    inputs: Inputs,
    *,
    photograph: File = None,
    out: Folder = None,
    serve: bool = False,
    port: int = 0,
    open: bool = True,
    model: Annotated[str | None, tyro.conf.arg(metavar="MODEL", help=WHICH)] = None,
    json: Json = None,
) -> int:
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

    if len(inputs) == 1 and (inputs[0] / CONTENTS).exists():
        return show(inputs[0], port, open)
    if out is not None and out.exists():
        raise UserError(f"{out} exists already; name a new folder with --out")
    subjects = find_subjects(inputs, photograph, model)
    names = [subject.name for subject in subjects]
    console.write_json(json, {"command": "view", "fields": names, "out": None if out is None else str(out)})
    if out is None:
        with tempfile.TemporaryDirectory(prefix="tokenfield-") as folder:
            fill(subjects, Path(folder))
            return show(Path(folder), port, open)
    write_page(subjects, out)
    console.say(f"{out}: {len(subjects)} fields; tokenfield view {out} opens it, any web server serves it")
    return show(out, port, open) if serve else console.OK


def show(folder: Path, port: int, wanted: bool) -> int:
    """Serve a page until Ctrl-C."""
    from tokenfield.browser.server import HOST, server_of

    with server_of(folder, port) as server:
        address = f"http://{HOST}:{server.server_port}/"
        console.say(f"{address} shows {folder}; Ctrl-C ends it")
        if wanted:
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


def find_subjects(inputs: Sequence[Path], photograph: Path | None, model: str | None) -> "list[Subject]":
    """What the page shows, in the order given; folders in the order of their names.

    Raises UserError where nothing is found, or a photograph is given for several fields.
    """
    from tokenfield.browser.scenes import Subject
    from tokenfield.cli.decode import open_field
    from tokenfield.cli.options import load_model
    from tokenfield.cli.types import FieldModel
    from tokenfield.data.pictures import read_picture
    from tokenfield.fields.field import Field

    files = [file for path in inputs for file in find_files(path)]
    if photograph is not None and len(files) != 1:
        raise UserError(f"--photograph is for one field, and there are {len(files)}")
    loaded: dict[str, FieldModel] = {}
    chosen = None if model is None else load_model(model, "cpu")
    encoder = None
    subjects = []
    for file in files:
        if file.suffix.lower() == ".field":
            picture = None if photograph is None else read_picture(photograph)
            subjects.append(Subject(file.stem, open_field(file, chosen, loaded, "cpu"), picture))
        else:
            encoder = encoder or chosen or load_model(DEFAULT, "cpu")
            picture = read_picture(file)
            subjects.append(Subject(file.stem, Field.of(encoder, picture), picture))
    return subjects


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
