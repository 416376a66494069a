"""`tokenfield generate samples`: new pictures, with their fields."""

from dataclasses import dataclass

from tokenfield.cli import console
from tokenfield.generation.commands.drawing import Drawing, Models
from tokenfield.io.record import Record


@dataclass(kw_only=True)
class Samples(Drawing):
    """Draw new pictures: 0000.png, 0000.field, ..., and a contact sheet of them.

    Sample number i is a function of --seed and i (and its class): neither --count nor --batch changes it, and
    --first 1000 continues where another call, or another machine, stops.
    """

    count: int = 16
    """Samples."""
    first: int = 0
    """Number of the first sample."""
    batch: int = 16
    """Samples drawn at once."""

    def draw(self, models: Models) -> tuple[str, Record]:
        """Samples: a picture and a .field file of each, and the contact sheet."""
        from tokenfield.generation.samples_to_fields import labels_for
        from tokenfield.generation.sampling import sample

        labels = labels_for(models.denoiser, self.classes, self.count, self.first)
        with console.progress("drawing") as bar:
            tokens = sample(models.denoiser, labels, models.sampler, seed=self.seed, first=self.first,
                            batch=self.batch, progress=bar.piece)
        facts = self.write(models, tokens, labels, self.first)
        kinds = ", ".join(dict.fromkeys(item["class"] for item in facts["items"] if item["class"])) or "no class"
        return f"{self.count} samples ({kinds})", facts
