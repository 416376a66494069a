"""Rebuild the data sets of rendered objects: chairs, lamps, cars and other furniture, in learnit's layout.

    python -m experiments.pools.objects build/objects --size 64

fetches Debian's `sweethome3d-furniture` and `torcs-data` with `apt-get download`, unpacks them with `dpkg -x`, and
renders what `tokenfield views render` would render of them (this is that command with a list of objects and a split):

    build/objects/chairs/OBJECT/transforms.json, view-000.png ...    and lamps/, cars/, furniture/
    build/objects/chairs_splits.json                                 {"train": [...], "test": [...]}
    build/objects/chairs_licenses.tsv                                object, split, licence, author, package, path

A machine without apt reads packages it already has: `--packages FOLDER`. A run that was stopped is continued by running
it again. Nothing here is random: the same packages and settings give the same pictures.

Which objects. Of the furniture catalogues, what its title calls a chair, a stool or a seat; a lamp, a lantern or a
light that stands or hangs; and passenger cars. Of TORCS, its 17 cars in full detail, without the wheels, which the game
adds. The split is by object and made by hand: held-out objects span plain and intricate shapes, and variants of
one model (`concept-sedan-01v1`, `-01v2`) are on one side. A few dozen lamps cannot teach what objects are, so
`furniture` is what else the licensed catalogues have for living rooms, offices, bedrooms and gardens, trained on alone:
not what is flat or hardly there, nor what belongs to the suite of a held-out object.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image

from experiments.pools import debian
from experiments.pools.ac3d import read_ac3d
from tokenfield.data.decoding import read_rgb8
from tokenfield.data.pictures import SkippedFiles
from tokenfield.errors import UserError
from tokenfield.io.progress import progress
from tokenfield.views.meshes.catalogue import MeshEntry, find_meshes
from tokenfield.views.meshes.objects import ViewSettings, claim, render_all, write_lists

FURNITURE, TORCS = "sweethome3d-furniture", "torcs-data"
PLACES = {FURNITURE: "usr/share/sweethome3d/furniture", TORCS: "usr/share/games/torcs/cars"}
"""Where each package keeps its models."""

LICENCES = {"BlendSwap-CC-0.sh3f": "CC0-1.0", "BlendSwap-CC-BY.sh3f": "CC-BY-3.0", "KatorLegaz.sh3f": "CC-BY-3.0-US",
            "Scopia.sh3f": "CC-BY-3.0"}
"""Of the furniture, as the package's copyright file says; Reallusion's are characters and left out."""
FREE_ART = "acura-nsx-sz baja-bug car1-trb1 car1-ow1 car8-trb1 car2-trb1 car6-trb1 car7-trb1 car1-stock2 car3-trb1 " \
           "car1-trb3 car5-trb1 car1-stock1 car4-trb1"
"""TORCS cars under the Free Art License; the others are GPL-2+."""

CHAIRS = """armchair oakChair plasticChair relaxChair silla2 stool deckChair sillaBlanca armchair2 chair modernArmchair
    antiqueChair chairWithCushion chair2 foldingChair osakaChair winchesterArmchair designChair stool2 thonet
    cafe-set-mota-chair cafe-set-tonon-chair chair-deck chairWithCushion-4ec073 childChair ella-chair-f green-stool
    leaf-chair wheelchair armchair1 fotel classSeat foldingChair-4a579b plaidChair armChair2-703967 kitchenChair chair3
    chair4 cafe-chair mid-century-chair chair-ottoman bar-stool dining-chair office-chair ext-chair silla-teca armchair3
    armchair-721a62 armchair1-acbfc9 chair3-7e02f1 chair4-ad8bc5 chair-ca4aae office-chair-7e97b4 tubular-chair
    armchair2-f3a16e bar-chair kids-desk-chair kitchen-stool modern-armchair plastic-chair white-kitchen-chair
    beach-chair baby-high-chair children-chair rattanArmchair ryokanChair"""
LAMPS = """desklamp lamp2 wallLight JapaneseLantern lantern outdoorLamp stoneLantern hangingLight lamp campingLamp
    classic-lamppost hanging-restaurant-light park-light pedestal-vase-lamp porch-light wall-spotlight farola1
    desk-lamp1 desk-lamp2 little-lamp1 little-lamp2 little-lamp3 saloon-lamp table-lamp livingroom-lamp1 living-lamp
    chandelier-lamp ceiling-lamp candelabre"""
CARS = """fordFocus concept-sedan-01v1 concept-sedan-01v2 concept-sedan-02 concept-sedan-02-sport VW-new-beetle
    seat-leon peugeot-308 renault-scenic suv chevrolet van smart-car 155-DTM acura-nsx-sz baja-bug buggy car1-ow1
    car1-stock1 car1-stock2 car1-trb1 car1-trb3 car2-trb1 car3-trb1 car4-trb1 car5-trb1 car6-trb1 car7-trb1 car8-trb1
    p406"""
POOL = {"chairs": CHAIRS.split(), "lamps": LAMPS.split(), "cars": CARS.split()}
"""What is listed one by one; `furniture` is what else there is."""
ROOMS = ("Living room", "Office", "Bedroom", "Exterior", "Lights")
"""Categories of the catalogues that `furniture` is from."""
SUITES = ["winchesterSofa", "rattanSofa", "rattanTable", "ext-table"]
"""What belongs to held-out chairs."""
FLAT = re.compile(r"fleche-|stationnement-|passage-|rails$|concrete-sidewalk|oriental-rug|round-carpet|"
                  r"wall-lamp-artwork|fluorescent|track-lights")
"""Names of furniture with nothing to be seen from most sides: marks of roads, carpets, strips of light."""

TEST = {
    "chairs": ["thonet", "office-chair", "armchair3", "kitchenChair", "bar-stool", "rattanArmchair", "designChair",
               "leaf-chair", "plaidChair", "foldingChair", "ext-chair", "chair4", "winchesterArmchair"],
    "lamps": ["lamp2", "desk-lamp2", "campingLamp", "pedestal-vase-lamp", "saloon-lamp", "living-lamp", "outdoorLamp"],
    "cars": ["seat-leon", "renault-scenic", "VW-new-beetle", "smart-car", "155-DTM", "car4-trb1"],
    "furniture": [],
}
"""What is held out; everything else is trained on."""


def find(categories: list[str], roots: dict[str, Path]) -> dict[str, list[MeshEntry]]:
    """The objects of some categories, each of which must be there."""
    skipped = SkippedFiles()
    meshes = {entry.name: entry for entry in find_meshes(roots[FURNITURE], skipped)}
    for car in sorted(roots[TORCS].iterdir()) if TORCS in roots else []:
        file = car / f"{car.name}.acc"
        if file.is_file():
            meshes[car.name] = MeshEntry(car.name, car.name, file, author="TORCS", category="Vehicles", read=read_ac3d)
    missing = [name for category in categories for name in POOL.get(category, ()) if name not in meshes]
    if missing:
        sys.exit(f"object_pool: the packages have no {', '.join(missing)}: another version; {skipped.summary()}")
    listed = {category: [meshes[name] for name in names] for category, names in POOL.items() if category in categories}
    return listed | ({"furniture": furniture(list(meshes.values()))} if "furniture" in categories else {})


def furniture(meshes: list[MeshEntry]) -> list[MeshEntry]:
    """Objects of `ROOMS` that are licensed, in no other category, of no held-out suite and not flat."""
    known = {name for names in POOL.values() for name in names} | {*SUITES}
    return [entry for entry in meshes if entry.file.name in LICENCES and entry.category in ROOMS
            and entry.name not in known and not FLAT.match(entry.name)]


def licence(entry: MeshEntry) -> tuple[str, str, str]:
    """Licence, package and path in the package's folder of models."""
    if entry.member:
        return LICENCES[entry.file.name], FURNITURE, f"{entry.file.name}:{entry.member}"
    free = "FAL-1.3" if entry.name in FREE_ART.split() else "GPL-2.0-or-later"
    return free, TORCS, f"{entry.name}/{entry.file.name}"


