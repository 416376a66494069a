"""`tokenfield demo`: photographs to tokens and back, zoom, locality, and a model that is trained meanwhile."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tokenfield.cli import console
from tokenfield.cli.console import Json, Table
from tokenfield.cli.options import load_model
from tokenfield.cli.types import Findings, Tensor
from tokenfield.errors import UserError
from tokenfield.io.lock import take
from tokenfield.io.record import Record
from tokenfield.registry import COMMANDS

PHOTOGRAPHS = 3
"""Photographs that open in the browser."""
VIEW = "view"
"""Their folder."""


def demo(*, out: Path = Path("demo"), seconds: float = 20.0, model: str = "lainr-photos",
         beside: tuple[str, ...] = ("photos-s", "photos-ladder"), zoom: str = "photos-zoom", json: Json = None,
         table: Table = None, open: bool = True) -> Record:
    """Show everything on real photographs: reconstruction, any zoom, what a token governs, training.

    The photographs are those inside the scikit-image package; nothing that ships with this one was trained on them.
    Written are PNG files, one page, index.html, that shows all of it and needs no network, and the folder view, which
    a web server shows: fields that are decoded in the browser.

    Args:
        out: folder for the pictures and the page.
        seconds: to train a fresh model for; 0 leaves that out.
        model: a packaged model, or a folder that holds one: by default the paper's, LAINR.
        beside: others, whose PSNR on the same photographs is given too: by default this project's own.
        zoom: what the zoom is shown with: a model that is sharper between the pixels, for more values stored.
        open: at the end show both in the browser, until Ctrl-C; only from a terminal, where there is a display.
    """
    if not 0 <= seconds < float("inf"):
        raise UserError(f"--seconds {seconds:g}: give how long to train, or 0 for not at all")
    from tokenfield.demo import tour

    start = time.perf_counter()
    take(out)
    others = {name: load_model(name, "cpu") for name in beside}
    findings = tour.tour(load_model(model, "cpu"), tour.Plan(seconds), out, others, load_model(zoom, "cpu"))
    show(findings, table)
    console.say(f"All in {time.perf_counter() - start:.0f} s; open {out / 'index.html'} in a browser")
    numbers = findings.to_json() | {"view": str(out / VIEW)}
    console.write_json(json, "demo", numbers)
    write_view([result.photograph for result in findings.returns[:PHOTOGRAPHS]], out / VIEW)
    if open and console.is_desktop():
        import webbrowser

        webbrowser.open((out / "index.html").resolve().as_uri())
        COMMANDS["view"]((out / VIEW,))
    return numbers


def write_view(photographs: Sequence[Tensor], folder: Path) -> None:
    """Photographs as fields that open in a browser, squares of one size, so that any two can be interpolated."""
    from tokenfield.data.demo_pictures import center_crop
    from tokenfield.data.pictures import write_picture

    if (folder / "fields.json").exists():  # of an earlier demonstration
        shutil.rmtree(folder)
    side = min(side for photograph in photographs for side in photograph.shape[1:])
    with tempfile.TemporaryDirectory() as aside:
        files = [Path(aside) / f"photograph {number}.png" for number in range(1, len(photographs) + 1)]
        for file, photograph in zip(files, photographs, strict=True):
            write_picture(file, center_crop(photograph, side))
        COMMANDS["view"](tuple(files), out=folder)


def show(findings: Findings, table: Path | None) -> None:
    """The results, on stdout: a row per photograph, then lines that fit a narrow terminal."""
    numbers = "psnr", "pca_psnr", "encode_seconds", "decode_seconds"
    rows = [["photograph", "pixels", "tokens", "values", "bytes", "PSNR", "PCA", "encode", "decode"]]
    for score in (result.score for result in findings.returns):
        counts = score.tokens, score.values_stored, score.bytes
        rows.append([score.name, f"{score.width}x{score.height}", *map(str, counts),
                     *(console.number(getattr(score, name)) for name in numbers)])
    rows.append(["mean", "", "", "", f"{findings.mean('bytes'):.0f}",
                 *(console.number(findings.mean(name)) for name in numbers)])
    console.show_table(rows, table)
    zoom, half, fresh = findings.zoom, findings.half_size, findings.fresh
    own, beside = findings.protocol, findings.beside.items()
    assert zoom is not None, "the tour has ended"
    console.show(f"""
PSNR in dB as in the papers: per picture, float32, unclamped; PCA: principal
components of 8x8 cells that store no more values ({findings.mean('values_per_pixel_value'):.2f} per pixel value).
Bytes: of the tokens as they are; tokenfield encode codes them in fewer.
Encode and decode in seconds.

{own.psnr:.2f} dB, {own.bytes:.0f} bytes, on centre crops of 256 pixels, the protocol of the README
{"".join(f"{one.psnr:.2f} dB, {one.bytes:.0f} bytes, on the same crops: {name}{chr(10)}" for name, one in beside)}\
{half['psnr']:.2f} dB encoded at half size, rendered at full by {zoom.model} (bicubic {half['bicubic_psnr']:.2f} dB)
{zoom.seconds:.2f} s to render {zoom.name} at {zoom.factor}x, {zoom.whole.shape[2]} x {zoom.whole.shape[1]} pixels
{100 * findings.area:.2f} % of the area holds 90 % of what a token changes,
{findings.shares:.2f} times its equal share""")
    if fresh is not None:
        first, last = fresh.snapshots[0], fresh.snapshots[-1]
        console.say(f"{last.psnr:.2f} dB, from {first.psnr:.2f}: a fresh LAINR after {last.seconds:.0f} s on a "
                    "photograph it never saw")
    console.say()
