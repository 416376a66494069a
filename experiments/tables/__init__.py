"""The papers' tables and figures, measured anew: `python -m experiments.tables TABLE ...`.

    tables    which rows a table has, which published run each row is, and the published number
    rows      a row -> a recipe at a scale
    views     rows of posed views of objects
    optimized rows of test-time optimisation of what a row has trained
    report    notes and findings beside what `tokenfield.comparison.report` writes
    figures   the figures that only these tables have
    command   the command line
"""