def write_licences(entries: list[MeshEntry], out: Path, category: str) -> None:
    """Writes where every object of a category is from, and under which licence."""
    rows = ["object\tsplit\tlicence\tauthor\tpackage\tpath"]
    for entry in entries:
        free, package, path = licence(entry)
        split = "test" if entry.name in TEST[category] else "train"
        rows.append("\t".join((entry.name, split, free, entry.author, package, path)))
    (out / f"{category}_licenses.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_sheet(file: Path, out: Path, categories: list[str], columns: int = 16) -> None:
    """Writes the first view of every object that is there, category after category, on white."""
    pictures = []
    for category in categories:
        for folder in sorted(path for path in (out / category).iterdir() if not path.name.startswith(".")):
            pictures.append(Image.fromarray(read_rgb8(folder / "view-000.png")))
    side, rows = pictures[0].width, -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * side, rows * side), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % columns * side, i // columns * side))
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file, quality=85)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path, help="folder for the objects")
    parser.add_argument("--packages", type=Path, help="folder that already holds the .deb files")
    parser.add_argument("--size", type=int, default=128, help="side of the views in pixels (default: 128)")
    parser.add_argument("--views", type=int, default=50, help="views of every object (default: 50)")
    parser.add_argument("--categories", nargs="+", choices=TEST, default=list(TEST), help="only these")
    parser.add_argument("--processes", type=int, default=0, help="at once (default: one for every core)")
    parser.add_argument("--sheet", type=Path, help="also write a picture with one view of every object")
    args = parser.parse_args()
    settings, skipped = ViewSettings(views=args.views, size=args.size), SkippedFiles()
    with tempfile.TemporaryDirectory(prefix="object-pool-") as scratch:
        names = [FURNITURE, TORCS] if "cars" in args.categories else [FURNITURE]
        roots = debian.roots(names, args.packages, Path(scratch))
        pool = find(args.categories, {name: root / PLACES[name] for name, root in roots.items()})
        for category in args.categories:
            entries = pool[category]
            claim(args.out, category, settings)
            rendered = render_all(entries, args.out / category, settings, skipped, processes=args.processes)
            for _ in progress(rendered, len(entries), f"rendering {category}"):
                pass
            train, test = write_lists(entries, args.out, category, settings, 0.0, TEST[category])
            write_licences(entries, args.out, category)
            print(f"{args.out / category}: {train} objects to train on, {test} held out", flush=True)
    if args.sheet:
        write_sheet(args.sheet, args.out, args.categories)
    if skipped:
        sys.exit(f"object_pool: {skipped.summary()}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"object_pool: {error}")
