"""`python -m benchmarks.archive --data POOL`: how fast a data set reads coded fields, beside raw latents.

Crops of the pool, repeated to `--count` entries of one file, are read in random order on one thread: coded, decoded
once and kept, and as a raw memory-mapped array. Seconds are those of a core.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

import tokenfield
from benchmarks.code_search import crops
from tokenfield.fields.archive import FieldArchive, write_archive
from tokenfield.fields.field import Field

READ = 300


def milliseconds(read: Callable[[int], object], places: list[int]) -> float:
    """Of processor time, per entry."""
    begun = time.process_time()
    for place in places:
        read(place)
    return 1000 * (time.process_time() - begun) / len(places)


def mapped_copy(mapped: np.ndarray, place: int) -> torch.Tensor:
    """What a data set of raw latents gives of a mapped array."""
    return torch.from_numpy(mapped[place % len(mapped)].copy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the pool, with train/")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--models", nargs="+", default=["photos-codec", "photos-s", "photos-ladder"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pictures, draw = crops(arguments.data, 8), np.random.default_rng(0)
    places = draw.integers(0, arguments.count, READ).tolist()
    for name in arguments.models:
        model = tokenfield.load(name)
        fields = [Field.of(model, picture) for picture in pictures]
        coded = [field.coded(50) for field in fields]
        with tempfile.TemporaryDirectory() as folder:
            path, raw = Path(folder, "all.fields"), Path(folder, "raw.npy")
            size = write_archive(path, ((f"{i}.jpg", coded[i % len(coded)]) for i in range(arguments.count)))
            np.save(raw, np.stack([field.tokens.numpy() for field in fields]))
            mapped, archive = np.load(raw, mmap_mode="r"), FieldArchive(path, model)
            first = milliseconds(archive.__getitem__, places)
            kept = FieldArchive(path, model, unpacked=folder)
            for place in places:
                kept[place]
            again = milliseconds(kept.__getitem__, places)
            plain = milliseconds(partial(mapped_copy, mapped), places)
        whole = fields[0].bytes_stored * arguments.count / 1e6
        print(f"{name}: {arguments.count} crops of 256 in {size / 1e6:.1f} MB (raw {whole:.0f} MB); per entry "
              f"{first:.1f} ms coded, {again:.2f} ms decoded before, {plain:.2f} ms raw", flush=True)


if __name__ == "__main__":
    main()
