"""Films as fields of time and place: readers, a domain of clips, systems over three coordinates, `tokenfield film`."""
