"""`python -m tokenfield` is `tokenfield`, for machines where the script is not on the path."""

import sys

from tokenfield.cli import main

sys.exit(main())
