"""Makes modules beside the tests importable from the folders below (pytest puts this folder on the path)."""
