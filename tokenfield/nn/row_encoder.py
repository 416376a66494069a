"""From pictures to rows of weights: LAINR's encoder, with a last map of its own for every layer that it feeds.

The comparison of the papers holds the encoder fixed, so this is `LatentEncoder`; where one layer is modulated (pattern
composers) it is the same thing, a LayerNorm and a linear map to that layer's fan-in.
"""

from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.nn.encoder import LatentEncoder
from tokenfield.nn.hyponet import Layout


class ToRows(nn.Module):
    """LayerNorm and a linear map to fan-in, for every modulated layer.

    Args:
        dim: width of the transformer.
        layout: of the MLP's tokens.
    """

    def __init__(self, dim: int, layout: Layout):
        super().__init__()
        self.layout = layout
        modulated = {str(i): width for i, (n, width) in enumerate(zip(layout.counts, layout.widths, strict=True)) if n}
        self.norm = nn.ModuleDict({i: nn.LayerNorm(dim) for i in modulated})
        self.linear = nn.ModuleDict({i: nn.Linear(dim, width) for i, width in modulated.items()})

    def forward(self, x: Float[Tensor, "b r e"]) -> Float[Tensor, "b r d"]:
        """The transformer's last R outputs -> tokens."""
        parts: tuple[Tensor, ...] = x.split(self.layout.counts, 1)
        return self.layout.join([self.linear[i](norm(parts[int(i)])) for i, norm in self.norm.items()])


class RowEncoder(LatentEncoder):
    """Patches -> the rows of an MLP's modulated layers.

    Args:
        layout: of the MLP's tokens.
        patch_dim, num_patches, dim, depth, num_heads, mlp_ratio: as in `LatentEncoder`.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        patch_dim: int,
        num_patches: int,
        dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
    ):
        super().__init__(
            patch_dim=patch_dim,
            num_patches=num_patches,
            num_latents=layout.count,
            latent_dim=layout.width,
            dim=dim,
            depth=depth,
            num_heads=num_heads,
            mlp_ratio=mlp_ratio,
        )
        # In place of one norm and one map for all tokens.
        self.norm = nn.Identity()  # type: ignore[assignment]
        self.out = ToRows(dim, layout)  # type: ignore[assignment]
