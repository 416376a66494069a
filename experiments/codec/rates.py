"""`python -m experiments.codec.rates --data POOL --out results/rates`: bytes against PSNR and MS-SSIM.

Three sets: 256-pixel centre crops of scikit-image's photographs, 512-pixel centre crops of the pool's test pictures,
and these whole (`--sets`). Nothing was chosen on any of them: qualities are fixed in `experiments.codec.rivals`, the
model and its tables are fitted on the pool's training half. PSNR is between 8-bit files, over red, green and blue
alike. Sizes are those of whole files, seconds those of a core (processor time, which other work does not lengthen).
Every picture's numbers are kept in `rates.json`, and a stopped run goes on. `ipc-photos` is packaged without tables;
its are fitted first, minutes of a core, into `--tables`. `--pictures` and `--every` take the first
pictures of a set and every n-th quality, where time is short; the table says how many.
"""

import argparse
import json
import math
import statistics
from collections.abc import Iterator
from functools import partial
from itertools import islice, product
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as ms_ssim

from experiments.codec.curves import bd_rate
from experiments.codec.rivals import OWN, QUALITIES, Codec, field, rivals
from experiments.release.codec import with_tables
from tokenfield.data.demo_pictures import HELD_OUT, center_crop, data_folder
from tokenfield.data.pictures import find_pictures, read_picture
from tokenfield.io.atomic import write_whole
from tokenfield.io.charts import COLOURS, charts
from tokenfield.metrics import psnr_8bit

MODELS = ["photos-codec", "photos-s", "photos-ladder", "lainr-photos", "ipc-photos"]
"""All packaged ones but `photos-zoom`, whose fields hold the picture itself and more."""
ORDER = ["JPEG 4:2:0", "JPEG 4:4:4", "WebP", "AVIF", "JPEG XL", *MODELS]
"""Of rows."""

PUBLISHED = """\
As published, on the 24 pictures of Kodak and by their authors' programs, so not comparable with the numbers above:
COIN++ (Dupont et al. 2022, results of its repository) 23.68 dB at 0.067, 24.93 at 0.132, 26.14 at 0.266, 27.03 at
0.398 and 27.80 dB at 0.537 bits per pixel; COOL-CHIC 4.0 (its release notes) BD-rate -17.2 % against HEVC (HM 16) and
+3.4 % against VVC (VTM 19), decoding in 74 ms on a CPU after minutes of optimisation per picture.
"""


def pictures(kind: str, pool: Path) -> Iterator[tuple[str, Tensor]]:
    """The pictures of a set, by name."""
    if kind == "skimage":
        for name, file in HELD_OUT.items():
            yield name, center_crop(read_picture(data_folder() / file), 256)
        return
    for path in find_pictures(pool / "test"):
        picture = read_picture(path)
        yield path.stem, picture if kind == "whole" else center_crop(picture, 512)


def measure(codec: Codec, picture: Tensor, quality: float) -> dict[str, float]:
    """One point of a curve."""
    coded = codec(picture, quality)
    pair = coded.picture[None], picture[None]
    return {"quality": quality, "bytes": coded.bytes, "bpp": 8 * coded.bytes / picture[0].numel(),
            "psnr": psnr_8bit(*pair).item(), "ms_ssim": ms_ssim(*pair, data_range=1.0).item(),
            "encode_seconds": coded.encode_seconds, "decode_seconds": coded.decode_seconds}


def decibels(similarity: float) -> float:
    """MS-SSIM on a scale on which its curves are straight: -10 log10(1 - s)."""
    return -10 * math.log10(max(1e-6, 1 - similarity))


def report(results: dict[str, dict[str, dict[str, list[dict[str, float]]]]]) -> str:
    """The table: BD-rates against JPEG and WebP, and seconds per megapixel, of every set."""
    lines = []
    for kind, by_picture in results.items():
        names = [name for name in ORDER if any(name in codecs for codecs in by_picture.values())]
        lines += [f"\n**{kind}**, {len(by_picture)} pictures, BD-rate in percent from 0.15 to 2 bits per pixel, mean "
                  "over pictures (negative: fewer bytes at equal quality); seconds of a core per megapixel\n",
                  "| | PSNR, against JPEG 4:2:0 | against JPEG 4:4:4 | against WebP | MS-SSIM, against JPEG 4:2:0 "
                  "| pictures | points | encode, s | decode, s |",
                  "|---|---|---|---|---|---|---|---|---|"]
        for name in names:
            cells = [mean_bd(by_picture, reference, name, key) for reference, key in (
                ("JPEG 4:2:0", "psnr"), ("JPEG 4:4:4", "psnr"), ("WebP", "psnr"), ("JPEG 4:2:0", "ms_ssim"))]
            points = [point for codecs in by_picture.values() for point in codecs.get(name, ())]
            cells += [str(sum(name in codecs for codecs in by_picture.values())), str(len(points))]
            lines.append(f"| {name} | " + " | ".join([*cells, *map(partial(per_megapixel, points), TIMES)]) + " |")
    return "\n".join(lines) + "\n\n" + PUBLISHED


