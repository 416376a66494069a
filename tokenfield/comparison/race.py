"""The race as a table: rows are systems at a size, measured on the same pictures whatever they are trained on."""

from dataclasses import dataclass

from tokenfield.comparison.held_out import FINAL_SIDE, SIDE, HeldOut
from tokenfield.comparison.rows import Row, Table
from tokenfield.errors import UserError
from tokenfield.recipes import race
from tokenfield.training.recipe import Recipe

SHAPES = {
    "miniature": "networks that a core trains in minutes (tokenfield/recipes/race.py), pictures of 64 to 1024 pixels",
    "photos": "the papers' sizes, in bfloat16; for an accelerator",
}


@dataclass(frozen=True)
class RaceRow(Row):
    """A system at a size; `recipe` names both."""

    system: str = ""
    size: int = 0

    def at(self, scale: str, seed: int) -> Recipe:
        """The run of this row: for a core (miniature), or in the papers' sizes (photos)."""
        if scale not in SHAPES:
            raise UserError(f"row {self.label}: the race is run on photographs; give --scale photos or miniature")
        return race.race(self.system, self.size, full=scale == "photos", seed=seed)

    def held_out(self, scale: str) -> HeldOut:
        """The middle of every test picture, for all systems alike."""
        return HeldOut(race.held_out(self.size))


def rows(*sizes: int) -> tuple[RaceRow, ...]:
    """All systems at the sizes."""
    return tuple(
        RaceRow(f"{label}, {size}", f"race-{system}-{size}", system=system, size=size)
        for size in sizes
        for system, (label, _) in race.SYSTEMS.items()
    )


def table(*sizes: int) -> Table:
    """The race at the sizes."""
    return Table(
        "Same pictures, same stored values, same processor seconds",
        rows(*sizes),
        "nowhere: equal budgets are this project's own",
        figure="race",
        expected="anchored at IPC's final PSNR in under a twentieth of its steps",
        shapes=SHAPES,
        measured_on="held-out pictures: the middle of every test picture at every scale that holds it, at 512 and "
        f"1024 pixels at full scale alone; at most {FINAL_SIDE} x {FINAL_SIDE} evenly spaced pixels of each ({SIDE} x "
        f"{SIDE} along the curves), at their centres, unclamped; the same ones for all systems",
    )
