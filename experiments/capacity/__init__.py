"""What decoders can hold: their tokens free, without an encoder in front."""
