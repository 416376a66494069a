"""Signals along any number of axes, read as samples: what recordings (one axis) and films (three) have in common."""
