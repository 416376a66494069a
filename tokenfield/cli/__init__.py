"""The command line: `tokenfield COMMAND ...`, one file per command; `tokenfield --help` lists them."""

from tokenfield.cli.app import main as main
