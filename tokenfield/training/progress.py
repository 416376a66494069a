"""What a person sees while a run goes on: a live bar on a terminal, plain lines elsewhere.

Everything goes to stderr, so that stdout stays free for results.
"""

import time
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tokenfield.io.record import Record
from tokenfield.training.journal import PSNR, Measure

PLAIN_SECONDS = 10.0
"""Seconds between two plain lines: an hour of training fills a log with a few hundred."""


class Display:
    """Progress of one run of so many steps; `shown` is False on all processes but the first."""

    def __init__(self, steps: int, *, shown: bool, measure: Measure = PSNR):
        self.measure = measure
        self.console = Console(stderr=True, quiet=not shown, highlight=False)
        self.steps, self.printed, self.evaluation = steps, time.monotonic(), ""
        self.bar: Progress | None = None

    def start(self, step: int) -> None:
        """Begin to show progress, from `step` on."""
        if step:
            self.say(f"resumed after step {step} of {self.steps}")
        if self.console.is_terminal and not self.console.quiet:
            steps, text = TextColumn("step {task.completed:.0f}/{task.total:.0f}"), TextColumn("{task.fields[text]}")
            self.bar = Progress(steps, BarColumn(), text, TimeRemainingColumn(), console=self.console)
            self.task = self.bar.add_task("", total=self.steps, completed=step, text="")
            self.bar.start()

    def say(self, line: str) -> None:
        """One line that stays."""
        self.console.print(line, markup=False, soft_wrap=True)

    def update(self, metrics: Record) -> None:
        """Show a line of training metrics; without a terminal, only every `PLAIN_SECONDS` and at the end."""
        step, speed = int(metrics["step"]), metrics["images_per_second"]
        number = self.measure.text.format(metrics[self.measure.name])
        text = f"{number}{self.evaluation} · {speed:.1f} {self.measure.speed}/s"
        if self.bar is not None:
            self.bar.update(self.task, completed=step, text=text)
        elif time.monotonic() - self.printed >= PLAIN_SECONDS or step == self.steps:
            self.printed = time.monotonic()
            remaining = (self.steps - step) * (metrics["images"] / step) / speed if speed else 0
            self.say(f"step {step}/{self.steps} · {text} · {timedelta(seconds=round(remaining))} left")

    def evaluated(self, step: int, value: float, count: int) -> None:
        """Show an evaluation, and keep its number beside that of training."""
        number = self.measure.text.format(value)
        self.evaluation = f" (held out {number.removesuffix(' dB').removeprefix('loss ')})"
        self.say(f"step {step}: {number} on {count} held-out {self.measure.things}")

    def close(self) -> None:
        """Take the bar down."""
        if self.bar is not None:
            self.bar.stop()
