"""Second stage: scores, nearest neighbours, errors of latents; `results/generation` and `results/latent-errors`."""
