"""Latents on disk: exact statistics, labels, resume, shards in any hands, and what training reads from them."""

import json
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import latent_toys as toys
import pytest
import torch

from tokenfield.data.datasets import center_square, to_tensor
from tokenfield.data.decoding import read_rgb8
from tokenfield.data.pictures import write_picture
from tokenfield.errors import UserError
from tokenfield.generation import encoding
from tokenfield.generation.latents import LatentFolder, LatentsConfig, shard_path
from tokenfield.models import pretrained


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return toys.write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def encoded(pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("latents") / "toy"
    toys.encode(pictures, out)
    return out


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


def test_every_entry_is_the_code_of_its_picture(encoded, pictures):
    folder, model = LatentFolder(encoded), toys.field_model()
    assert len(folder) == 14 and folder.mirrored.tolist() == [False, True] * 7  # of every picture both, side by side
    for i in (0, 1, 7, 13):
        picture = to_tensor(center_square(read_rgb8(pictures / folder.names[i]), 13))
        image = picture.flip(-1) if folder.mirrored[i] else picture
        torch.testing.assert_close(folder[i], model.encode(image[None])[0], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(folder[0], folder[1], atol=1e-4)


def test_labels_are_the_folders_and_held_out_pictures_have_the_same(encoded):
    train, test = LatentFolder(encoded), LatentFolder(encoded, "test")
    assert train.classes == test.classes == ("cat", "dog")
    assert train.labels.tolist() == [0] * 6 + [1] * 8
    assert (test.labels.tolist(), test.mirrored.any().item()) == ([0, 1, 1], False)
    assert [name.split("/")[1] for name in test.names] == ["cat", "dog", "dog"]


def test_statistics_are_those_of_all_entries_in_one_pass(encoded):
    folder = LatentFolder(encoded)
    every = torch.stack([folder[i] for i in range(len(folder))]).double()
    torch.testing.assert_close(folder.mean.double(), every.mean(0), atol=1e-7, rtol=1e-6)
    torch.testing.assert_close(folder.deviation.double(), every.std(0, correction=0), atol=1e-7, rtol=1e-6)
    standard = torch.stack([folder.standardize(folder[i]) for i in range(len(folder))])
    torch.testing.assert_close(standard.mean(0), torch.zeros(7, 11), atol=1e-5, rtol=0)
    torch.testing.assert_close(folder.restore(standard[3]), folder[3], atol=1e-6, rtol=1e-5)
    held_out = LatentFolder(encoded, "test")
    assert torch.equal(held_out.mean, folder.mean)  # the training split's


def test_a_killed_run_continues_at_the_next_shard(encoded, pictures, tmp_path, monkeypatch):
    shards, plain = [], encoding.write_shard

    def count_and_die(path, *rest):
        if len(shards) == 2:
            raise KeyboardInterrupt
        shards.append(path.name)
        plain(path, *rest)

    monkeypatch.setattr(encoding, "write_shard", count_and_die)
    with pytest.raises(KeyboardInterrupt):
        toys.encode(pictures, tmp_path)
    with pytest.raises(UserError, match=r"not complete; tokenfield latents"):
        LatentFolder(tmp_path)
    shards.clear()
    monkeypatch.setattr(encoding, "write_shard", lambda path, *rest: (shards.append(path.name), plain(path, *rest)))
    toys.encode(pictures, tmp_path)
    assert shards == ["shard-00002.safetensors", "shard-00000.safetensors"]  # the last of train, and test's
    assert contents(tmp_path) == contents(encoded)


def test_shards_in_other_hands_are_the_same_folder(encoded, pictures, tmp_path):
    """Two processes, one after the other: the second finds all shards and writes the description."""
    class Left(Exception):
        pass

    def leave():
        raise Left

    with pytest.raises(Left):
        toys.encode(pictures, tmp_path, rank=1, world=2, meet=leave)
    assert sorted(contents(tmp_path)) == ["train/shard-00001.safetensors"]
    toys.encode(pictures, tmp_path, rank=0, world=2)
    assert contents(tmp_path) == contents(encoded)


def test_two_commands_that_write_into_one_folder_do_not_mix(encoded, pictures, tmp_path):
    """When the first has its shards, another one, of other options, replaces one of them."""
    toys.encode(pictures, tmp_path / "halves", half=True)

    def meet():
        shutil.copy(shard_path(tmp_path / "halves", "train", 0), shard_path(tmp_path / "out", "train", 0))

    with pytest.raises(UserError, match="holds latents of other pictures, another model or other options"):
        toys.encode(pictures, tmp_path / "out", meet=meet)


def test_another_model_or_option_is_refused(encoded, pictures, tmp_path):
    shutil.copytree(encoded, tmp_path / "latents")
    for changes in ({"model": toys.LAINR.build().eval()}, {"half": True}, {"flips": False}):
        with pytest.raises(UserError, match="holds latents of other pictures, another model or other options"):
            toys.encode(pictures, tmp_path / "latents", **changes)


def test_colour_pictures_are_none_for_a_grey_model(pictures, tmp_path):
    grey = replace(toys.ANCHORED, channels=1).build().eval()
    with pytest.raises(UserError, match=r"none of the .* train pictures can be read"):
        toys.encode(pictures, tmp_path, model=grey, size=12)


def test_a_grey_model_encodes_grey_pictures(tmp_path):
    """As if the picture had been given to the model as it is, (1, H, W)."""
    grey = replace(toys.ANCHORED, channels=1).build().eval()
    drawn = (torch.rand(3, 1, 12, 12) * 255).round() / 255
    for number, (picture, split) in enumerate(zip(drawn, ("train", "train", "test"), strict=True)):
        write_picture(tmp_path / "data" / split / f"{number}.png", picture)
    toys.encode(tmp_path / "data", tmp_path / "latents", model=grey, size=12, flips=False)
    folder = LatentFolder(tmp_path / "latents")
    with torch.no_grad():
        expected = grey.encode(drawn[:2]).flatten(1, 2)
    torch.testing.assert_close(torch.stack([folder[0], folder[1]]), expected, rtol=0, atol=1e-6)


def test_half_precision_is_half_the_size_and_its_statistics_are_of_what_is_stored(pictures, tmp_path):
    toys.encode(pictures, tmp_path, half=True, flips=False, held_out=False)
    folder = LatentFolder(tmp_path)
    every = torch.stack([folder[i] for i in range(len(folder))])
    assert len(folder) == 7 and every.dtype == torch.float32 and torch.equal(every.half().float(), every)
    torch.testing.assert_close(folder.mean, every.double().mean(0).float(), atol=1e-7, rtol=1e-6)
    with pytest.raises(UserError, match="has no test latents, only train"):
        LatentFolder(tmp_path, "test")


def test_tokens_with_places_are_flat_and_keep_their_lattice(pictures, tmp_path):
    model = toys.field_model(toys.ANCHORED)
    with pytest.raises(UserError, match="multiple of its 4-pixel cells"):
        toys.encode(pictures, tmp_path, model=model)
    toys.encode(pictures, tmp_path, model=model, size=12)
    folder = LatentFolder(tmp_path)
    assert (folder.lattice, folder.picture_size, folder.mean.shape) == ((3, 3), (12, 12), (9, 5))
    picture = to_tensor(center_square(read_rgb8(pictures / folder.names[4]), 12))
    tokens = model.encode(picture[None])[0]  # (3, 3, 5)
    torch.testing.assert_close(folder[4].unflatten(0, folder.lattice), tokens, atol=1e-6, rtol=1e-5)


def test_the_folder_names_the_model_and_its_hash(encoded):
    folder = LatentFolder(encoded)
    assert (folder.model, folder.model_hash) == ("toy", pretrained.model_hash(toys.field_model()))
    assert folder.origin()["class_names"] == ("cat", "dog")


def test_a_damaged_picture_is_left_out_and_named(pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "pictures")
    (tmp_path / "pictures" / "train" / "cat" / "1.png").write_bytes(b"no picture")
    described = toys.encode(tmp_path / "pictures", tmp_path / "latents")
    assert described["splits"]["train"]["entries"] == 12 == len(LatentFolder(tmp_path / "latents"))
    assert [item["file"].endswith("cat/1.png") for item in described["splits"]["train"]["skipped"]] == [True]
    assert "train/cat/1.png" not in LatentFolder(tmp_path / "latents").names


def test_pictures_without_class_folders_have_no_label(pictures, tmp_path):
    (tmp_path / "flat").mkdir()
    for number, path in enumerate(sorted(pictures.rglob("*.png"))):
        shutil.copy(path, tmp_path / "flat" / f"{number}.png")
    toys.encode(tmp_path / "flat", tmp_path / "latents")
    folder = LatentFolder(tmp_path / "latents")
    assert folder.classes == () and not folder.labels.any()  # 0 of 0 classes: the index that says "no label"


def test_shards_are_mapped_not_read(encoded):
    folder = LatentFolder(encoded)
    mapped = Path("/proc/self/maps")  # of Linux; elsewhere there is nothing to look at
    assert len(folder) == 14
    assert not mapped.exists() or str(shard_path(encoded, "train", 0)) in mapped.read_text()


def test_a_shard_that_is_cut_short_is_named(encoded, tmp_path):
    shutil.copytree(encoded, tmp_path / "latents")
    path = shard_path(tmp_path / "latents", "train", 1)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"train/shard-00001.safetensors is .*remove it and run"):
        LatentFolder(tmp_path / "latents")
    (tmp_path / "latents" / "latents.json").write_text('{"format": 1')
    with pytest.raises(UserError, match=r"latents.json is damaged"):
        LatentFolder(tmp_path / "latents")
    (tmp_path / "latents" / "latents.json").write_text(json.dumps({"format": 0}))
    with pytest.raises(UserError, match="format 0"):
        LatentFolder(tmp_path / "latents")


def test_samples_are_functions_of_seed_step_and_slot(encoded):
    source = LatentsConfig().open(encoded, "train")
    one, again = source.sample(1, 2, 3), LatentsConfig().open(encoded, "train").sample(1, 2, 3)
    assert all(torch.equal(one[key], again[key]) for key in one)
    others = [source.sample(*key) for key in ((2, 2, 3), (1, 3, 3), (1, 2, 4))]
    for other in others:
        assert not torch.equal(one["noise"], other["noise"]) and one["time"] != other["time"]
    many = [source.sample(0, step, slot) for step in range(60) for slot in range(5)]
    times = torch.stack([sample["time"] for sample in many])
    noise = torch.stack([sample["noise"] for sample in many])
    assert times.min() >= 0 and times.max() < 1 and abs(times.mean() - 0.5) < 0.07
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    assert {int(sample["label"]) for sample in many} == {0, 1}


def test_mirrored_entries_can_stay_out(encoded):
    assert len(LatentsConfig().open(encoded, "train")) == 14
    source = LatentsConfig(mirrored=False).open(encoded, "train")
    assert len(source) == 7 and not source.mirrored.any()
    assert source.names == LatentFolder(encoded).names[::2] and torch.equal(source[3], LatentFolder(encoded)[6])


def test_held_out_entries_are_shared_out_with_the_times_they_would_have(encoded):
    source = LatentsConfig().open(encoded, "test")
    alone = list(source.held_out(3))
    shared = [entry for rank in (0, 1) for entry in islice(source.held_out(3), rank, None, 2)]
    assert torch.stack([entry["time"] for entry in alone]).tolist() == pytest.approx([1 / 6, 0.5, 5 / 6])
    for mine, theirs in zip([alone[0], alone[2], alone[1]], shared, strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
