"""Reading and writing recordings: WAV by SciPy, FLAC and others by the package soundfile.

A recording is one channel of float32 samples in [-1, 1]. Several channels are mixed down to their mean, as those who
train on speech do; integers are divided by 2^(bits - 1), so that the samples of a WAV file of 16 bits come back as they
were. What cannot be read is one line, a `PictureError` as in every room: file and reason, which a folder lists.
"""

import io
import struct
import warnings
from math import gcd
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.io import wavfile
from torch import Tensor

from tokenfield.data.decoding import PictureError
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown, write_whole
from tokenfield.io.walk import files_below
from tokenfield.sound.plugin import SUFFIXES, WAV

RATES = (1000, 384_000)
"""Samples per second of what is read and written, least and most: of telephones, and of the finest studios."""
DAMAGED = (ValueError, EOFError, struct.error, LookupError, ArithmeticError, TypeError, MemoryError, RuntimeError,
           NameError)
"""What readers raise where a header says what is not so; SciPy's also of names that it has not bound yet."""


def find_recordings(root: Path) -> list[Path]:
    """The recordings under a folder, sorted by name, or the file itself. Raises UserError for none."""
    if not root.exists():
        raise UserError(f"{shown(root)}: no such file or folder; give a recording, or a folder of them")
    if not root.is_dir():
        return [root]
    files = [path for path in files_below(root) if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not files:
        raise UserError(f"{shown(root)}: no recording in it; give a folder with {', '.join(SUFFIXES)}")
    return files


def read_recording(path: Path, rate: int) -> Float[Tensor, " n"]:
    """Samples of a recording at a rate in Hz, at least one: mixed down, and resampled where the file has another.

    Raises PictureError for what cannot be read, holds no samples, or numbers that are not finite.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PictureError(path, f"cannot be read ({error.strerror or error})") from error
    read = read_wav if path.suffix.lower() in WAV or data[:4] in (b"RIFF", b"RIFX", b"RF64") else read_other
    try:
        values, own = read(data)
    except UserError as error:
        raise PictureError(path, str(error)) from error
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(path, f"is no recording, or is damaged ({reason[:120]})") from error
    if not RATES[0] <= own <= RATES[1]:
        raise PictureError(path, f"says that it has {own} samples a second; {RATES[0]} to {RATES[1]} are read")
    if not values.size:
        raise PictureError(path, "holds no samples")
    if not np.isfinite(values).all():
        raise PictureError(path, "holds samples that are not finite numbers")
    return resampled(torch.from_numpy(values.mean(1, dtype=np.float32)), own, rate)


def read_wav(data: bytes) -> tuple[NDArray[np.float32], int]:
    """Samples (n, channels) and rate of a WAV file: integers of 8 to 64 bits, or floats."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks of other programs, lengths of streams
        # Of bytes in memory SciPy takes no more than there are, whatever the header says.
        rate, values = wavfile.read(io.BytesIO(data))
    values = values.reshape(len(values), -1)
    if values.dtype == np.uint8:  # the only one without a sign
        return (values.astype(np.float32) - 128) / 128, int(rate)
    scale = 2.0 ** -(8 * values.dtype.itemsize - 1) if values.dtype.kind == "i" else 1.0
    return (values * scale).astype(np.float32), int(rate)


def read_other(data: bytes) -> tuple[NDArray[np.float32], int]:
    """Samples (n, channels) and rate of anything that soundfile knows. Raises UserError where that is missing."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: its library, of C, is missing
        raise UserError("is no WAV file, and others need soundfile; type: pip install 'tokenfield[sound]'") from error
    values, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return values, int(rate)


def resampled(samples: Float[Tensor, " n"], own: int, rate: int) -> Float[Tensor, " m"]:
    """The same recording at another rate, low-passed below half of the lower one: round(n rate / own) samples."""
    if own == rate:
        return samples
    from scipy.signal import resample_poly

    common = gcd(own, rate)
    values = resample_poly(samples.double().numpy(), rate // common, own // common)
    wanted = max(1, round(len(samples) * rate / own))
    return torch.from_numpy(values[:wanted].astype(np.float32))


def write_wav(path: Path, samples: Float[Tensor, " n"], rate: int) -> None:
    """A WAV file of 16 bits, whole or not at all; samples beyond [-1, 1] are clamped."""
    target = io.BytesIO()
    wavfile.write(target, rate, (samples.double() * 2**15).round().clamp(-(2**15), 2**15 - 1).short().numpy())
    write_whole(path, target.getvalue())
