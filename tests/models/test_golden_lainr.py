"""Eq. 2-9 against values computed in float64 by independent code (`tests/golden/lainr_decoder*_dev.npz`)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tokenfield.nn.token_decoder import MultiBandModulation, SelectiveTokenAggregation, TokenDecoder

GOLDEN = Path(__file__).parents[1] / "golden"
TOLERANCE = 1e-10  # float64 throughout; the outputs are of order one


def load(name: str) -> tuple[dict[str, torch.Tensor], TokenDecoder]:
    """The fixture and a decoder that carries its weights."""
    golden = {key: torch.from_numpy(np.asarray(value)) for key, value in np.load(GOLDEN / name).items()}
    in_dim, dim, features = golden["coordinates"].shape[-1], len(golden["W_q"]), golden["W_q"].shape[1]
    sigmas = golden["sigma"].tolist()
    aggregator = SelectiveTokenAggregation(
        in_dim=in_dim,
        dim=dim,
        latent_dim=golden["latents"].shape[-1],
        feature_dim=features,
        sigma_q=golden["sigma_q"].item(),
        num_heads=golden["heads"].item(),
    )
    out_dim = len(golden["W_out1"])
    head = MultiBandModulation(in_dim=in_dim, dim=dim, feature_dim=features, sigmas=sigmas, out_dim=out_dim)
    decoder = TokenDecoder(aggregator, head, output_bias=0.0).double()
    attention = aggregator.attention
    symbols = {aggregator.query.linear: ("W_q", "b_q")}
    symbols |= {getattr(attention, x): (f"A_{x}", f"a_{x}") for x in "qkv"} | {attention.out: ("A_o", "a_o")}
    for band in range(1, len(sigmas) + 1):
        symbols[head.frequency[band - 1].linear] = (f"W_F{band}", f"b_F{band}")
        symbols[head.modulate[band - 1]] = (f"W_m{band}", f"b_m{band}")
        symbols[head.out[band - 1]] = (f"W_out{band}", f"b_out{band}")
        if band > 1:
            symbols[head.compose[band - 2]] = (f"W_{band}", f"b_{band}")
    state = {}
    names = {module: name for name, module in decoder.named_modules()}
    for module, (weight, bias) in symbols.items():
        state |= {f"{names[module]}.weight": golden[weight], f"{names[module]}.bias": golden[bias]}
    decoder.load_state_dict(state, strict=True)
    return golden, decoder


@pytest.mark.parametrize("name", ["lainr_decoder_dev.npz", "lainr_decoder_rays_dev.npz"])
@torch.no_grad()
def test_every_intermediate_value(name):
    golden, decoder = load(name)
    aggregator = decoder.aggregator
    coords, latents = golden["coordinates"], golden["latents"]

    query = aggregator.query(coords)
    torch.testing.assert_close(query, golden["query"], rtol=0, atol=TOLERANCE)

    located, prepared = decoder.locate(coords), decoder.prepare(latents)
    scores = located[0] @ prepared[0][0].transpose(-1, -2) / located[0].shape[-1] ** 0.5
    torch.testing.assert_close(scores.softmax(-1), golden["attention"], rtol=0, atol=TOLERANCE)

    m = aggregator.output_map(aggregator.combine(located[0], prepared[0]))
    torch.testing.assert_close(m, golden["modulation"], rtol=0, atol=TOLERANCE)

    output = decoder.combine(located, prepared)
    torch.testing.assert_close(output, golden["output"], rtol=0, atol=TOLERANCE)
