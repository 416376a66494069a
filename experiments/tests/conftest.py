"""The fixtures that the library's tests have."""

from fixtures import *  # noqa: F403
