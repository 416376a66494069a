"""Recordings as fields of time: readers, a domain of segments, systems over one coordinate, and `tokenfield sound`."""
