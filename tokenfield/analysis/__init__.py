"""What models do: where their tokens act, what a linear code of the same size does, and pictures of both."""
