"""Reading and writing films: frames in their order, what is damaged in one line, and ffmpeg where that is."""

import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_films import pictures, waves, write

from tokenfield.data.decoding import PictureError
from tokenfield.errors import UserError
from tokenfield.film import files
from tokenfield.film.files import find_films, ppm_frames, read_film, write_film

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    data = write(tmp_path / "a", waves(11, 5, 7))
    film, rate = read_film(tmp_path / "a", 3)
    assert torch.equal(film, data) and rate == 25
    grey, _ = read_film(tmp_path / "a", 1)
    exact = (data.permute(1, 2, 3, 0).double() @ torch.tensor([0.299, 0.587, 0.114]).double())
    assert grey.shape == (1, 11, 5, 7) and (grey[0] - exact).abs().max() <= 0.5001


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_an_animated_picture_is_a_film(tmp_path, ending):
    write_film(tmp_path / f"a.{ending}", pictures(waves(5, 16, 24)), 8.0)
    film, rate = read_film(tmp_path / f"a.{ending}", 3)
    assert film.shape == (3, 5, 16, 24) and rate == pytest.approx(8, rel=0.05)
    assert (film / 255 - waves(5, 16, 24)).abs().mean() < 0.08  # of GIF 256 colours


def test_a_folder_lists_its_films(tmp_path):
    write(tmp_path / "b" / "one", waves(3, 5, 7))
    write(tmp_path / "a", waves(2, 5, 7))
    write(tmp_path / "still", waves(1, 5, 7))
    (tmp_path / "c.mp4").write_bytes(b"")
    assert [path.relative_to(tmp_path).as_posix() for path in find_films(tmp_path)] == ["a", "b/one", "c.mp4"]
    assert find_films(tmp_path / "a") == [tmp_path / "a"]
    with pytest.raises(UserError, match="no film in it"):
        find_films(tmp_path / "still")


def test_frames_of_two_sizes_are_one_line(tmp_path):
    write(tmp_path / "a", waves(3, 5, 7))
    Image.new("RGB", (8, 5)).save(tmp_path / "a" / "f3.png")
    with pytest.raises(PictureError, match="frame 3 is 8 x 5 pixels and the first 7 x 5"):
        read_film(tmp_path / "a", 3)


@pytest.mark.parametrize("name", ["a.gif", "a.mp4"])
def test_what_is_no_film_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"no film at all")
    with pytest.raises(PictureError) as error:
        read_film(tmp_path / name, 3)
    assert "\n" not in str(error.value)


def test_too_long_a_film_is_one_line(tmp_path, monkeypatch):
    write(tmp_path / "a", waves(3, 5, 7))
    monkeypatch.setattr(files, "LARGEST", 200)
    with pytest.raises(PictureError, match="give a part of it"):
        read_film(tmp_path / "a", 3)


@settings(deadline=None, max_examples=60)
@given(at=st.integers(0, 700), byte=st.integers(0, 255), ending=st.sampled_from(["gif", "webp"]))
def test_one_wrong_byte_is_a_film_or_one_line(at, byte, ending, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / f"byte.{ending}"
    write_film(path, pictures(waves(3, 8, 9)), 5.0)
    data = bytearray(path.read_bytes())
    data[at % len(data)] = byte
    path.write_bytes(bytes(data))
    try:
        assert read_film(path, 1)[0].ndim == 4
    except PictureError as error:
        assert "\n" not in str(error)


def test_ffmpeg_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (tmp_path / "a.mp4").write_bytes(b"\0" * 100)
    with pytest.raises(PictureError, match="install it, or give a folder of frames"):
        read_film(tmp_path / "a.mp4", 3)
    with pytest.raises(UserError, match=r"give a name ending in \.webp"):
        write_film(tmp_path / "b.mp4", pictures(waves(2, 5, 7)), 5.0)
    assert not (tmp_path / "b.mp4").exists()


def test_pictures_of_a_program_are_read_as_they_come(tmp_path):
    frames = np.arange(2 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 3, 5, 3)
    (tmp_path / "two.ppm").write_bytes(b"".join(b"P6\n5 3\n255\n" + frame.tobytes() for frame in frames) + b"P6\n5 3")
    read = list(ppm_frames(tmp_path, ["cat", str(tmp_path / "two.ppm")]))
    assert np.array_equal(np.stack(read), frames)
    with pytest.raises(PictureError, match="cannot be read by ffmpeg"):
        list(ppm_frames(tmp_path, ["cat", str(tmp_path / "nothing")]))


@needs_ffmpeg
def test_an_mp4_comes_back(tmp_path):
    write_film(tmp_path / "a.mp4", pictures(waves(7, 16, 24)), 12.5)
    film, rate = read_film(tmp_path / "a.mp4", 3)
    assert film.shape == (3, 7, 16, 24) and rate == pytest.approx(12.5)
    assert (film / 255 - waves(7, 16, 24)).abs().mean() < 0.1


@pytest.mark.parametrize("bad", ["-", "a b", "ö"])
@needs_ffmpeg
def test_names_are_names(tmp_path, bad, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_film(tmp_path / f"{bad}.mp4", pictures(waves(3, 16, 24)), 5.0)
    assert read_film(tmp_path / f"{bad}.mp4", 1)[0].shape == (1, 3, 16, 24)
