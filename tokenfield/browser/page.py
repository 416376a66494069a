"""The page as a folder of files that any web server serves, and that asks for nothing from elsewhere.

    index.html view.css *.js      the page (`assets/`)
    runtime/                      onnxruntime-web, as its npm package has it
    fields.json fields/           what is shown: `scenes`
    models/                       graphs, and the weights beside them
"""

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tokenfield.browser.graphs import graphs_of, name_of, weights_of
from tokenfield.browser.scenes import Subject, integral_of, write_scene
from tokenfield.fields.field import Field
from tokenfield.interop.networks import WEIGHTS
from tokenfield.io.atomic import folder_aside, write_whole
from tokenfield.io.record import Record, json_text
from tokenfield.models.pretrained import model_hash

ASSETS = Path(__file__).parent / "assets"
RUNTIME = Path(__file__).parent / "runtime"
CONTENTS = "fields.json"


def write_page(subjects: Sequence[Subject], folder: Path) -> None:
    """Writes a page of one or more fields into a new folder, whole or not at all.

    Raises UserError for a field that the page cannot show, or a model whose graphs cannot be made.
    """
    with folder_aside(folder) as aside:
        fill(subjects, aside)


def fill(subjects: Sequence[Subject], root: Path) -> None:
    """The same into a folder that is there."""
    for file in ASSETS.iterdir():
        shutil.copyfile(file, root / file.name)
    (root / RUNTIME.name).mkdir()
    for file in RUNTIME.iterdir():
        unpack(file, root / RUNTIME.name)
    models: dict[str, Record] = {}
    fields: list[Record] = []
    for number, subject in enumerate(subjects):
        model, integral = subject.field.model, integral_of(subject.field)
        key = f"{name_of(model, integral)}-{model_hash(model)[:8]}"
        if key not in models:
            models[key] = write_model(subject.field, key, root)
        fields.append(write_scene(subject, number, key, root))
    write_whole(root / CONTENTS, json_text({"fields": fields, "models": models}))


def unpack(file: Path, folder: Path) -> None:
    """Copies a file of the runtime. WebAssembly, for browsers with and without JSPI, lies in the package as one
    archive: the two are much alike, and it is half of what a wheel would make of them."""
    if file.suffix != ".xz":
        shutil.copyfile(file, folder / file.name)
        return
    with tarfile.open(file) as packed:
        for member in packed:
            if (content := packed.extractfile(member)) is not None:  # None of a folder
                write_whole(folder / member.name, content.read())


def write_model(field: Field, key: str, root: Path) -> Record:
    """Graphs and weights of a field's model, and where they are."""
    model, integral, folder = field.model, integral_of(field), f"models/{key}/"
    graphs = graphs_of(model, integral)
    (root / folder).mkdir(parents=True)
    networks = sorted(graphs.glob("*.onnx"))
    for network in networks:
        shutil.copyfile(network, root / folder / network.name)
    write_whole(root / folder / WEIGHTS, weights_of(model, graphs, integral))
    return {"folder": folder, "weights": folder + WEIGHTS, "networks": [network.stem for network in networks],
            "system": model.name, "token": model.token}
