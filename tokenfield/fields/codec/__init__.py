"""Real bytes: quantised tokens, an entropy coder, and the container that `.field` files of version 2 are."""
