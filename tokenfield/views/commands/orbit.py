"""`tokenfield views orbit` and `serve`: objects from all around, as files or on a page of this machine."""

from dataclasses import dataclass
from glob import escape
from math import isfinite
from pathlib import Path
from typing import Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.options import check_at_least
from tokenfield.cli.types import Field, Tensor
from tokenfield.errors import UserError
from tokenfield.io.lock import take
from tokenfield.io.outputs import check_free, short
from tokenfield.io.record import Record
from tokenfield.views.commands.options import FEW, ObjectOptions


@dataclass
class Orbit(ObjectOptions):
    """Draw one object: an orbit as PNG frames and as an animated WebP (and MP4 where ffmpeg is installed).

    Beside it: its real views next to the model's, and a .field file that any tokenfield decode renders. MODEL may be
    such a .field file, which needs no pictures any more.
    """

    pose: Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="AZIMUTH ELEVATION")] = None
    """Draw one view from so many degrees around and above, and nothing else."""
    frames: int = 36
    """Of the orbit."""
    size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None
    """Side of the pictures in pixels; default: that of the model's own."""
    out: Out = None
    """Folder for what is written; default: ./views."""
    overwrite: bool = False
    """Replace what lies there already."""
    json: Json = None

    def run(self) -> int:
        """Draw and save."""
        check_at_least(1, frames=self.frames)
        check_at_least(8, size=self.size)
        if self.pose is not None and not (isfinite(self.pose[0]) and -90 <= self.pose[1] <= 90):
            raise UserError(f"--pose {self.pose[0]:g} {self.pose[1]:g}: give degrees around, and from -90 to 90 above")
        folder = self.out or Path("views")
        take(folder)
        report = self.draw_field(folder) if self.model.endswith(".field") else self.draw_object(folder)
        console.write_json(self.json, "views orbit", report)
        return console.OK

    def draw_field(self, folder: Path) -> Record:
        """An object from its .field file."""
        import torch

        from tokenfield.fields.field import Field
        from tokenfield.views.light_field import camera_of

        path = Path(self.model)
        field = Field.load(path)
        files = self.draw(field, torch.tensor(camera_of(field).pose).view(1, 4, 4), folder, short(path.stem))
        self.tell(files, folder)
        return {"field": path.name, "files": [file.name for file in files]}

    def draw_object(self, folder: Path) -> Record:
        """An object from its pictures: its orbit, its real views beside the model's, and its field."""
        from tokenfield.views import scores as protocol
        from tokenfield.views.viewer.orbits import draw_beside

        model, number, (integral, fitting), (item,) = self.open_objects(1)
        field = protocol.field_of_views(model, item, range(number), integral, fitting)
        name = short(item.name.replace("/", "-"))
        report: Record = {"model": model.name, "object": item.name, "support": number, "optimize": fitting.steps}
        files = self.draw(field, item.poses, folder, name)
        if self.pose is not None:
            self.tell(files, folder)
        else:
            field.save(folder / f"{name}.field")
            score = protocol.score_objects(model, [item], [number], integral=integral, fitting=fitting)[0]
            report |= {"psnr": score.psnr, "ssim": score.ssim, "targets": score.targets}
            files += [folder / f"{name}.field", *draw_beside(field, item, number, folder, name)]
            console.say(f"{item.name}, {number} support views: {score.psnr:.2f} dB, SSIM {score.ssim:.4f} on "
                        f"{score.targets} held-out views")
            self.tell(files, folder)
        return report | {"files": [file.name for file in files]}

    def tell(self, files: list[Path], folder: Path) -> None:
        """What was written: one view by its name, an orbit by the files beside its frames."""
        frames = self.frames if self.pose is None else 0
        for file in files[frames:]:
            console.say(str(file))
        if frames:
            others = console.counted(len(files) - frames, "other file")
            console.notice(f"{console.counted(frames, 'frame')} and {others} are in {folder}")

    def draw(self, field: Field, poses: Tensor, folder: Path, name: str) -> list[Path]:
        """The view from the pose, or an orbit with the distance and the height of the cameras of `poses`."""
        from tokenfield.evaluation.figures import save_png, to_pil
        from tokenfield.views.light_field import render_from
        from tokenfield.views.viewer import orbits

        if self.pose is None:
            ends = "-orbit-???.png", "-orbit.webp", "-orbit.mp4", "-views.png", "-beside.webp"
            check_free([file for end in ends for file in folder.glob(escape(name) + end)], overwrite=self.overwrite)
        folder.mkdir(parents=True, exist_ok=True)
        side = self.size or field.native_size[0]
        if self.pose is None:
            with console.progress("orbit") as bar:
                return orbits.draw_orbit(field, poses, self.frames, side, folder / f"{name}-orbit", bar.piece)
        camera = orbits.pose_at(*self.pose, orbits.distance_of(poses))
        image = to_pil(render_from(field, camera[None], (side, side))[0].cpu())
        return [save_png(folder / f"{name}-{self.pose[0]:g}-{self.pose[1]:g}.png", image)]


@dataclass
class Serve(ObjectOptions):
    """Open a page on this machine on which objects are turned with the mouse, until Ctrl-C."""

    count: int = FEW
    """At most so many objects, the first ones."""
    port: int = 8765
    """Of the page; 0 takes a free one."""

    def run(self) -> int:
        """Serve the page."""
        from tokenfield.views.viewer.server import Viewer, server_of

        check_at_least(1, count=self.count)
        model, support, rendering, objects = self.open_objects(self.count)
        with server_of(Viewer(model, objects, support, *rendering), self.port) as server:
            console.say(f"http://127.0.0.1:{server.server_port}/ shows {len(objects)} objects; Ctrl-C ends it")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                console.notice("the page is closed")
        return console.OK
