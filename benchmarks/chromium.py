"""A headless Chromium that tests and benchmarks drive, through its debugging protocol over two pipes."""

import base64
import json
import os
import shutil
import subprocess
import time
from itertools import count

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next(filter(None, map(shutil.which, PROGRAMS)), None)
PATIENCE = 180.0
"""Seconds for an answer: test machines are busy."""


class Chromium:
    """One browser with one page."""

    def __init__(self, profile, width=600, height=600, flags=()):
        assert PROGRAM is not None, "a Chromium"
        (read, self.write), (self.read, write) = os.pipe(), os.pipe()
        command = [PROGRAM, "--headless=new", "--no-sandbox", "--remote-debugging-pipe", f"--user-data-dir={profile}",
                   "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-gpu",
                   "--disable-dev-shm-usage", f"--window-size={width},{height}", "--force-device-scale-factor=1",
                   *flags]
        shell = f"exec {' '.join(map(repr, command))} 3<&{read} 4>&{write} about:blank"  # Chromium wants these two
        self.process = subprocess.Popen(["bash", "-c", shell], pass_fds=(read, write), stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        os.close(read)
        os.close(write)
        self.numbers, self.buffer, self.messages, self.session = count(1), b"", [], None
        target = next(t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        self.ask("Runtime.enable")
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def ask(self, method, **parameters):
        """The answer to a command of the protocol."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.messages.append(answer)

    def receive(self):
        while b"\0" not in self.buffer:
            part = os.read(self.read, 1 << 20)
            assert part, "Chromium ended"
            self.buffer += part
        line, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(line)

    def evaluate(self, script):
        """The value of an expression, awaited."""
        result = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def until(self, script, seconds=PATIENCE):
        """Waits for an expression to become true."""
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({script})"):
            status = self.evaluate("document.getElementById('status')?.textContent")
            assert time.monotonic() < end, f"still not {script}; the page says {status!r}; {self.complaints()}"
            time.sleep(0.05)

    def complaints(self):
        """What the page logged."""
        return [m["params"] for m in self.messages if m.get("method") in ("Runtime.exceptionThrown",
                                                                          "Runtime.consoleAPICalled")]

    def open(self, address):
        self.ask("Page.enable")
        self.ask("Page.navigate", url=address)

    def mouse(self, kind, x, y, **more):
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def drag(self, start, end, steps=4):
        """Presses at one point of the page, moves, releases at another."""
        self.mouse("mousePressed", *start, button="left", buttons=1, clickCount=1)
        for k in range(1, steps + 1):
            at = [a + (b - a) * k / steps for a, b in zip(start, end, strict=True)]
            self.mouse("mouseMoved", *at, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", buttons=0, clickCount=1)

    def click(self, x, y):
        self.drag((x, y), (x, y), 0)

    def wheel(self, x, y, delta):
        self.mouse("mouseWheel", x, y, deltaX=0, deltaY=delta)

    def key(self, text):
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, key=text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=text)

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        try:
            self.session = None
            self.ask("Browser.close")
            self.process.wait(10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
        self.process.wait()
        os.close(self.read)
        os.close(self.write)
