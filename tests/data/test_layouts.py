"""The data sets' own layouts and official splits, on small trees of the same shape made from real photographs."""

import hashlib
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tokenfield.data import DataConfig, Source
from tokenfield.data.layouts import SHARES, _celeba_part, ffhq_validation, held_out_places
from tokenfield.data.listings import shares
from tokenfield.errors import UserError

WNIDS = ("n01440764", "n02102040", "n02979186")
CENTER = {"size": 31, "crop": "center"}


def names(config: DataConfig, root: Path) -> tuple[list[str], list[str]]:
    """Names of the training and of the test pictures."""
    return DataConfig.open(config, root, "train").names, DataConfig.open(config, root, "test").names


# --- any folder ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, write):
    for number in range(20):
        write(tmp_path / "pool" / f"{number % 3}" / f"{number}.png", number)
    return tmp_path / "pool"


def test_a_folder_is_split_by_source_picture(folder):
    train, test = names(DataConfig(**CENTER, holdout=0.3), folder)
    assert not set(train) & set(test) and len(train) + len(test) == 20
    assert train == sorted(train) and 1 <= len(test) <= 12


def test_the_split_does_not_depend_on_the_machine(folder, tmp_path):
    """By names alone: not by the folder's place, the order of its entries or the files' times."""
    split = names(DataConfig(**CENTER), folder)
    moved = tmp_path / "elsewhere" / "copy"
    for path in sorted(folder.rglob("*.png"), reverse=True):
        target = moved / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert names(DataConfig(**CENTER), moved) == split


@given(st.sets(st.text(min_size=1, max_size=9), min_size=2, max_size=50), st.floats(0.001, 0.999), st.text(min_size=1))
def test_a_new_picture_leaves_the_split_of_the_others(total, share, new):
    before = tuple(sorted(total))
    after = (*before, new)
    assert 1 <= len(held_out_places(before, share)) < len(before)
    test_before, still = held_out_places(before, share), held_out_places(after, share) - {len(before)}
    if 1 < len(test_before) < len(before) - 1:                                    # apart from the guarantee of one each
        assert test_before == still


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_the_share_of_held_out_pictures_is_exact(share):
    held_out = len(held_out_places(tuple(map(str, range(2000))), share))
    assert abs(held_out - 2000 * share) < 5 * (2000 * share * (1 - share)) ** 0.5            # 5 sigma of a binomial


def test_a_single_picture_is_trained_on(tmp_path, write):
    write(tmp_path / "pool" / "x.png")
    assert DataConfig.open(DataConfig(**CENTER), tmp_path / "pool", "train").names == ["x.png"]
    with pytest.raises(UserError, match="none of the 1 pictures is left for testing"):
        DataConfig.open(DataConfig(**CENTER), tmp_path / "pool", "test")


@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_ready_made_splits_are_used(test, tmp_path, write):
    for number in range(3):
        write(tmp_path / "pool" / "train" / f"{number}.png", number)
    write(tmp_path / "pool" / test / "deep" / "9.png", 9)
    assert names(DataConfig(**CENTER), tmp_path / "pool") == (
        ["train/0.png", "train/1.png", "train/2.png"], [f"{test}/deep/9.png"])


def test_copies_count_once(folder):
    """A copy in the other split would be a leak."""
    data = (folder / "0" / "0.png").read_bytes()
    for number in range(9):
        (folder / f"copy {number}.png").write_bytes(data)
    (folder / "link.png").symlink_to(folder / "0" / "0.png")
    with pytest.warns(UserWarning, match=r"10 of 30 pictures are copies .* copy 0.png of 0.png, .* 5 more$"):
        source = DataConfig.open(DataConfig(**CENTER, holdout=0.3), folder, "train")
        test = DataConfig.open(DataConfig(**CENTER, holdout=0.3), folder, "test")
    assert len(source) + len(test) == 20 and not source.skipped


def test_a_pool_of_photographs_trains_on_crops(folder):
    source = DataConfig.open(DataConfig(size=17), folder, "train")
    assert isinstance(source, Source) and source.sample(0, 0, 0).shape == (3, 17, 17)
    assert [name for name, _ in source.pictures()][:3] == ["0/0.png", "0/0.png@2", "0/12.png"]


# --- CelebA -------------------------------------------------------------------------------------------------------


@pytest.fixture
def celeba(tmp_path, write):
    root = tmp_path / "celeba"
    parts = [0, 0, 0, 1, 2, 2, 0]
    for number in range(1, 8):
        write(root / "img_align_celeba" / f"{number:06}.jpg", number, 44, 36)
    (root / "list_eval_partition.txt").write_text("".join(f"{n:06}.jpg {p}\n" for n, p in enumerate(parts, 1)))
    return root


