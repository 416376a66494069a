"""`tokenfield sound`: a file goes in and comes out, and what makes no sense is one line."""

import json

import pytest
from sound_files import RATE, build, write

from tokenfield.models import pretrained
from tokenfield.sound.files import read_recording


@pytest.fixture
def place(tmp_path):
    """A model's folder and a folder of recordings."""
    pretrained.save(build("lainr"), tmp_path / "model")
    for name, count in {"a": 311, "b": 50, "sub/c": 78}.items():
        write(tmp_path / "data" / f"{name}.wav", count)
    return tmp_path


def encoded(place, run, *options):
    """By the core's verb, which knows a recording by its name."""
    return run("encode", place / "data" / "a.wav", "--model", place / "model", "-o", place / "a.field", *options)


def test_a_recording_comes_back_as_long_as_it_was(place, run):
    outcome = encoded(place, run, "--json", place / "e.json")
    assert outcome.code == 0 and "0.31 s at 1009 Hz" in outcome.out and "SNR" in outcome.out
    assert run("decode", place / "a.field", "--model", place / "model").code == 0
    native = read_recording(place / "a.wav", RATE)
    assert len(native) == 311
    outcome = run("sound", "decode", place / "a.field", "-o", place / "fine.wav", "--rate", 3 * RATE, "--model",
                  place / "model")
    assert outcome.code == 0 and "3027 Hz" in outcome.out
    fine = read_recording(place / "fine.wav", 3 * RATE)
    assert len(fine) == 3 * 311
    assert (fine[1::3] - native).abs().max() <= 2**-15  # every third sample stands where one was
    (item,) = json.loads((place / "e.json").read_text())["items"]
    assert item["values_stored"] == item["tokens"] * 13 and item["seconds"] == pytest.approx(311 / RATE)


def test_info_says_seconds_rate_tokens_and_values_per_sample(place, run):
    encoded(place, run)
    outcome = run("info", place / "a.field", "--json", place / "i.json")
    facts = json.loads((place / "i.json").read_text())
    assert outcome.code == 0 and facts["seconds"] == round(311 / RATE, 4) and facts["rate"] == RATE
    assert facts["picture"] == "311 samples" and "values_per_pixel_value" not in facts
    assert facts["values_per_sample"] == round(facts["values_stored"] / 311, 4)
    assert "tokenfield sound" in run("info", place / "model").out


def test_a_folder_is_encoded_and_its_damaged_file_named(place, run):
    (place / "data" / "x.wav").write_bytes(b"RIFF")
    outcome = run("sound", "encode", place / "data", "--model", place / "model", "-o", place / "fields", "--half")
    assert outcome.code == 3 and "x.wav" in outcome.err and len(outcome.out.splitlines()) == 3
    assert (place / "fields" / "sub" / "c.field").exists()


def test_evaluate_gives_a_row_each_and_the_mean(place, run):
    (place / "data" / "silence.wav").write_bytes((place / "data" / "b.wav").read_bytes()[:44] + bytes(100))
    outcome = run("sound", "evaluate", place / "model", "--data", place / "data", "--split", "all", "--json",
                  place / "r.json", "--table", place / "t.csv")
    report = json.loads((place / "r.json").read_text())
    assert outcome.code == 3 and "is silent" in outcome.err and report["recordings"] == 3
    assert report["snr"] == pytest.approx(sum(item["snr"] for item in report["scores"]) / 3)
    assert len((place / "t.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize(("words", "line"), [
    (("sound", "encode", "nowhere.wav", "--model", "MODEL"), "no such file"),
    (("sound", "encode", "DATA/a.wav", "--model", "photos-s"), "takes pictures, not recordings"),
    (("sound", "decode", "FIELD", "--model", "MODEL", "--rate", "7"), "1000 to 384000"),
    (("sound", "decode", "FIELD", "--model", "MODEL", "-o", "a.mp3"), ".wav"),
    (("sound", "decode", "DATA/a.wav", "--model", "MODEL"), "no .field file"),
    (("decode", "FIELD", "--model", "MODEL", "--size", "3"), "--size"),
    (("sound", "evaluate", "MODEL", "--data", "nowhere"), "no such folder"),
])  # fmt: skip
def test_what_makes_no_sense_is_one_line(place, run, words, line):
    encoded(place, run)
    places = {"MODEL": place / "model", "FIELD": place / "a.field", "DATA/a.wav": place / "data" / "a.wav"}
    outcome = run(*(places.get(word, word) for word in words))
    assert outcome.code in (1, 2) and line in outcome.err and len(outcome.err.strip().splitlines()) == 1