TIMES = "encode_seconds", "decode_seconds"


def per_megapixel(points: list[dict[str, float]], time: str) -> str:
    """The median over pictures and qualities, as text."""
    found = [point[time] * point["bpp"] / (8e-6 * point["bytes"]) for point in points if time in point]
    return f"{statistics.median(found):.2f}" if found else ""


def mean_bd(by_picture: dict[str, dict[str, list[dict[str, float]]]], reference: str, name: str, key: str) -> str:
    """Mean BD-rate of a codec over the pictures where both curves meet, as text."""
    def curve(points: list[dict[str, float]]) -> list[tuple[float, float]]:
        return [(p["bpp"], p[key] if key == "psnr" else decibels(p[key])) for p in points]

    rates = [bd_rate(curve(codecs[reference]), curve(codecs[name])) for codecs in by_picture.values()
             if reference in codecs and name in codecs]
    rates = [rate for rate in rates if not math.isnan(rate)]
    return f"{statistics.mean(rates):+.1f}" if rates else ""


def draw(results: dict[str, dict[str, dict[str, list[dict[str, float]]]]], path: Path) -> None:
    """A panel per set: mean PSNR over mean bits per pixel, at equal qualities, of what was measured on all of it."""
    titles = [f"{kind}: {scale}" for scale in ("8-bit PSNR, dB", "MS-SSIM, -10 log10(1 - s)") for kind in results]
    size = (1.8 + 5.5 * len(results), 8.6)
    with charts(path, *titles, size=size, columns=len(results), xlabel="bits per pixel") as panels:
        for panel, (key, by_picture) in zip(panels, product(("psnr", "ms_ssim"), results.values()), strict=True):
            names = [name for name in ORDER if all(name in codecs for codecs in by_picture.values())]
            for number, name in enumerate(names):
                curves = [codecs[name] for codecs in by_picture.values()]
                x = [statistics.mean(p["bpp"] for p in points) for points in zip(*curves, strict=True)]
                y = [statistics.mean(p[key] if key == "psnr" else decibels(p[key]) for p in points)
                     for points in zip(*curves, strict=True)]
                line, width = ("-", 2.2) if name in MODELS else ("--", 1.2)
                panel.plot(x, y, line, marker=".", label=name, color=COLOURS[number % len(COLOURS)], linewidth=width)
            panel.set_xlim(0, 2.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the pool, with test/")
    parser.add_argument("--out", type=Path, required=True, help="folder for rates.json, rates.md and rates.png")
    parser.add_argument("--sets", nargs="*", default=["skimage", "pool", "whole"])
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--tables", type=Path, default=Path("build/tables"), help="folder for tables not packaged")
    parser.add_argument("--pictures", type=int, help="the first so many pictures of a set alone")
    parser.add_argument("--every", type=int, default=1, help="every n-th quality alone")
    arguments = parser.parse_args()
    codecs = {name: (codec, QUALITIES) for name, codec in rivals().items()}
    codecs |= {name: (partial(field, with_tables(name, arguments.data, arguments.tables)), OWN)
               for name in arguments.models}
    record = arguments.out / "rates.json"
    results = json.loads(record.read_text()) if record.exists() else {}
    for kind in arguments.sets:
        for name, picture in islice(pictures(kind, arguments.data), arguments.pictures):
            seen = results.setdefault(kind, {}).setdefault(name, {})
            for label, (codec, qualities) in codecs.items():
                if label not in seen:
                    with torch.no_grad():
                        seen[label] = [measure(codec, picture, quality) for quality in qualities[:: arguments.every]]
                    write_whole(record, json.dumps(results, indent=1))
            print(kind, name, flush=True)
    write_whole(arguments.out / "rates.md", report(results))
    print(report(results))
    draw(results, arguments.out / "rates.png")


if __name__ == "__main__":
    main()
