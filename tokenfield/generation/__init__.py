"""Generation: latents of a data set, a transformer that denoises them, and pictures from its samples (LAINR 4.4, A.3).

The parts, in the order in which they are used:

    options.py, encoding.py, latents.py     a data set encoded once, in memory-mapped shards, with its statistics
    denoiser.py, lattice_denoiser.py        the networks: for sets of tokens, and for tokens that have places
    paths.py, objective.py                  how noise and data are mixed, what a network predicts, and its loss
    schedulers.py, sampling.py              from noise to tokens: solvers, guidance, a seed for every sample
    infill.py, interpolation.py             some tokens given the others; between two samples or two photographs
    samples_to_fields.py                    tokens as fields of the model that they came from
    features.py, inception.py, metrics.py   how close samples are to pictures, and whether they are copies of some
    recipes.py, commands/                   training runs; `tokenfield latents`, `generate`, `score`
"""
