"""Random numbers that are a function of where they are used, not of earlier draws.

A cryptographic hash of the place is as random as any generator for the handful of integers that a crop needs, takes two
microseconds where setting up a generator takes tens, and gives the same numbers in every version of every library.
"""

import hashlib
import struct
from collections.abc import Iterator


class Draws:
    """Up to eight uniform integers that depend on (seed, key) alone.

        draws = Draws(seed, step, slot)
        top, left = draws.below(height - size + 1), draws.below(width - size + 1)

    The seed and the key, which names the place (step, batch position, attempt, ...), are from 0 to 2^64 - 1.
    """

    def __init__(self, seed: int, *key: int):
        place = struct.pack(f"<{1 + len(key)}Q", seed, *key)
        self._words: Iterator[int] = iter(struct.unpack("<8Q", hashlib.blake2b(place).digest()))

    def below(self, n: int) -> int:
        """The next draw, uniform in 0..n-1. Of 64 bits, the remainder's bias is below n / 2^64."""
        return next(self._words) % n
