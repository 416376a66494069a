"""Recipes of studies: no run that a user of the library would start by name."""
