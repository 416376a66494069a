"""Hostile files: mutations of every format, each read, or refused by an error of this project's own.

Inputs are small and parsed in this process, from a seeded generator, so a failure comes again: the message holds the
seed of the mutation. Half of the mutations change bytes; the others change the JSON inside, where most of what a file
says about itself stands: other kinds, absurd numbers, missing and doubled entries, brackets without end.
Continuous integration (`.ci/run`) tries 20 000 of every format, TOKENFIELD_FUZZ; this test alone a thousand. What comes
a second time is not read again.
"""

import binascii
import contextlib
import hashlib
import io
import json
import os
import random
import struct
import tarfile
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from view_tools import miniature

from tokenfield.data import shards
from tokenfield.data.pictures import write_picture
from tokenfield.earth.harmonic_field import GriddedHarmonicConfig
from tokenfield.errors import UserError
from tokenfield.fields.archive import MAGIC, FieldArchive
from tokenfield.fields.codec.container import opened
from tokenfield.fields.domains import domain_from_dict
from tokenfield.fields.field import Field
from tokenfield.fields.field_file import read_field
from tokenfield.film.files import ANIMATED, read_film, write_film
from tokenfield.generation.denoiser import DenoiserConfig
from tokenfield.generation.encoding import encode_data
from tokenfield.generation.latents import LatentsConfig
from tokenfield.generation.options import Encoding
from tokenfield.models import pretrained
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.models.lapped import LappedConfig
from tokenfield.models.pca_mixture import PcaMixtureConfig
from tokenfield.training import journal, recipe
from tokenfield.training.recipe import usual_recipe
from tokenfield.views.colmap import find_model
from tokenfield.views.layouts import read_object
from tokenfield.views.meshes.obj import prepare
from tokenfield.views.recipes import views_lainr_64

COUNT = int(os.environ.get("TOKENFIELD_FUZZ", "1000"))
TOY = LainrConfig(size=(8, 8), patch=4, padding=0, num_latents=2, latent_dim=3, encoder_dim=8, encoder_depth=1,
                  encoder_heads=2, dim=8, feature_dim=8, sigma_q=2.0, sigmas=(4.0,), heads=2)  # fmt: skip

OTHERS = (AnchoredConfig(cell=4, latent_dim=9, encoder_dim=8, decoder_dim=8, head_dim=4, harmonics=8),
          PcaMixtureConfig(cell=4, codes=3, prefixes=(3, 9), harmonics=8), LappedConfig(cell=4, prefixes=(3, 48)),
          DenoiserConfig(tokens=2, latent_dim=3, width=8, depth=1, heads=2, classes=2),
          GriddedHarmonicConfig(size=(6, 8), degree=2, patterns=1), miniature(views_lainr_64()).model)
CODED = ("photos-codec", "photos-s", "photos-ladder", "lainr-photos")

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


