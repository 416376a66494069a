"""Debian packages as sources of pools: fetched where none is given, and unpacked."""

import subprocess
import sys
from pathlib import Path


def unpacked(package: str, source: Path | None, scratch: Path) -> Path:
    """A folder with a package's files below it: the source itself, or what its .deb file, or a fetched one, holds.

    Exits with one line where nothing can be fetched.
    """
    if source is not None and not (packages := sorted(source.rglob(f"{package}_*.deb"))):
        return source
    if source is None:
        try:
            subprocess.run(["apt-get", "download", package], cwd=scratch, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"apt-get download {package} failed ({error}); fetch the package elsewhere and give its folder as "
                     "--source")
        packages = sorted(scratch.glob(f"{package}_*.deb"))
    subprocess.run(["dpkg", "-x", packages[-1], scratch / "unpacked"], check=True)
    return scratch / "unpacked"