def test_celeba_has_its_official_split(celeba):
    assert names(DataConfig("celeba", **CENTER), celeba) == (
        ["000001.jpg", "000002.jpg", "000003.jpg", "000007.jpg"], ["000005.jpg", "000006.jpg"])


def move(*pairs):
    def change(root: Path) -> None:
        for old, new in pairs:
            (root / new).parent.mkdir(parents=True, exist_ok=True)
            os.rename(root / old, root / new)
    return change


def as_csv(root: Path) -> None:
    rows = (root / "list_eval_partition.txt").read_text().replace(" ", ",")
    (root / "list_eval_partition.csv").write_text("image_id,partition\n" + rows)
    (root / "list_eval_partition.txt").unlink()


@pytest.mark.parametrize("change", [
    move(("img_align_celeba", "Img/img_align_celeba"), ("list_eval_partition.txt", "Eval/list_eval_partition.txt")),
    move(("img_align_celeba", "moved"), ("moved", "img_align_celeba/img_align_celeba")),
    move(("img_align_celeba", "CelebA_aligned")),
    as_csv,
], ids=["as distributed", "doubly nested", "as in ginr-ipc", "csv"])
def test_celeba_in_its_other_shapes(change, celeba):
    split = names(DataConfig("celeba", **CENTER), celeba)
    change(celeba)
    assert names(DataConfig("celeba", **CENTER), celeba) == split


def test_celeba_numbers_are_the_official_split():
    """Without the list: 162770 training, 19867 validation and 19962 test pictures."""
    for part, (first, count) in enumerate(((1, 162770), (162771, 19867), (182638, 19962))):
        assert _celeba_part(f"{first:06}") == _celeba_part(f"{first + count - 1:06}") == part
    assert _celeba_part("000000") is None and _celeba_part("portrait") is None


def test_celeba_names_what_is_listed_and_missing(celeba):
    (celeba / "img_align_celeba" / "000002.jpg").unlink()
    source = DataConfig.open(DataConfig("celeba", **CENTER), celeba, "train")
    assert len(source) == 3
    assert "000002.jpg (is listed in list_eval_partition.txt and missing)" in source.skipped.summary()


# --- ANR's splits: LSUN and CelebA ---------------------------------------------------------------------------------


def test_sorted_lists_are_cut_at_three_quarters_and_at_nineteen_twentieths():
    for count in (1, 2, 3, 19, 20, 100, 202599):
        items = list(range(count))
        train, test = (shares(items, SHARES["lsun"], split) for split in ("train", "test"))
        assert train == items[: count * 3 // 4] and test == items[count * 19 // 20 :]
        assert len(items) - len(train) - len(test) == count * 19 // 20 - count * 3 // 4  # validation, in neither


@pytest.mark.parametrize("place", ["{name}", "bedroom/{name}", "{a}/{b}/{name}", "bedroom_{part}/{a}/{name}"])
def test_lsun_is_sorted_by_file_name_wherever_its_files_are(place, tmp_path, write):
    hashes = sorted(f"{number * 7919 % 251:02x}{number:04x}" for number in range(40))
    for number, stem in enumerate(reversed(hashes)):
        parts = {"name": f"{stem}.webp", "a": stem[-1], "b": stem[-2], "part": ("train", "val")[number % 3 == 0]}
        write(tmp_path / "lsun" / place.format(**parts), number)
    train, test = names(DataConfig("lsun", **CENTER), tmp_path / "lsun")
    assert [Path(name).stem for name in train] == hashes[:30]
    assert [Path(name).stem for name in test] == hashes[38:]


def test_celeba_as_anr_splits_it_asks_for_no_list(tmp_path, write):
    for number in range(1, 21):
        write(tmp_path / "celeba" / "img_align_celeba" / f"{number:06}.jpg", number)
    train, test = names(DataConfig("celeba_anr", **CENTER), tmp_path / "celeba")
    assert train == [f"{number:06}.jpg" for number in range(1, 16)] and test == ["000020.jpg"]
    with pytest.raises(UserError, match="not laid out as CelebA"):
        DataConfig.open(DataConfig("celeba_anr", **CENTER), tmp_path, "train")


def test_too_few_pictures_for_a_split_are_one_line(tmp_path, write):
    write(tmp_path / "lsun" / "a.webp", 0)
    with pytest.raises(UserError, match="no pictures of the train split"):
        DataConfig.open(DataConfig("lsun", **CENTER), tmp_path / "lsun", "train")


# --- FFHQ ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["{name}", "images1024x1024/{name}", "{thousand}/{name}",
                                   "images1024x1024/{thousand}/{name}", "thumbnails128x128/{thousand}/{name}"])
