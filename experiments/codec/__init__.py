"""Rate and distortion: what a `.field` file costs in bytes, beside picture formats."""
