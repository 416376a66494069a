"""The command line: `tokenfield COMMAND ...`, one file per command; `tokenfield --help` lists them."""

import os

# Threads that wait for one another sleep instead of spinning. torch's OpenMP reads this when it is loaded, so it stands
# before every import of torch. Spinning threads slow one another down many times over as soon as a core has other work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if os.environ.get("NO_COLOR"):  # https://no-color.org, which rich follows and tyro's helps do not
    os.environ["PYTHON_TYRO_ANSI_CODES"] = "False"

from tokenfield.cli.app import main as main
