"""Systems trained alike on the same pictures within the same budget, and measured alike (`tokenfield compare`).

    setting    budget, data and folders that all runs share
    systems    recipes made alike: same pictures, same size, as many stored values where a system can; what is measured
    running    a recipe and a seed -> one finished run, resumed where it stopped; all runs until the time is over
    held_out   pictures that are measured on while systems train
    report     all runs -> JSON, and from it tables as Markdown, CSV and LaTeX, and curves
"""
