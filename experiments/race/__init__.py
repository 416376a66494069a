"""Equal processor seconds for nine systems at four sizes, eight of equal stored values: `experiments.tables race`."""
