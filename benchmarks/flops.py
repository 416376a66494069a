"""Floating-point operations of LAINR by formula: two per multiply-add, matrix products only.

Softmax, ReLU, normalisation and sines are left out, so a share of the matrix-product rate is a lower bound. A training
step costs three times its forward pass (products with the weights' and with the activations' gradients).
"""

from tokenfield.models.lainr import LainrConfig


def encoder(config: LainrConfig, *, last_block_whole: bool) -> float:
    """One picture -> tokens. In our last block only the R latents pass through queries, output map and MLP."""
    rows, columns = ((side + 2 * config.padding) // config.patch for side in config.size)
    patches, latents, dim = rows * columns, config.num_latents, config.encoder_dim
    tokens = patches + latents
    hidden = int(dim * config.mlp_ratio)

    def block(outputs: int) -> float:
        projections = 2 * dim * dim * 2 * (tokens + outputs)  # k, v of all; q, out of the outputs
        attention = 2 * 2 * outputs * tokens * dim
        return projections + attention + 2 * 2 * outputs * dim * hidden

    total = 2.0 * patches * config.channels * config.patch**2 * dim + 2 * latents * dim * config.latent_dim
    return total + (config.encoder_depth - 1) * block(tokens) + block(tokens if last_block_whole else latents)


def reference_decoder(config: LainrConfig, points: int) -> float:
    """One picture's coordinates, every product of Eq. 3-9 at each."""
    d, bands = config.dim, len(config.sigmas)
    features = (1 + bands) * config.feature_dim * d  # Eq. 3: query and bands
    attention = d * d + 2 * config.num_latents * d + d * d  # Eq. 5: query map, scores, blend, output map
    head = (2 * bands - 1) * d * d + bands * d * config.channels  # Eq. 7-9
    keys_values = 2 * config.num_latents * config.latent_dim * d
    return 2.0 * (points * (features + attention + head) + keys_values)


def our_decoder(config: LainrConfig, points: int, *, batch: int = 1, axes: tuple[int, ...] | None = None) -> float:
    """A batch: features per axis of a grid (or per point), queries once for the batch, the output map folded away."""
    d, bands = config.dim, len(config.sigmas)
    featured = sum(axes) / len(axes) if axes else points  # an axis has its share of the features
    shared = featured * (1 + bands) * config.feature_dim * d + points * d * d
    attention = 2 * config.num_latents * d
    head = (2 * bands - 1) * d * d + bands * d * config.channels
    per_instance = points * (attention + head) + 2 * config.num_latents * config.latent_dim * d
    return 2.0 * (shared + batch * per_instance + bands * d**3)


def ipc_decoder(points: int, dim: int = 256) -> float:
    """One picture's coordinates through IPC's MLP: features, three hidden layers, values."""
    return 2.0 * points * (4 * dim * dim + 3 * dim)


def coarse_decoder(config: LainrConfig, points: int, nodes: int) -> float:
    """One picture: everything up to the bands' modulations on nodes x nodes points, Eq. 8-9 at each coordinate.

    The interpolation, some percent of it, is left out like everything else that is no layer's product.
    """
    d, bands = config.dim, len(config.sigmas)
    attention = d * d + 2 * config.num_latents * d + bands * d * d  # query map, scores, blend, Eq. 7
    keys_values = 2 * config.num_latents * config.latent_dim * d
    composition = (bands - 1) * d * d + bands * d * config.channels
    return 2.0 * (nodes**2 * attention + keys_values + bands * d**3 + points * composition)
