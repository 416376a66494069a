"""The papers' tables and figures, measured anew: same pictures, same encoder, same steps or seconds, same seeds.

    tables    which rows a table has, which published run each row is, and the published number
    running   a row and a seed -> one finished run with everything measured on it; what is finished is kept
    views     the same for posed views of objects
    optimized the same for test-time optimisation of what a row has trained
    measuring multiply-adds, locality
    memory    peak memory of training, in a process of its own
    report    all runs of a table -> JSON, a Markdown table, a figure
    figures   the figures: dots, curves, sizes, locality
"""
