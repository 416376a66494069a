"""The fixtures of `fixtures.py`, for every test."""

from fixtures import *  # noqa: F403
