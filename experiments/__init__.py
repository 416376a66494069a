"""The laboratory: what was measured with tokenfield, and how. It imports the library; the library never imports it."""
