"""Rebuild the climatologies that the models of the Earth's fields are trained and measured on.

    python -m experiments.pools.climate build/climate

fetches Debian's `ferret-datasets` with `apt-get download`, unpacks it with `dpkg -x`, and keeps five of its netCDF
files unchanged:

    build/climate/*.cdf, *.nc     the files
    build/climate/SHA256SUMS      checked by `sha256sum -c SHA256SUMS`
    build/climate/LICENSES.tsv    file, use, licence, what it is, package, path in the package

A machine without apt reads a package it already has: `--packages FOLDER`, any folder with the `.deb` file. With
`--iris` it also fetches PyPI's `iris-sample-data` with pip and keeps its monthly sea-surface temperatures.

Three files are trained on (`--data.files`), by the recipes `lainr-climatology` and its like, which hold out every
fourth step of each; two are for measuring what a model has never seen, neither the variable (salinity, relief) nor the
grid. Nothing is random: the same packages give the same files, and one whose bytes differ is an error that names it.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from experiments.pools import debian

PACKAGE, FOLDER = "ferret-datasets", "usr/share/ferret-vis/data"
FERRET = "Ferret licence (NOAA; open source, use and redistribution free with its notice)"
"""As the package's copyright file says of everything in it."""
IRIS, IRIS_LICENCE = "iris-sample-data", "Open Government Licence 3.0"


class Item(NamedTuple):
    """One file. `digest` holds the first 12 hexadecimal digits of the SHA-256 of its bytes."""

    name: str
    use: str
    what: str
    digest: str
    package: str = PACKAGE
    folder: str = FOLDER
    licence: str = FERRET


FILES = (
    Item("coads_climatology.cdf", "train and test",
         "COADS: seven variables at the sea's surface, twelve months, 2 degrees, land and unvisited sea missing",
         "b94f55034d13"),
    Item("ocean_atlas_subset.nc", "train and test",
         "World Ocean Atlas: temperature at nineteen depths, twelve months, 2 degrees, land missing", "598e82c36892"),
    Item("monthly_navy_winds.cdf", "train and test",
         "FNOC: eastward and northward wind, 132 months from 1982, 2.5 degrees, complete", "225a9e4fed7b"),
    Item("levitus_climatology.cdf", "never trained on",
         "Levitus: temperature and salinity at twenty depths, the year's mean, 1 degree, land missing", "6cf0c43e2b5b"),
    Item("etopo60.cdf", "never trained on", "ETOPO: relief of the Earth, 1 degree, complete", "36b4cb72a01c"),
)
CLIMATOLOGIES = tuple(item.name for item in FILES if item.use.startswith("train"))
OSTIA = Item("ostia_monthly.nc", "never trained on",
             "OSTIA: sea-surface temperature, monthly, tropics, a netCDF-4 file on a region", "", IRIS,
             "iris_sample_data/sample_data", IRIS_LICENCE)


def fetch_iris(folder: Path) -> Path:
    """The unpacked wheel of `iris-sample-data`."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", IRIS, "--dest", str(folder)]
    process = subprocess.run(command, capture_output=True, text=True)
    wheels = sorted(folder.glob("iris_sample_data-*.whl"))
    if process.returncode or not wheels:
        sys.exit(f"climate_pool: pip download {IRIS} failed: {debian.last_line(process.stderr)}")
    with zipfile.ZipFile(wheels[-1]) as wheel:
        wheel.extract(f"{OSTIA.folder}/{OSTIA.name}", folder / IRIS)
    return folder / IRIS


def collect(items: tuple[Item, ...], roots: dict[str, Path], out: Path) -> list[tuple[Item, str]]:
    """Copies the files to `out`; returns each with its full SHA-256. All are checked before one is written."""
    rows = []
    for item in items:
        source = roots[item.package] / item.folder / item.name
        if not source.is_file():
            sys.exit(f"climate_pool: {item.package} has no {item.folder}/{item.name}: another version of the package")
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        if not digest.startswith(item.digest):
            sys.exit(f"climate_pool: {item.name} of {item.package} has other bytes ({digest[:12]}) than the file that "
                     f"was trained on ({item.digest}): another version of the package")
        rows.append((item, digest))
    out.mkdir(parents=True, exist_ok=True)
    for item, _ in rows:
        shutil.copyfile(roots[item.package] / item.folder / item.name, out / item.name)
    return rows


def write_lists(rows: list[tuple[Item, str]], out: Path) -> str:
    """Writes SHA256SUMS and LICENSES.tsv; returns the pool's identity, the SHA-256 of SHA256SUMS."""
    rows = sorted(rows)
    sums = "".join(f"{digest}  {item.name}\n" for item, digest in rows)
    lines = ["file\tuse\tlicence\twhat\tpackage\tpath"]
    lines += ["\t".join((i.name, i.use, i.licence, i.what, i.package, f"{i.folder}/{i.name}")) for i, _ in rows]
    (out / "SHA256SUMS").write_text(sums)
    (out / "LICENSES.tsv").write_text("\n".join(lines) + "\n")
    return hashlib.sha256(sums.encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path, help="folder for the files; new or empty")
    parser.add_argument("--packages", type=Path, help="folder that already holds the .deb file")
    parser.add_argument("--iris", action="store_true", help="also the monthly temperatures of iris-sample-data (PyPI)")
    args = parser.parse_args()
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        sys.exit(f"climate_pool: {args.out} is not an empty folder; name a new one")
    with tempfile.TemporaryDirectory(prefix="climate-pool-") as scratch:
        roots = debian.roots([PACKAGE], args.packages, Path(scratch))
        if args.iris:
            roots[IRIS] = fetch_iris(Path(scratch))
        rows = collect((*FILES, OSTIA) if args.iris else FILES, roots, args.out)
    identity = write_lists(rows, args.out)
    trained = sum(item.use.startswith("train") for item, _ in rows)
    print(f"{args.out}: {trained} files to train and test on, {len(rows) - trained} never trained on; "
          f"pool sha256 {identity[:12]}")


if __name__ == "__main__":
    main()
