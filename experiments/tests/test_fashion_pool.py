"""Fashion-MNIST from IDX files to a folder that the readers know: pictures, classes, and what is refused."""

import gzip

import numpy as np
import pytest
import torch

from experiments.pools import fashion
from tokenfield.data import DataConfig


def write_idx(path, array):
    """An IDX file of unsigned bytes, as its authors describe it."""
    header = np.array([0x0800 + array.ndim, *array.shape], ">u4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


@pytest.fixture
def source(tmp_path):
    """Eleven training and seven test pictures of 5 x 7 pixels; labels count up, so that class 0 occurs twice."""
    folder, numbers = tmp_path / "usr" / "share", np.random.default_rng(0)
    for name, count in (("train", 11), ("t10k", 7)):
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", numbers.integers(0, 256, (count, 5, 7)))
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", np.arange(count) % 10)
    return tmp_path


def test_every_picture_keeps_its_class_its_number_and_its_bytes(source, tmp_path):
    out = tmp_path / "pool"
    assert fashion.write(source, out) == {"train": 11, "val": 7}
    config = DataConfig(layout="imagenette", size=5, crop="center", channels=1)
    train, held_out = config.open(out, "train"), config.open(out, "test")
    assert set(train.classes) == set(fashion.CLASSES) and len(train) == 11 and len(held_out) == 7
    images = fashion.read_idx(fashion.find(source, "train", "images-idx3"))
    for index, name in enumerate(train.names):
        number = int(name.split("/")[-1].removesuffix(".png"))
        assert train.classes[train.labels[index]] == fashion.CLASSES[number % 10]
        middle = torch.from_numpy(images[number][:, 1:6].copy()) / 255
        torch.testing.assert_close(train.read(index)[0], middle, rtol=0, atol=1e-6)
    shapes = {tuple(picture.shape) for _, picture in held_out.pictures()}
    assert shapes == {(1, 5, 5)} and torch.equal(train.sample(0, 3, 1), train.sample(0, 3, 1))
    assert "MIT" in (out / "LICENSES.tsv").read_text()


def test_what_is_no_fashion_mnist_is_refused_in_a_line(source, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SystemExit, match=r"no train-images-idx3-ubyte.gz below it"):
        fashion.write(empty, tmp_path / "pool")
    labels = fashion.find(source, "train", "labels-idx1")
    write_idx(labels, np.full(11, 10))
    with pytest.raises(SystemExit, match="labels up to 10 in train"):
        fashion.write(source, tmp_path / "pool")
    whole = gzip.decompress(labels.read_bytes())
    for damaged, why in ((gzip.compress(whole[:-1]), "holds 10 bytes for 11"), (b"PNG", "is no whole gzip file"),
                         (gzip.compress(b"\0\0\x0b\x03" + whole[4:]), "not with an IDX header")):
        labels.write_bytes(damaged)
        with pytest.raises(SystemExit, match=why):
            fashion.write(source, tmp_path / "pool")
