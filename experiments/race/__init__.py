"""Equal stored values, equal processor seconds: `python -m experiments.tables race`; two rivals of today beside."""
