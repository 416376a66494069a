"""Modules of torch alone, one idea per file; `tokenfield.models` puts them together."""
