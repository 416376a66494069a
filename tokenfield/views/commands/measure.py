"""`tokenfield views measure`: how well a model renders held-out views."""

from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from tokenfield.cli import console
from tokenfield.cli.console import Int, Json, Out, Table
from tokenfield.cli.options import check_at_least
from tokenfield.io.lock import take
from tokenfield.io.outputs import check_free
from tokenfield.io.record import Record
from tokenfield.views.commands.options import FEW, ModelOptions


@dataclass
class Measure(ModelOptions):
    """Measure PSNR (the papers', unclamped) and SSIM of held-out views, for every number of support views.

    Writes views.json and views.png, the figure PSNR against number of views, and prints a table.
    """

    count: Int = None
    """Measure only so many objects, the first ones."""
    targets: int = 0
    """Views to compare per object, evenly spread over those that are not encoded; 0: all."""
    reserved: int = 0
    """Views at the beginning that are never compared; give 5 to compare with other runs of up to 5."""
    out: Out = None
    """Folder for what is written; default: ./views."""
    overwrite: bool = False
    """Replace what lies there already."""
    json: Json = None
    table: Table = None

    def run(self) -> int:
        """Measure, print, write."""
        from tokenfield.views import scores as protocol

        check_at_least(1, count=self.count)
        check_at_least(0, targets=self.targets, reserved=self.reserved)
        folder = self.out or Path("views")
        take(folder)
        check_free([folder / "views.json", folder / "views.png"], overwrite=self.overwrite)
        model, numbers, (integral, fitting), source = self.open()
        total = min(self.count or len(source), len(source))
        with console.progress("measuring", total) as bar:
            scores = protocol.score_objects(model, islice(source.objects(), total), numbers, integral=integral,
                                      targets=self.targets, reserved=self.reserved, fitting=fitting, before=bar.file)
        report: Record = {"model": model.name, "kind": model.kind, "targets": self.targets,
                  "reserved": max(self.reserved, *numbers), "optimize": self.optimize, "points": integral.points,
                  "means": protocol.means(scores), "objects": [asdict(score) for score in scores]}
        show(report["objects"] if total <= FEW else [], report["means"], self.table)
        console.write_json(folder / "views.json", "views measure", report)
        curve = [(line["support"], line["psnr"]) for line in report["means"]]
        protocol.figure_4a(folder / "views.png", {model.name: curve}, "Held-out views, by the number of support views")
        console.notice(f"views.json and views.png are in {folder}")
        console.write_json(self.json, "views measure", report | {"skipped": source.skipped.as_json()})
        return console.finish(source.skipped, len(source) + len(source.skipped))


def show(objects: list[Record], means: list[Record], table: Path | None) -> None:
    """A table of scores."""
    lines = [(line["name"], line) for line in objects] + [(f"mean of {line['objects']}", line) for line in means]
    rows = [["", "views", "PSNR dB", "SSIM", "values", "bytes", "encode s", "render s"]]
    for name, line in lines:
        rows.append([name, str(line["support"]), console.number(line["psnr"]), console.number(line["ssim"], 4),
                     str(line["values_stored"]), str(4 * line["values_stored"]),
                     console.number(line["encode_seconds"], 3), console.number(line["render_seconds"], 3)])
    console.show_table(rows, table)
    console.say("PSNR: per view, float32, unclamped, then the mean; seconds: the median, of one view.")
