"""The one exception a user is meant to read, and those that mean a damaged file."""

import struct
import zlib

DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError,
          AssertionError, RuntimeError, struct.error, zlib.error)
"""What decoders raise on damaged bytes. Pillow documents OSError; its plugins raise all of these on fuzzed files."""


class UserError(ValueError):
    """Something the caller can put right: the message is one line.

    It says what was given, what is accepted and what to do. The command line prints it without a traceback; library
    users catch it as a `ValueError`. What is not printable in it, of a file's name perhaps, is escaped.
    """

    def __init__(self, message: object = ""):
        super().__init__(printable(str(message)))


def printable(text: str) -> str:
    """Text without what ends lines, controls terminals or is no letter: such characters are escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
