"""`tokenfield views serve`: objects on a page of this machine, turned with the mouse."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Folder
from tokenfield.errors import UserError
from tokenfield.views.commands.options import FEW, ModelOptions, at_least, choose


@dataclass
class Serve(ModelOptions):
    """Open a page on this machine on which objects are turned with the mouse, until Ctrl-C."""

    object: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Only this object of --data; the end of a name is enough."""
    images: Folder = None
    """In place of --data an object of your own: a folder with transforms.json."""
    count: int = FEW
    """At most so many objects, the first ones."""
    port: int = 8765
    """Of the page; 0 takes a free one."""

    def run(self) -> int:
        """Serve the page."""
        from tokenfield.views.viewer.server import Viewer, server_of

        if (self.data is None) == (self.images is None):
            raise UserError("give --data FOLDER with many objects, or --images FOLDER with the views of one")
        at_least("count", self.count, 1)
        model = self.load()
        support = max(self.numbers(model))
        objects = choose(self.source(model, self.images, support), self.object, self.count)
        with server_of(Viewer(model, objects, support, *self.rendering()), self.port) as server:
            console.say(f"http://127.0.0.1:{server.server_port}/ shows {len(objects)} objects; Ctrl-C ends it")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                console.notice("the page is closed")
        return console.OK
