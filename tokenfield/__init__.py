"""tokenfield: a signal becomes a set of tokens; the tokens are a field you can ask anywhere."""

__version__ = "0.1.0"
