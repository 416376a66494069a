"""`benchmarks` lies beside the package, not in it: put the checkout on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
