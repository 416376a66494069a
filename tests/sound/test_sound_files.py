"""Reading recordings: every width of number, several channels, other rates, and headers that say what is not so."""

import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile
from sound_files import RATE, tones, write

from tokenfield.data.decoding import PictureError
from tokenfield.errors import UserError
from tokenfield.sound.files import find_recordings, read_recording, resampled, write_wav


def test_sixteen_bits_come_back_as_they_were(tmp_path):
    samples = torch.arange(-(2**15), 2**15, 7).float() / 2**15
    write_wav(tmp_path / "a.wav", samples, RATE)
    assert torch.equal(read_recording(tmp_path / "a.wav", RATE), samples)
    write_wav(tmp_path / "b.wav", torch.tensor([1.5, -1.5]), RATE)
    assert read_recording(tmp_path / "b.wav", RATE).tolist() == [1 - 2**-15, -1]


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_every_width_of_number_is_the_same_recording(kind, tmp_path):
    exact = np.array([-1.0, -0.5, 0.0, 0.25, 0.5], np.float32)  # of any width
    scale = 1 if kind in (np.float32, np.float64) else 2.0 ** (8 * np.dtype(kind).itemsize - 1)
    wavfile.write(tmp_path / "a.wav", RATE, (exact * scale + (128 if kind is np.uint8 else 0)).astype(kind))
    assert read_recording(tmp_path / "a.wav", RATE).tolist() == exact.tolist()


def test_channels_are_mixed_down_to_their_mean(tmp_path):
    wavfile.write(tmp_path / "a.wav", RATE, np.array([[0.5, -0.25, 0.5], [0.75, 0.25, -0.25]], np.float32))
    assert read_recording(tmp_path / "a.wav", RATE).tolist() == [0.25, 0.25]


@pytest.mark.parametrize("rate", [RATE // 2, 1361, 2 * RATE])
def test_another_rate_is_the_same_sound(rate):
    there = resampled(tones(4000), RATE, rate)
    assert len(there) == round(4000 * rate / RATE)
    middle = slice(rate // 2, 3 * rate)  # away from the ends, beyond which nothing is known
    first = (torch.arange(len(there)) / rate)[middle].double()  # the resampler keeps the first sample in place
    truth = torch.from_numpy(np.interp(first + 0.5 / RATE, (np.arange(400_000) + 0.5) / (100 * RATE),
                                       tones(400_000, 100 * RATE).numpy())).float()
    assert (there[middle] - truth).abs().max() < 0.01


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data


def wav(fmt=(1, 1, RATE, 2 * RATE, 2, 16), data=b"\1\2\3\4", size=None):
    """A WAV file of any header: format, channels, rate, bytes a second, bytes a sample, bits."""
    body = b"WAVE" + chunk(b"fmt ", struct.pack("<HHIIHH", *fmt)) + b"data" + struct.pack(
        "<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


HOSTILE = {
    "empty": b"",
    "no header": b"RIFF",
    "text": b"this is no recording at all, but a letter",
    "half a header": wav()[:30],
    "no channels": wav((1, 0, RATE, 0, 0, 16)),
    "no bits": wav((1, 1, RATE, RATE, 0, 0)),
    "odd bits": wav((1, 1, RATE, RATE, 3, 23)),
    "unknown coding": wav((0x7777, 1, RATE, RATE, 2, 16)),
    "no rate": wav((1, 1, 0, 0, 2, 16)),
    "an absurd rate": wav((1, 1, 2**32 - 1, 2**32 - 2, 2, 16)),
    "no samples": wav(data=b""),
    "no data": wav()[:36],
    "not finite": wav((3, 1, RATE, 4 * RATE, 4, 32), struct.pack("<f", float("nan"))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_ends_in_one_line(name, tmp_path):
    (tmp_path / "a.wav").write_bytes(HOSTILE[name])
    with pytest.raises(PictureError) as error:
        read_recording(tmp_path / "a.wav", RATE)
    assert "\n" not in str(error.value) and "a.wav: " in str(error.value)


def test_of_a_stream_that_does_not_know_its_length_all_is_read(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(data=b"\0\x40\0\xc0", size=2**32 - 2))
    assert read_recording(tmp_path / "a.wav", RATE).tolist() == [0.5, -0.5]


@settings(deadline=None)
@given(at=st.integers(0, 43), byte=st.integers(0, 255))
def test_one_wrong_byte_is_a_recording_or_one_line(at, byte, tmp_path_factory):
    data, path = bytearray(wav(data=b"\1\2\3\4" * 9)), tmp_path_factory.getbasetemp() / "byte.wav"
    data[at] = byte
    path.write_bytes(bytes(data))
    try:
        assert torch.isfinite(read_recording(path, RATE)).all()
    except PictureError as error:
        assert "\n" not in str(error)


def test_others_name_the_extra_where_soundfile_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    with pytest.raises(PictureError, match=r"pip install 'tokenfield\[sound\]'"):
        read_recording(tmp_path / "a.flac", RATE)


def test_others_are_read_by_soundfile(tmp_path, monkeypatch):
    both = np.array([[0.5, 0.0], [0.0, -0.5]], np.float32)
    monkeypatch.setitem(sys.modules, "soundfile", SimpleNamespace(read=lambda *_, **__: (both, RATE)))
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    assert read_recording(tmp_path / "a.flac", RATE).tolist() == [0.25, -0.25]


def test_a_folder_lists_its_recordings(tmp_path):
    for name in ("b.wav", "sub/a.WAV", ".hidden/c.wav", "d.txt"):
        write(tmp_path / name)
    assert [path.name for path in find_recordings(tmp_path)] == ["b.wav", "a.WAV"]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="no recording in it"):
        find_recordings(tmp_path / "nothing")
