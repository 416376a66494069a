"""`python -m experiments.tables TABLE ...`."""

import sys

from experiments.tables.command import main

sys.exit(main())