def put(path: Path, data: bytes) -> None:
    """Writes a new file: to cut an old one to nothing costs milliseconds on some disks."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


@cache
def codings() -> dict[str, tuple]:
    """Models with every kind of tables, and a field of each, coded."""
    models = {name: pretrained.load(name) for name in CODED}
    return {name: (model, Field.of(model, torch.rand(3, 20, 28)).coded(5)) for name, model in models.items()}


def sealed(header: bytes, body: bytes) -> bytes:
    """A file of version 2 with right checksums, but for those of single streams."""
    checked = binascii.crc32(body).to_bytes(4, "little") + header
    return b"".join((b"\xf7TF2", binascii.crc32(checked).to_bytes(4, "little"), len(checked).to_bytes(3, "little"),
                     checked, body))


class Again(Exception):
    """This mutation came before; its answer is known."""


class Fuzzed:
    """One format: a whole file, how it is changed, and what reads it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.tried: set[bytes] = set()
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
        self.others = [pretrained.save(config.build(), folder / f"other-{i}") for i, config in enumerate(OTHERS)]
        self.few = self.others[2]
        self.films = []
        for ending in ANIMATED:
            write_film(folder / f"film{ending}", [Image.new("RGB", (9, 8), (90 * i, 40, 0)) for i in range(3)], 5.0)
            self.films.append((ending, (folder / f"film{ending}").read_bytes()))
        (folder / "pictures").mkdir()
        for number in range(4):
            write_picture(folder / "pictures" / f"{number}.png", torch.rand(3, 8, 8))
        encode_data(self.model, "toy", folder / "pictures", folder / "latents", Encoding(shard=9, held_out=False))
        self.latents = json.loads((folder / "latents" / "latents.json").read_text())
        self.shard = (folder / "latents" / "train" / "shard-00000.safetensors").read_bytes()
        with tarfile.open(folder / "a.tar", "w") as tar:
            for name, data in {"a.png": b"\x89PNG" * 9, "a.cls": b"3", "b" * 150 + ".jpg": bytes(99)}.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        self.tar = (folder / "a.tar").read_bytes()
        self.recipe = recipe.to_json(usual_recipe("toy", TOY))
        self.model_hash = pretrained.model_hash(self.model)

    def new(self, data: bytes) -> bytes:
        """The same bytes, the first time."""
        if (mark := hashlib.blake2b(data, digest_size=12).digest()) in self.tried:
            raise Again
        self.tried.add(mark)
        return data

    def dot_field(self, draw: random.Random) -> None:
        def describe(header: dict) -> None:
            header["__metadata__"]["tokenfield.field"] = mutated_json(self.about, draw).decode("latin-1")

        def shapes(header: dict) -> None:
            header["tokens"] = json.loads(mutated_json(header["tokens"], draw).decode("latin-1"))

        data = self.whole
        with contextlib.suppress(ValueError, RecursionError):  # what JSON cannot hold twice, or this test not read
            data = (mutated_bytes(data, draw) if (kind := draw.randrange(4)) == 0 else
                    with_header(data, shapes if kind == 1 else describe))
        put(self.field, self.new(data))
        Field.load(self.field, self.model).render(3, 2)

    def description(self, draw: random.Random) -> None:
        """What `info` does: no model, no tokens."""
        self.dot_field_written(draw)
        file = read_field(self.field, tokens=False)
        domain = domain_from_dict(file.domain)
        assert min(domain.size) > 0 and str(domain)

    def dot_field_written(self, draw: random.Random) -> None:
        about = self.new(mutated_json(self.about, draw)).decode("latin-1")
        put(self.field, with_header(
            self.whole, lambda header: header["__metadata__"].__setitem__("tokenfield.field", about)))

    def configuration(self, draw: random.Random) -> None:
        """Configuration and weights; the weights' own copy of it is changed alike, or there is none."""
        text = self.new(either(self.config, draw))
        weights = with_header(self.weights, lambda header: header.pop("__metadata__"))
        put(self.folder / "model" / "config.json", text)
        put(self.folder / "model" / "model.safetensors", weights)
        pretrained.load(self.folder / "model")

    def other_configurations(self, draw: random.Random) -> None:
        """The same of harmonics on the globe, light fields, denoisers, and systems of any picture size."""
        folder = draw.choice(self.others)
        whole, weights = ((folder / name).read_bytes() for name in ("config.json", "model.safetensors"))
        text = self.new(folder.name.encode() + either(json.loads(whole), draw)).removeprefix(folder.name.encode())
        put(self.folder / "model" / "config.json", text)
        put(self.folder / "model" / "model.safetensors", 
            with_header(weights, lambda header: header.pop("__metadata__")))
        pretrained.load_any(self.folder / "model")

    def coded(self, draw: random.Random) -> None:
        """A field of version 2, its checksums right again, so that what they protect is read."""
        model, data = codings()[draw.choice(CODED)]
        end = 11 + int.from_bytes(data[8:11], "little")
        header, body = data[15:end], data[end:]
        kind = draw.randrange(3)
        header, body = mutated_bytes(header, draw) if kind else header, body if kind else mutated_bytes(body, draw)
        put(self.field, sealed(header, body))
        Field.load(self.field, model, partial=draw.random() < 0.5, layers=draw.choice((None, 1))).render(3, 2)

    def archive(self, draw: random.Random) -> None:
        model, data = codings()["photos-codec"]
        index: list = [["a.png", 0, len(data)], ["b.png", 0, len(data)]]
        listing = either(index, draw)
        tail = len(listing).to_bytes(8, "little") + binascii.crc32(listing).to_bytes(4, "little") + MAGIC
        whole = data + listing + tail
        put(self.folder / "all.fields", whole if draw.random() < 0.8 else mutated_bytes(whole, draw))
        archive = FieldArchive(self.folder / "all.fields", model)
        for place in range(min(2, len(archive))):
            with opened(archive.data(place)) as file:
                file.check_whole()

    def tar_shard(self, draw: random.Random) -> None:
        """Half of them with right checksums of the members' headers; what is listed lies in the file."""
        data = bytearray(mutated_bytes(self.tar, draw))
        if draw.random() < 0.5:
            for start in range(0, len(data) - 511, 512):
                if data[start + 257 : start + 262] == b"ustar":
                    data[start + 148 : start + 156] = b" " * 8
                    data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
        put(self.folder / "b.tar", data)
        index, _ = shards.scan(self.folder / "b.tar")
        assert all(int(row["offset"]) + int(row["size"]) <= len(data) for row in index)

    def latent_folder(self, draw: random.Random) -> None:
        folder, kind = self.folder / "latents", draw.randrange(3)
        put(folder / "latents.json", json.dumps(self.latents).encode() if kind else either(self.latents, draw))

        def note(header: dict) -> None:
            about = header["__metadata__"]
            about["shard"] = either(json.loads(about["shard"]), draw).decode("latin-1")

        put(folder / "train" / "shard-00000.safetensors", 
            (self.shard, with_header(self.shard, note), mutated_bytes(self.shard, draw))[kind])
        source = LatentsConfig().open(folder, "train")
        source.sample(0, 1, 2)

    def colmap(self, draw: random.Random) -> None:
        """Binary or text; what it gives are numbers."""
        scene = self.folder / draw.choice(("bin", "txt")) / "sparse"
        scene.mkdir(parents=True, exist_ok=True)
        binary = scene.parent.name == "bin"
        cameras = (struct.pack("<QiiQQ4d", 1, 7, 1, 32, 32, 40.0, 40.0, 16.0, 16.0) if binary else
                   b"# cameras\n7 PINHOLE 32 32 40.0 40.0 16.0 16.0\n")
        row = struct.pack("<i7di", 1, 1.0, 0.0, 0.0, 0.0, 0.1, 0.2, 3.0, 7) + b"0.png\0" + struct.pack("<Q", 1)
        images = (struct.pack("<Q", 2) + 2 * (row + bytes(24)) if binary else
                  b"".join(b"%d 1.0 0.0 0.0 0.0 0.1 0.2 3.0 7 %d.png\n\n" % (i, i) for i in range(3)))
        which = draw.randrange(2)
        for place, (name, data) in enumerate((("cameras", cameras), ("images", images))):
            put(scene / f"{name}.{scene.parent.name}", mutated_bytes(data, draw) if place == which else data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = read_object(find_model(scene.parent))
        assert np.isfinite(found.poses).all() and np.isfinite(found.angle_x)

    def animation(self, draw: random.Random) -> None:
        """A film of three frames, as GIF and as WebP."""
        ending, whole = draw.choice(self.films)
        put(self.folder / f"film{ending}", self.new(mutated_bytes(whole, draw)))
        assert read_film(self.folder / f"film{ending}", 1)[0].ndim == 4

    def safetensors(self, draw: random.Random) -> None:
        """Of a model with few tensors, which are read one by one."""
        put(self.folder / "model" / "config.json", (self.few / "config.json").read_bytes())
        whole = (self.few / "model.safetensors").read_bytes()
        front, back = whole[:1000], whole[1000:]
        changed = mutated_bytes(front, draw) + back if draw.random() < 0.7 else front + mutated_bytes(back, draw)
        put(self.folder / "model" / "model.safetensors", self.new(changed))
        pretrained.load(self.folder / "model")

    def recipe_json(self, draw: random.Random) -> None:
        put(self.folder / "recipe.json", self.new(either(self.recipe, draw)))
        recipe.to_json(recipe.read(self.folder / "recipe.json"))

    def metrics(self, draw: random.Random) -> None:
        lines = "".join(json.dumps({"step": i, "loss": 0.5, "psnr": 20.0}) + "\n" for i in range(3))
        put(self.folder / "metrics.jsonl", mutated_bytes(lines.encode(), draw))
        assert all(isinstance(line["step"], int) for line in journal.read(self.folder / "metrics.jsonl"))

    def transforms(self, draw: random.Random) -> None:
        frame = {"file_path": "./0", "transform_matrix": np.eye(4).tolist(), "fl_x": 40}
        meta = {"camera_angle_x": 0.7, "fl_x": 40.0, "cx": 16, "cy": 16.0, "w": 32, "h": 32, "k1": 0,
                "camera_model": "OPENCV", "train_filenames": ["./0"], "frames": [frame, frame]}
        put(self.folder / "transforms.json", either(meta, draw))
        for picture in read_object(self.folder / "transforms.json", part=draw.choice(("", "train", "test"))).pictures:
            assert picture.resolve().is_relative_to(self.folder.resolve())

    def materials(self, draw: random.Random) -> None:
        mtl = (b"newmtl wood\nKd 1 0.5 0\nd 0.5\nmap_Kd -s 1 2 -bm 1 ../a\\wood.png\n"
               b"newmtl b\nTr 0.2\nKd spectral a.rfl\n")
        obj = b"mtllib m.mtl n.mtl\nv 0 0 0\nusemtl wood\nf 1 1 1\nusemtl b\nf 1 1 1\n"
        put(self.folder / "m.mtl", mutated_bytes(mtl, draw))
        put(self.folder / "m.obj", mutated_bytes(obj, draw))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, found = prepare(self.folder / "m.obj")
            for i in range(len(found.names)):
                found.look(f"m{i}", True)
                found.uv(f"m{i}", np.zeros((1, 2), np.float32))


FORMATS = ("dot_field", "description", "configuration", "other_configurations", "safetensors", "coded", "archive",
           "tar_shard", "latent_folder", "recipe_json", "metrics", "transforms", "colmap", "materials",
           "animation")


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    return Fuzzed(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", FORMATS)
def test_mutations_end_in_an_error_of_ours_or_in_none(name, fuzzed):
    refused = again = 0
    fuzzed.tried.clear()
    for seed in range(COUNT):
        try:
            getattr(fuzzed, name)(random.Random(f"{name} {seed}"))
        except Again:
            again += 1
        except UserError as error:
            refused += 1
            assert "\n" not in str(error), (seed, str(error))
            assert len(str(error)) < 2000, (seed, len(str(error)))
        except Exception as error:
            raise AssertionError(f"{name}, mutation {seed}: {type(error).__name__}: {error}") from error
    changed = name in ("metrics", "materials", "tar_shard") or refused > (COUNT - again) / 10
    assert changed, f"{refused} of {COUNT - again} refused"
