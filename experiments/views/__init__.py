"""Light fields beside radiance fields: figures of `results/views`."""
