"""Hostile files: mutations of every format, each read, or refused by an error of this project's own.

Inputs are small and parsed in this process, from a seeded generator, so a failure comes again: the message holds the
seed of the mutation. Half of the mutations change bytes; the others change the JSON inside, where most of what a file
says about itself stands: other kinds, absurd numbers, missing and doubled entries, brackets without end.
Continuous integration (`.ci/run`) tries 20 000 of every format, TOKENFIELD_FUZZ, this test alone a thousand.
"""

import contextlib
import json
import os
import random
import struct
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from tokenfield.errors import UserError
from tokenfield.fields.domains import domain_from_dict
from tokenfield.fields.field import Field
from tokenfield.fields.field_file import read_field
from tokenfield.models import pretrained
from tokenfield.models.lainr import LainrConfig
from tokenfield.training import journal, recipe
from tokenfield.training.recipe import usual_recipe
from tokenfield.views.layouts import read_object
from tokenfield.views.meshes.obj import prepare

COUNT = int(os.environ.get("TOKENFIELD_FUZZ", "1000"))
TOY = LainrConfig(size=(8, 8), patch=4, padding=0, num_latents=2, latent_dim=3, encoder_dim=8, encoder_depth=1,
                  encoder_heads=2, dim=8, feature_dim=8, sigma_q=2.0, sigmas=(4.0,), heads=2)  # fmt: skip

ABSURD = (0, -1, 1, 2, 3, -4, 2**31, 2**53, 2**63 - 1, -(2**63), 10**30, 1.5, -0.0, 1e308, 1e-320, 0.1, True, False,
          None, "", "a", "..", "/etc/passwd", "\0", "\x1b[2J", "hf:a/b", "x" * 300, [], {}, [[]], [0, 0],
          {"kind": "tiles"},          [1e300] * 4, [-1], [2**53, 2**53], "\ud800")
RAW = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 400, b"[" * 3000, b'{"a":' * 3000, b"\xff\xfe", b"\0", b'"',
       b"")


def places(node: object, path: tuple = ()) -> Iterator[tuple]:
    """Every place in a JSON value."""
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        yield from places(value, (*path, key))


def mutated_json(data: object, draw: random.Random) -> bytes:
    """The text of a JSON value with one to three of its places changed, taken away or filled with something absurd."""
    data = json.loads(json.dumps(data))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        path = draw.choice([p for p in places(data) if p] or [()])
        if not path:
            return json.dumps(draw.choice(ABSURD)).encode()
        parent = data
        for key in path[:-1]:
            parent = parent[key]
        kind = draw.randrange(6)
        if kind == 0:
            del parent[path[-1]]
        elif kind == 1 and isinstance(parent, list):
            parent.extend(deepcopy([parent[path[-1]]] * draw.choice((1, 2, 40))))
        elif kind == 2 and isinstance(parent, dict):
            parent[draw.choice(("x", "kind", "size", "name", path[-1] + "s"))] = parent.pop(path[-1])
        elif kind == 3 and isinstance(parent[path[-1]], int | float):
            parent[path[-1]] *= draw.choice((-1, 2, 0, 1000, 0.5))
        else:
            parent[path[-1]] = deepcopy(draw.choice(ABSURD))
    text = json.dumps(data).encode()
    if draw.random() < 0.1:  # what no serializer writes
        text = text.replace(json.dumps(draw.choice([1, 2, 8, "lainr", "tiles"])).encode(), draw.choice(RAW), 1)
    return text


def mutated_bytes(data: bytes, draw: random.Random) -> bytes:
    """A file with bits turned, cut short, parts repeated or replaced."""
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at, length = draw.randrange(len(data) + 1), draw.choice((1, 1, 2, 8, 30))
        match draw.randrange(6):
            case 0:
                data[at : at + length] = bytes(draw.randrange(256) for _ in range(length))
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length] * draw.choice((1, 3))
            case 3:
                del data[at:]
            case 4:
                data[at:at] = draw.choice(RAW)[:200]
            case _ if at < len(data):
                data[at] ^= 1 << draw.randrange(8)
    return bytes(data)


def either(data: object, draw: random.Random) -> bytes:
    """Mostly another value, sometimes other bytes."""
    return mutated_json(data, draw) if draw.random() < 0.8 else mutated_bytes(json.dumps(data).encode(), draw)


