"""`python -m tokenfield` is `tokenfield`, for machines where the script is not on the path."""

import sys

from tokenfield.cli import main

if __name__ == "__main__":  # and not where a process of its own is begun
    sys.exit(main())