def test_ffhq_is_split_by_the_list_of_ginr_ipc(place, tmp_path, write):
    for number in (0, 1, 7, 1003, 59999, 60000, 60009):
        name, thousand = f"{number:05}.png", f"{number // 1000 * 1000:05}"
        write(tmp_path / "ffhq" / place.format(name=name, thousand=thousand), number)
    train, test = names(DataConfig("ffhq", **CENTER), tmp_path / "ffhq")
    assert [Path(name).stem for name in train] == ["00001", "01003", "59999", "60000"]
    assert [Path(name).stem for name in test] == ["00000", "00007", "60009"]


def test_the_packaged_split_of_ffhq_is_that_of_ginr_ipc():
    numbers = sorted(ffhq_validation())
    assert len(numbers) == 10_000 and sum(number >= 60_000 for number in numbers) == 1397
    assert {47234, 19351, 35914} < set(numbers)  # the first three of the list as it was drawn
    digest = hashlib.sha256("\n".join(f"{number:05}" for number in numbers).encode()).hexdigest()
    assert digest == "7d8277241291caa75b8ad72ef137d9cf2659640174781f986813df0c3eac53ed"


def test_ffhq_lists_decide_where_there_are_any(tmp_path, write):
    for number in range(5):
        write(tmp_path / "ffhq" / f"{number:05}.png", number)
    (tmp_path / "ffhq" / "ffhqtrain.txt").write_text("00003.png\n00001.png\n00009.png\n\n")
    (tmp_path / "ffhq" / "ffhqvalidation.txt").write_text("00002.png\n")
    assert names(DataConfig("ffhq", **CENTER), tmp_path / "ffhq") == (["00001.png", "00003.png"], ["00002.png"])
    source = DataConfig.open(DataConfig("ffhq", **CENTER), tmp_path / "ffhq", "train")
    assert "00009.png (is listed in ffhqtrain.txt and missing)" in source.skipped.summary()


# --- ImageNette and ImageNet --------------------------------------------------------------------------------------


def classes(root: Path, write, train: int = 3, val: int = 2) -> Path:
    for kind, (part, count) in enumerate({"train": train, "val": val}.items()):
        for index, wnid in enumerate(WNIDS):
            for number in range(count):
                write(root / part / wnid / f"{wnid}_{number}.JPEG", 17 * kind + 5 * index + number)
    return root


@pytest.mark.parametrize("layout, inside", [("imagenette", ""), ("imagenette", "imagenette2"), ("imagenet", ""),
                                            ("imagenette", "imagenette2-320"), ("imagenet", "ILSVRC/Data/CLS-LOC")])
def test_classes_are_labels(layout, inside, tmp_path, write):
    classes(tmp_path / "set" / inside, write)
    for split, count, part in (("train", 3, "train"), ("test", 2, "val")):
        source = DataConfig.open(DataConfig(layout, **CENTER), tmp_path / "set", split)
        assert source.classes == WNIDS
        assert source.names == [f"{part}/{wnid}/{wnid}_{n}.JPEG" for wnid in WNIDS for n in range(count)]
        assert list(source.labels) == [k for k in range(3) for _ in range(count)]
        index, _ = source.draw(0, 1, 2)
        assert source.classes[source.labels[index]] in source.names[index]


def test_a_flat_validation_folder_of_imagenet(tmp_path, write):
    root = tmp_path / "set"
    classes(root / "ILSVRC" / "Data" / "CLS-LOC", write, val=0)
    for number in range(1, 4):
        write(root / "ILSVRC" / "Data" / "CLS-LOC" / "val" / f"ILSVRC2012_val_{number:08}.JPEG", number)
    source = DataConfig.open(DataConfig("imagenet", **CENTER), root, "test")
    assert len(source) == 3 and source.labels is None and source.classes == ()
    answer = root / "LOC_val_solution.csv"
    rows = [f"ILSVRC2012_val_{n:08},{WNIDS[n - 1]} 1 2 3 4 \n" for n in (3, 1, 2)]
    answer.write_text("ImageId,PredictionString\n" + "".join(rows))
    source = DataConfig.open(DataConfig("imagenet", **CENTER), root, "test")
    assert list(source.labels) == [0, 1, 2] and source.classes == WNIDS
    answer.write_text("ImageId,PredictionString\n" + "".join(rows[:2]))
    with pytest.raises(UserError, match=r"ILSVRC2012_val_00000002.* has no class"):
        DataConfig.open(DataConfig("imagenet", **CENTER), root, "test")


def test_an_empty_class_keeps_the_numbers_of_the_others(tmp_path, write):
    root = classes(tmp_path / "set", write)
    for path in (root / "val" / WNIDS[0]).iterdir():
        path.unlink()
    source = DataConfig.open(DataConfig("imagenette", **CENTER), root, "test")
    assert source.labels[0] == 1 and f"{WNIDS[0]} (holds no pictures)" in source.skipped.summary()


