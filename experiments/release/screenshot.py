"""A picture of the viewer's page as a browser shows it, after a drag: docs/figures/views-page.png.

    python -m experiments.release.screenshot MODEL --data FOLDER --out docs/figures/views-page.png

Needs a Chromium (Debian: apt-get install chromium). The server runs in this process; the browser, headless and without
a network, opens the page on which a few lines added to its end turn the object as a mouse would, and is asked for a
screenshot once the last view is drawn. The script fails unless the page says that it drew a view from where the drag
ended, so it is a test of the page as well.
"""

import re
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import tyro

from tokenfield.cli.options import load_model
from tokenfield.errors import UserError
from tokenfield.views.commands.options import integral_of, open_views
from tokenfield.views.models.base import views_model
from tokenfield.views.viewer import server
from tokenfield.views.viewer.server import PAGE

DRAG = (Path(__file__).parent / "assets" / "drag.html").read_text()
"""80 pixels to the left, 10 down: 40 degrees further round, 5 degrees higher."""


@dataclass(frozen=True)
class Options:
    """What to show."""

    model: tyro.conf.Positional[str]
    """A folder with a model of views."""
    data: Path
    """Posed views."""
    out: Path = Path("docs/figures/views-page.png")
    """The picture."""
    support: int = 3
    """Views that are given."""
    objects: int = 8
    """Objects to choose from on the page."""
    patience: int = 20
    """Seconds of the page's own time before the picture is taken."""


def shoot(browser: str, address: str, options: Options) -> str:
    """Takes the screenshot and returns the page's document as it was then."""
    with tempfile.TemporaryDirectory() as profile:
        common = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        common += [f"--user-data-dir={profile}", "--window-size=800,900"]
        common += [f"--virtual-time-budget={1000 * options.patience}"]
        options.out.parent.mkdir(parents=True, exist_ok=True)
        for extra in (f"--screenshot={options.out.resolve()}", "--dump-dom"):
            process = subprocess.run([*common, extra, address], capture_output=True, text=True, timeout=600)
            if process.returncode:
                raise UserError(f"the browser failed: {process.stderr.strip()[-300:]}")
    return process.stdout


def main(options: Options) -> None:
    """Serve, drag, look."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        raise UserError("no Chromium is installed; on Debian: apt-get install chromium")
    model = load_model(options.model, "cpu")
    source = open_views(views_model(model), options.data, "", "test", options.support)
    objects = [item for _, item in zip(range(options.objects), source.objects(), strict=False)]
    viewer = server.Viewer(views_model(model), objects, options.support, integral_of(options.model, None))
    server.PAGE = PAGE.replace("</body>", DRAG)
    with server.server_of(viewer, 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        document = shoot(browser, f"http://127.0.0.1:{running.server_port}/", options)
        running.shutdown()
    facts = re.search(r'id="facts"[^>]*>([^<]*)<', document)
    print(facts[1] if facts else "the page says nothing")
    if not facts or "azimuth 70" not in facts[1]:
        raise SystemExit("the drag did not arrive where it should: azimuth 30 + 80 x 0.5 = 70")
    print(f"{options.out}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main(tyro.cli(Options))
