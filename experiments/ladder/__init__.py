"""Nested models at each of their rates, beside principal components."""