# --- all of them --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["folder", "celeba", "ffhq", "imagenette", "imagenet"])
@pytest.mark.parametrize("root", ["missing", "a file", "empty", "other names", "half"])
def test_another_layout_gives_one_line(layout, root, tmp_path, write):
    (tmp_path / "a file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "other names" / "deep").mkdir(parents=True)
    (tmp_path / "other names" / "deep" / "notes.txt").touch()
    (tmp_path / "half" / "train" / WNIDS[0]).mkdir(parents=True)
    with pytest.raises(UserError) as caught:
        DataConfig.open(DataConfig(layout, **CENTER), tmp_path / root, "train")
    assert str(caught.value).isprintable() and root in str(caught.value)


def test_a_list_that_is_none_gives_one_line(celeba):
    for content in (b"000001.jpg\n", b"000001.jpg 7\n", b"\xff\xfe\0", b"<html>\n"):
        (celeba / "list_eval_partition.txt").write_bytes(content)
        with pytest.raises(UserError, match=r"list_eval_partition\.txt") as caught:
            DataConfig.open(DataConfig("celeba", **CENTER), celeba, "train")
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("options, part", [
    ({"layout": "cifar"}, "folder, celeba, ffhq, imagenette, imagenet, lsun"),
    ({"crop": "middle"}, "pyramid, random_flip"),
    ({"size": 0}, "size is 0"), ({"levels": 0}, "levels is 0"), ({"holdout": 1.0}, "holdout is 1"),
    ({"holdout": -0.1}, "holdout is -0.1"), ({"holdout": float("nan")}, "holdout is nan"),
])
def test_a_configuration_that_makes_no_sense_gives_one_line(options, part):
    config = DataConfig()
    for name, value in options.items():
        object.__setattr__(config, name, value)               # the tests' type checker would refuse it before we do
    with pytest.raises(UserError, match=part):
        config.__post_init__()


def test_damaged_files_are_replaced_the_same_way_every_time(tmp_path, write):
    root = classes(tmp_path / "set", write)
    config = DataConfig("imagenette", size=31, crop="random_flip")
    before = [DataConfig.open(config, root, "train").draw(0, step, 0) for step in range(60)]
    broken = root / "train" / WNIDS[1] / f"{WNIDS[1]}_1.JPEG"
    broken.write_bytes(broken.read_bytes()[:600])
    one, two = DataConfig.open(config, root, "train"), DataConfig.open(config, root, "train")
    for step, (index, picture) in enumerate(before):
        (i, a), (_, b) = one.draw(0, step, 0), two.draw(0, step, 0)
        assert torch.equal(a, b)
        assert (i, torch.equal(a, picture)) == (index, True) if index != 4 else i != 4
    assert "n02102040_1.JPEG (is damaged or truncated" in one.skipped.summary(9)
    test = list(DataConfig.open(config, root, "test").pictures())
    assert len(test) == 6 and all(picture.shape == (3, 31, 31) for _, picture in test)


def test_evaluation_leaves_damaged_files_out(tmp_path, write):
    root = classes(tmp_path / "set", write)
    (root / "val" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG").write_bytes(b"")
    source = DataConfig.open(DataConfig("imagenette", **CENTER), root, "test")
    assert [name for name, _ in source.pictures()] == source.names[1:] and len(source.skipped) == 1


def test_a_folder_of_damaged_files_stops_with_one_line(tmp_path):
    for number in range(3):
        (tmp_path / "train" / f"{number}.png").parent.mkdir(exist_ok=True)
        (tmp_path / "train" / f"{number}.png").write_bytes(b"")
    (tmp_path / "val").mkdir()
    source = DataConfig.open(DataConfig(**CENTER), tmp_path, "train")
    with pytest.raises(UserError, match=r"32 pictures in a row cannot be read.*skipped 3 of 3") as caught:
        source.sample(0, 0, 0)
    assert str(caught.value).isprintable()


def test_large_pictures_are_read_whole_and_cut(tmp_path):
    """A panorama of one row of squares."""
    (tmp_path / "pool" / "train").mkdir(parents=True)
    (tmp_path / "pool" / "val").mkdir()
    Image.new("RGB", (5000, 1), (51, 102, 153)).save(tmp_path / "pool" / "train" / "x.png")
    source = DataConfig.open(DataConfig(size=7, crop="random_flip"), tmp_path / "pool", "train")
    expected = (torch.tensor([51, 102, 153]) / 255)[:, None, None].expand(3, 7, 7)
    torch.testing.assert_close(source.sample(0, 0, 0), expected)
