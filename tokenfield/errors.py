"""The one exception a user is meant to read, and those that mean a damaged file."""

import struct
import zlib

DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError,
          AssertionError, RuntimeError, struct.error, zlib.error)
"""What decoders raise on damaged bytes. Pillow documents OSError; its plugins raise all of these on fuzzed files."""


class UserError(ValueError):
    """Something the caller can put right: the message is one line.

    It says what was given, what is accepted and what to do. The command line prints it without a traceback; library
    users catch it as a `ValueError`.
    """
