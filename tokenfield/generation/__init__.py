"""Generation: latents of a data set, a transformer that denoises them, and pictures from its samples (SPEC 2.7).

The parts, in the order in which they are used:

    latents.py     a data set encoded once, in memory-mapped shards, with the statistics that standardise it
    schedules.py   how noise and data are mixed, and what a network is asked to predict
    denoiser.py    the network
"""

# The systems list the denoiser among them, and it is built on their base class: whoever comes first, this order works.
import tokenfield.models  # noqa: F401