def with_header(data: bytes, change: Callable[[dict], None]) -> bytes:
    """A safetensors file with another header."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


class Fuzzed:
    """One format: a whole file, how it is changed, and what reads it."""

    def __init__(self, folder: Path):
        self.folder = folder
        torch.manual_seed(0)
        self.model = TOY.build().eval()
        pretrained.save(self.model, folder / "model")
        self.field = folder / "a.field"
        Field.of(self.model, torch.rand(3, 11, 13)).save(self.field)
        self.whole = self.field.read_bytes()
        self.weights = (folder / "model" / "model.safetensors").read_bytes()
        self.config = json.loads((folder / "model" / "config.json").read_text())
        with_description = json.loads(self.whole[8 : 8 + struct.unpack("<Q", self.whole[:8])[0]])
        self.about = json.loads(with_description["__metadata__"]["tokenfield.field"])
        self.recipe = recipe.to_json(usual_recipe("toy", TOY))
        self.model_hash = pretrained.model_hash(self.model)

    def dot_field(self, draw: random.Random) -> None:
        def describe(header: dict) -> None:
            header["__metadata__"]["tokenfield.field"] = mutated_json(self.about, draw).decode("latin-1")

        def shapes(header: dict) -> None:
            header["tokens"] = json.loads(mutated_json(header["tokens"], draw).decode("latin-1"))

        data = self.whole
        with contextlib.suppress(ValueError, RecursionError):  # what JSON cannot hold twice, or this test not read
            data = (mutated_bytes(data, draw) if (kind := draw.randrange(4)) == 0 else
                    with_header(data, shapes if kind == 1 else describe))
        self.field.write_bytes(data)
        Field.load(self.field, self.model).render(3, 2)

    def description(self, draw: random.Random) -> None:
        """What `info` does: no model, no tokens."""
        self.dot_field_written(draw)
        file = read_field(self.field, tokens=False)
        domain = domain_from_dict(file.domain)
        assert min(domain.size) > 0 and str(domain)

    def dot_field_written(self, draw: random.Random) -> None:
        about = mutated_json(self.about, draw).decode("latin-1")
        self.field.write_bytes(with_header(
            self.whole, lambda header: header["__metadata__"].__setitem__("tokenfield.field", about)))

    def configuration(self, draw: random.Random) -> None:
        """Configuration and weights; the weights' own copy of it is changed alike, or there is none."""
        text = either(self.config, draw)
        weights = with_header(self.weights, lambda header: header.pop("__metadata__"))
        (self.folder / "model" / "config.json").write_bytes(text)
        (self.folder / "model" / "model.safetensors").write_bytes(weights)
        pretrained.load(self.folder / "model")

    def safetensors(self, draw: random.Random) -> None:
        (self.folder / "model" / "config.json").write_text(json.dumps(self.config))
        front, back = self.weights[:2000], self.weights[2000:]
        changed = mutated_bytes(front, draw) + back if draw.random() < 0.7 else front + mutated_bytes(back, draw)
        (self.folder / "model" / "model.safetensors").write_bytes(changed)
        pretrained.load(self.folder / "model")

    def recipe_json(self, draw: random.Random) -> None:
        (self.folder / "recipe.json").write_bytes(either(self.recipe, draw))
        recipe.to_json(recipe.read(self.folder / "recipe.json"))

    def metrics(self, draw: random.Random) -> None:
        lines = "".join(json.dumps({"step": i, "loss": 0.5, "psnr": 20.0}) + "\n" for i in range(3))
        (self.folder / "metrics.jsonl").write_bytes(mutated_bytes(lines.encode(), draw))
        assert all(isinstance(line["step"], int) for line in journal.read(self.folder / "metrics.jsonl"))

    def transforms(self, draw: random.Random) -> None:
        frame = {"file_path": "./0", "transform_matrix": np.eye(4).tolist(), "fl_x": 40}
        meta = {"camera_angle_x": 0.7, "fl_x": 40.0, "cx": 16, "cy": 16.0, "w": 32, "h": 32, "k1": 0,
                "camera_model": "OPENCV", "train_filenames": ["./0"], "frames": [frame, frame]}
        (self.folder / "transforms.json").write_bytes(either(meta, draw))
        for picture in read_object(self.folder / "transforms.json", part=draw.choice(("", "train", "test"))).pictures:
            assert picture.resolve().is_relative_to(self.folder.resolve())

    def materials(self, draw: random.Random) -> None:
        mtl = (b"newmtl wood\nKd 1 0.5 0\nd 0.5\nmap_Kd -s 1 2 -bm 1 ../a\\wood.png\n"
               b"newmtl b\nTr 0.2\nKd spectral a.rfl\n")
        obj = b"mtllib m.mtl n.mtl\nv 0 0 0\nusemtl wood\nf 1 1 1\nusemtl b\nf 1 1 1\n"
        (self.folder / "m.mtl").write_bytes(mutated_bytes(mtl, draw))
        (self.folder / "m.obj").write_bytes(mutated_bytes(obj, draw))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, found = prepare(self.folder / "m.obj")
            for i in range(len(found.names)):
                found.look(f"m{i}", True)
                found.uv(f"m{i}", np.zeros((1, 2), np.float32))


FORMATS = ("dot_field", "description", "configuration", "safetensors", "recipe_json", "metrics", "transforms",
           "materials")


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    return Fuzzed(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", FORMATS)
def test_mutations_end_in_an_error_of_ours_or_in_none(name, fuzzed):
    refused = 0
    for seed in range(COUNT):
        try:
            getattr(fuzzed, name)(random.Random(f"{name} {seed}"))
        except UserError as error:
            refused += 1
            assert "\n" not in str(error), (seed, str(error))
            assert len(str(error)) < 2000, (seed, len(str(error)))
        except Exception as error:
            raise AssertionError(f"{name}, mutation {seed}: {type(error).__name__}: {error}") from error
    assert name == "metrics" or name == "materials" or refused > COUNT / 10  # that something was changed at all
