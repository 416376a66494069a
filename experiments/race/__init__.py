"""Equal stored values, equal processor seconds: seven systems at four sizes; `python -m experiments.tables race`."""
