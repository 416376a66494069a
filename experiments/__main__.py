"""`python -m experiments COMMAND ...`: the commands of tokenfield, which know the recipes of this folder as well.

    python -m experiments train anchored-photos-64 --data build/photos
"""

import sys

import experiments.recipes  # noqa: F401 - their names
from tokenfield.cli import main

if __name__ == "__main__":  # and not where a process of its own is begun
    sys.exit(main())
