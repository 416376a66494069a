"""`tokenfield views serve`: objects on a page of this machine, turned with the mouse."""

from dataclasses import dataclass

from tokenfield.cli import console
from tokenfield.cli.options import check_at_least
from tokenfield.views.commands.options import FEW, ObjectOptions


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
