"""How fast fields open in a browser: the time to the first picture, tiles, and frames while one is moved about.

    python -m benchmarks.browser [--model photos-s] [--json out.json]

A headless Chromium shows a field of the 512-pixel astronaut in a window of 512 x 512 pixels and decodes it by
WebAssembly on the processor. Beside every time stands what all processes of the browser computed meanwhile, in seconds
of one core: on a machine with other work, that is what compares. Frames are counted while the view moves by 3 pixels
and zooms by 0.5 % a frame, so that tiles of several levels are decoded meanwhile. A headless browser draws at most 60
frames a second.
"""

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.chromium import PROGRAM, Chromium
from tokenfield.browser.command import HOST, server_of
from tokenfield.browser.page import write_page
from tokenfield.browser.scenes import Subject
from tokenfield.data.demo_pictures import held_out
from tokenfield.fields.field import Field
from tokenfield.models import pretrained

WINDOW = (868, 590)
"""Of the browser, so that the canvas is 512 pixels a side or a little more."""
FRAMES = """new Promise((resolve) => {
  const begun = performance.now(); let frames = 0, worst = 0, last = begun;
  const step = () => {
    const now = performance.now();
    worst = Math.max(worst, now - last); last = now; frames += 1;
    if (now - begun > 5000) return resolve({ perSecond: 1000 * frames / (now - begun), worst });
    page.shown.move(frames % 200 < 100 ? 3 : -3, 2 * Math.sin(frames / 20));
    page.shown.zoom(frames % 400 < 200 ? 1.005 : 1 / 1.005, 256, 256);
    requestAnimationFrame(step);
  };
  step();
})"""
TILES = """(async () => {
  if (ANEW) await page.decoder.ask("edit", { token: null });
  let count = 0;
  for (let k = 0; k < 16; k++, count++) {
    await page.decoder.ask("tile", { tile: { level: 1, i: k >> 2, j: k & 3 } });
  }
  return count;
})()"""


class Stopwatch:
    """Seconds, and seconds of one core that the browser's processes computed, since the last look."""

    def __init__(self, browser: Chromium):
        self.process = psutil.Process(browser.process.pid)
        self.last = self.now()

    def now(self) -> tuple[float, float]:
        every = [self.process, *self.process.children(recursive=True)]
        return time.perf_counter(), sum(sum(one.cpu_times()[:2]) for one in every)

    def lap(self) -> dict[str, float]:
        """Both since the last lap."""
        (begin, before), (end, after) = self.last, self.now()
        self.last = end, after
        return {"seconds": end - begin, "core_seconds": after - before}


def measure(model: str) -> dict[str, object]:
    """All figures, in milliseconds and frames per second."""
    with tempfile.TemporaryDirectory() as folder:
        page, photograph = Path(folder) / "page", held_out("astronaut", size=512)
        write_page([Subject("astronaut", Field.of(pretrained.load(model), photograph), photograph)], page)
        with server_of(page, 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            browser = Chromium(Path(folder) / "profile", *WINDOW)
            watch = Stopwatch(browser)
            try:
                browser.open(f"http://{HOST}:{server.server_port}/?provider=wasm")
                browser.until("window.page?.shown?.firstPicture", 600)
                report = {"model": model, "first_picture": watch.lap()}
                browser.until("page.shown.whole", 600)
                report |= {"whole_picture": watch.lap(), "window": browser.evaluate("page.stage.size()"),
                           "about": browser.evaluate("document.getElementById('about').textContent")}
                watch.lap()
                for name, script in {"new_blocks_and_tiles": "true", "tiles": "false"}.items():
                    count = browser.evaluate(TILES.replace("ANEW", script))
                    report[name] = {"tiles": count} | watch.lap()
                for name in ("frames", "frames_of_known_tiles"):
                    watch.lap()
                    report[name] = browser.evaluate(FRAMES) | watch.lap()
                    browser.until("page.shown.whole", 600)
                return report
            finally:
                browser.close()
                server.shutdown()


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="photos-s")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if PROGRAM is None:
        parser.error("no Chromium on this machine: apt-get install chromium")
    report = json.dumps(measure(options.model), indent=1)
    print(report)
    if options.json:
        options.json.write_text(report + "\n")


if __name__ == "__main__":
    main()
