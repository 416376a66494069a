"""The command line: `tokenfield COMMAND ...`, one file per command; `tokenfield --help` lists them."""

import os

# Threads that wait for one another sleep instead of spinning. torch's OpenMP reads this when it is loaded, so it stands
# before every import of torch. Spinning threads slow one another down many times over as soon as a core has other work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tokenfield.cli.app import main as main
