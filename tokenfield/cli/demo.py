"""`tokenfield demo`: photographs to tokens and back, zoom, locality, and a model trained while one watches."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.errors import UserError

VIEW = 512
"""Most pixels per side of what is encoded: the middle of a larger photograph, so that two cores are done in seconds."""
ZOOMED, DETAIL = "chelsea", (93, 152, 133, 192)
"""The photograph that is enlarged, and a detail of it, (top, left, bottom, right): an eye of the cat."""
GOVERNED = ("astronaut", "coffee", "motorcycle_left")
"""Photographs whose tokens are taken away one at a time."""


def demo(
    *, out: Path = Path("demo"), seconds: float = 20.0, model: str = "photos-s", json: Json = None, open: bool = False
) -> dict[str, Any]:
    """Show everything on real photographs: there and back, any zoom, what a token governs, training.

    The photographs are those inside the scikit-image package; nothing that ships with this one was trained on them.
    Written are PNG files and one page, index.html, that shows all of it and needs no network.

    Args:
        out: folder for the pictures and the page.
        seconds: to train a fresh model for; 0 leaves that out.
        model: a packaged model, or a folder that holds one.
        json: also write all numbers there, for machines.
        open: show the page in the browser at the end.
    """
    if not 0 <= seconds < float("inf"):
        raise UserError(f"--seconds {seconds:g}: give how long to train, or 0 for not at all")
    from tokenfield.cli.models import load_model
    from tokenfield.demo.findings import report
    from tokenfield.demo.tour import tour

    begun = time.perf_counter()
    plan = make_plan(seconds)
    with Screen(seconds) as screen:
        found = tour(load_model(model, "cpu"), plan, out, screen.tell)
    screen.conclude(found)
    console.say(f"All in {time.perf_counter() - begun:.0f} s; open {out / 'index.html'} in a browser")
    numbers = report(found)
    console.write_json(json, numbers)
    if open:
        import webbrowser

        webbrowser.open((out / "index.html").resolve().as_uri())
    return numbers


def make_plan(seconds: float) -> Any:
    """The photographs and what to do with which."""
    from tokenfield.data.demo_pictures import held_out, held_out_pictures
    from tokenfield.demo.fresh import UNSEEN, lainr_in_seconds, training_files
    from tokenfield.demo.tour import Plan

    return Plan(
        pictures=dict(held_out_pictures(VIEW)),
        zoomed=ZOOMED,
        detail=DETAIL,
        governed=GOVERNED,
        recipe=lainr_in_seconds(),
        training_files=training_files(),
        unseen=held_out(UNSEEN, size=256),
        seconds=seconds,
    )


class Screen:
    """What a person sees while the tour goes on.

    Results go to stdout as they come; stages and the progress of training to stderr, as a live bar on a terminal.

    Args:
        seconds: of training, for the bar.
    """

    def __init__(self, seconds: float):
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False)
        self.seconds, self.last = seconds, (0, 0.0)
        self.status: Any = None
        self.bar: Any = None

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def tell(self, event: str, what: Any) -> None:
        """Something happened; see `tokenfield.demo.tour.Tell`."""
        handlers: dict[str, Callable[[Any], None]] = {
            "stage": self.stage, "returned": self.returned, "trained": self.trained, "seen": self.seen
        }
        handlers[event](what)

    def stage(self, text: str) -> None:
        """Something begins."""
        self._clear()
        if self.console.is_terminal:
            self.status = self.console.status(f"[dim]{text} ...[/]")
            self.status.start()
        else:
            console.notice(f"{text} ...")

    def returned(self, result: Any) -> None:
        """A photograph came back; all of them are in the table at the end."""
        if self.status is not None:
            self.status.update(f"[dim]there and back ... {result.score.name}: {result.score.psnr:.2f} dB[/]")

    def trained(self, metrics: dict[str, Any]) -> None:
        """Training goes on."""
        if not self.console.is_terminal:
            return
        if self.bar is None:
            from rich.progress import BarColumn, Progress, TextColumn

            self._clear()
            self.bar = Progress(
                TextColumn("training"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f} s"),
                TextColumn("{task.fields[text]}"), console=self.console, transient=True,
                redirect_stdout=sys.stdout.isatty(),
            )
            self.task = self.bar.add_task("", total=self.seconds, text="")
            self.bar.start()
        text = f"step {metrics['step']}, [bold]{metrics['psnr']:.1f} dB[/], {metrics['images_per_second']:.0f} tiles/s"
        self.bar.update(self.task, completed=min(metrics["seconds"], self.seconds), text=text)

    def seen(self, snapshot: Any) -> None:
        """The fresh model was looked at: a line that stays."""
        filled = round(max(0.0, snapshot.psnr))
        line = f"  {snapshot.seconds:5.1f} s  step {snapshot.step:5d}  {snapshot.psnr:6.2f} dB  {'#' * filled}"
        (self.bar.console if self.bar is not None else self.console).print(line, markup=False)

    def conclude(self, found: Any) -> None:
        """The results, on stdout."""
        self._clear()
        show_table(found)
        show_lines(found)

    def _clear(self) -> None:
        for shown in (self.status, self.bar):
            if shown is not None:
                shown.stop()
        self.status = self.bar = None


def show_table(found: Any) -> None:
    """A row per photograph."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    heads = ("photograph", "pixels", "tokens", "values", "PSNR", "PCA", "encode", "decode")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="dim", show_footer=True,
                  footer_style="bold")
    means = [found.mean(what) for what in ("psnr", "pca_psnr", "encode_seconds", "decode_seconds")]
    feet = ("mean", "", "", "", *(console.number(mean) for mean in means))
    for head, foot in zip(heads, feet, strict=True):
        table.add_column(head, foot, justify="left" if head == "photograph" else "right", no_wrap=True)
    for result in found.returns:
        s = result.score
        numbers = map(console.number, (s.psnr, s.pca_psnr, s.encode_seconds, s.decode_seconds))
        table.add_row(s.name, f"{s.width}x{s.height}", str(s.tokens), str(s.values_stored), *numbers)
    screen = Console(highlight=False)
    if not screen.is_terminal:
        screen.width = 100  # a pipe has no width; rows must not be cut
    screen.print(table)


def show_lines(found: Any) -> None:
    """What the table does not say, in lines that fit a narrow terminal."""
    zoom, half, fresh = found.zoom, found.half_size, found.fresh
    rate = found.mean("values_per_pixel_value")
    lines = [
        "PSNR in dB as in the papers: per picture, float32, unclamped; PCA: principal",
        f"components of 8x8 cells that store no more values ({rate:.2f} per pixel value).",
        "Encode and decode in seconds.",
        "",
        f"{found.protocol_psnr:.2f} dB on centre crops of 256 pixels, the protocol of the README",
        f"{half.psnr:.2f} dB encoded at half size, rendered at full (bicubic {half.bicubic_psnr:.2f} dB)",
        f"{zoom.seconds:.2f} s to render {zoom.name} at {zoom.factor}x, {zoom.whole.shape[2]} x {zoom.whole.shape[1]} "
        "pixels",
        f"{100 * found.area:.2f} % of the area holds 90 % of what a token changes, "
        f"{found.shares:.2f} times its equal share",
    ]
    if fresh is not None:
        first, last = fresh.snapshots[0], fresh.snapshots[-1]
        lines.append(f"{last.psnr:.2f} dB, from {first.psnr:.2f}: a fresh LAINR after {last.seconds:.0f} s on a "
                     "photograph it never saw")
    for line in lines:
        console.say(line)
    console.say()
