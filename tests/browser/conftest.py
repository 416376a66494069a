"""The fixtures of `stage.py`, for every test of this room."""

from stage import *  # noqa: F403
