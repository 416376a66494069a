"""Debian packages as sources of pools: fetched where no folder of them is given, and unpacked."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def last_line(text: str) -> str:
    """Of what a program said."""
    return (text.strip().splitlines() or ["no message"])[-1]


def fetch(names: Iterable[str], folder: Path) -> None:
    """Puts the packages' `.deb` files into a folder, with the system's own package tool."""
    if shutil.which("apt-get") is None:
        sys.exit("apt-get is missing; give a folder (--packages, --source) with the .deb files of " + ", ".join(names))
    for name in names:
        process = subprocess.run(["apt-get", "download", name], cwd=folder, capture_output=True, text=True)
        if process.returncode:
            sys.exit(f"apt-get download {name} failed: {last_line(process.stderr)}; try apt-get update, or "
                     "give a folder that holds the package")


def roots(names: Iterable[str], given: Path | None, scratch: Path) -> dict[str, Path]:
    """Where each package's files lie: unpacked below `scratch`, from `.deb` files that are given, or fetched.

    Exits with one line where a package cannot be had.
    """
    names, folders = list(names), {}
    if given is None:
        fetch(names, scratch)
    for name in names:
        files = sorted((given or scratch).glob(f"{name}_*.deb"))
        if not files:
            sys.exit(f"{given} holds no {name}_*.deb; apt-get download {name} fetches it")
        if shutil.which("dpkg") is None:
            sys.exit("dpkg is missing; it unpacks the .deb files (Debian, Ubuntu: part of the system)")
        folders[name] = scratch / "unpacked" / name
        folders[name].mkdir(parents=True)
        process = subprocess.run(["dpkg", "-x", files[-1], folders[name]], capture_output=True, text=True)
        if process.returncode:
            sys.exit(f"{files[-1]} cannot be unpacked: {last_line(process.stderr)}; fetch it again")
    return folders


def unpacked(package: str, source: Path | None, scratch: Path) -> Path:
    """The same of one package, whose files a source may also hold as they are."""
    if source is not None and not any(source.rglob(f"{package}_*.deb")):
        return source
    return roots([package], source, scratch)[package]
