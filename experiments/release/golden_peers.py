"""Parity fixtures of other projects' code at toy size, beside those that tests/golden already holds.

    python -m experiments.release.golden_peers trans-inr CLONE -o tests/golden     # of yinboc/trans-inr at f4bdc01
    python -m experiments.release.golden_peers ginr-ipc CLONE -o tests/golden      # of kakaobrain/ginr-ipc at 135f55c

Runs the clone's own code (which needs einops, and omegaconf for ginr-ipc) with random weights, and writes a checkpoint
as its trainer does, inputs and outputs. Nothing of the clone is kept.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import yaml

from benchmarks.peers import open_ginr_ipc, stub

ENCODER = {"name": "transformer_encoder", "args": {"dim": 24, "depth": 2, "n_head": 3, "head_dim": 8, "ff_dim": 56}}
PICTURES = {
    "tokenizer": {"name": "imgrec_tokenizer", "args": {"input_size": [13, 18], "patch_size": 5, "padding": 1}},
    "hyponet": {
        "name": "hypo_mlp",
        # At their default bandwidth of 1024 the last bit of a float32 coordinate is worth 1e-4 of a value.
        "args": {"in_dim": 2, "out_dim": 3, "out_bias": 0.5, "depth": 4, "hidden_dim": 12, "use_pe": True}
        | {"pe_dim": 10, "pe_sigma": 64},
    },
    "n_groups": 6,
    "transformer_encoder": ENCODER,
}
VIEWS = {
    "tokenizer": {"name": "nvs_tokenizer", "args": {"input_size": 12, "patch_size": 4}},
    "hyponet": {"name": "hypo_nerf", "args": {"hidden_dim": 16, "depth": 4, "pe_dim": 8}},
    "n_groups": 8,
    "transformer_encoder": ENCODER,
}
META_IPC = """
arch:
  type: meta_low_rank_modulated_inr
  rank: [7]
  modulated_layer_idxs: [1, 2]
  use_factorization: true
  n_inner_step: 3
  inner_lr: 0.01
  coord_sampler: {data_type: image, coord_range: [-1.0, 1.0], train_strategy: null, val_strategy: null}
  hyponet:
    n_layer: 4
    hidden_dim: [24]
    input_dim: 2
    output_dim: 3
    output_bias: 0.5
    fourier_mapping: {type: deterministic_transinr, ff_sigma: 32, ff_dim: 10}
    activation: {type: relu}
"""


def shake(model: torch.nn.Module) -> None:
    """Norms start as the identity and biases at zero; here every number matters."""
    with torch.no_grad():
        for p in filter(lambda p: p.requires_grad, model.parameters()):  # frequencies are a formula
            p += 0.03 * torch.randn_like(p)


def trans_inr(clone: Path, out: Path) -> None:
    """Two checkpoints of yinboc/trans-inr."""
    stub("tensorboardX")
    sys.path.insert(0, str(clone))
    import models
    from utils import make_coord_grid, poses_to_rays, volume_rendering

    def save(name: str, args: dict, dataset: dict, data: dict, answer) -> None:
        specification = {"name": "trans_inr", "args": args}
        model = models.make(specification).eval()
        shake(model)
        with torch.no_grad():
            results = answer(model(data))
        optimizer = {"name": "adam", "args": {"lr": 1e-4}, "sd": torch.optim.Adam(model.parameters()).state_dict()}
        cfg = {"train_dataset": dataset, "model": specification}
        specification["sd"] = model.state_dict()
        torch.save({"model": specification, "optimizer": optimizer, "epoch": 1, "cfg": cfg}, out / f"{name}.pt")
        np.savez_compressed(out / f"{name}_io.npz", **{k: v.numpy() for k, v in (data | results).items()})

    def pictures(net) -> dict:
        grids = {"reconstruction": (13, 18), "reconstruction_68x50": (68, 50)}
        return {k: net(make_coord_grid(s, (-1, 1)).expand(2, *s, 2)).movedim(-1, 1) for k, s in grids.items()}

    inputs = {"inp": torch.rand(2, 3, 13, 18)}
    save("yinboc_transinr_dev", PICTURES, {"name": "imgrec_dataset", "args": {}}, inputs, pictures)
    turn = torch.linalg.qr(torch.randn(2, 3, 3, 3)).Q
    poses = torch.cat([turn, -4 * turn[..., 2:]], -1)  # somewhere at distance 4
    data = {
        "support_imgs": torch.rand(2, 2, 3, 12, 12),
        "support_poses": poses[:, :2].contiguous(),
        "support_focals": torch.full((2, 2, 2), 14.0),
        "query_poses": poses[:, 2:].contiguous(),
        "query_focals": torch.full((2, 1, 2), 14.0),
    }

    def rendered(net) -> dict:
        rays = poses_to_rays(data["query_poses"], 12, 12, data["query_focals"])
        return {"render": volume_rendering(net, *rays, 2, 6, 9, use_viewdirs=False, rand=False)}

    save("yinboc_transinr_nerf_dev", VIEWS, {"name": "learnit_shapenet", "args": {"n_support": 2}}, data, rendered)


def ginr_ipc(clone: Path, out: Path) -> None:
    """A checkpoint of the meta-learned pattern composers of kakaobrain/ginr-ipc."""
    model = open_ginr_ipc(clone)(yaml.safe_load(META_IPC)["arch"])
    shake(model)
    image = torch.rand(2, 3, 11, 17)
    reconstruction, _, history = model.eval()(image)
    torch.save({"epoch": 1, "state_dict": model.state_dict()}, out / "meta_ipc_dev.pt")
    (out / "meta_ipc_dev.yaml").write_text(META_IPC.lstrip())
    results = {"image": image, "reconstruction": reconstruction.detach(), "inner_psnr_sum": history["psnr"]}
    np.savez_compressed(out / "meta_ipc_dev_io.npz", **{k: v.numpy() for k, v in results.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", choices=["trans-inr", "ginr-ipc"])
    parser.add_argument("clone", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    {"trans-inr": trans_inr, "ginr-ipc": ginr_ipc}[arguments.project](arguments.clone, arguments.out)
