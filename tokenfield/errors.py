"""The one exception a user is meant to read."""


class UserError(ValueError):
    """Something the caller can put right: the message is one line.

    It says what was given, what is accepted and what to do. The command line prints it without a traceback; library
    users catch it as a `ValueError`.
    """
