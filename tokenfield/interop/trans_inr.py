"""Checkpoints of yinboc/trans-inr: TransINR for pictures and as a radiance field. They carry their configuration.

Keys and values are one matrix there, without biases, and views have no positions. Matrices of the MLP are
(fan-in + 1) x fan-out with the bias in the last row.
"""

from typing import Any

from torch import Tensor

from tokenfield.configs import from_dict
from tokenfield.errors import UserError
from tokenfield.interop.choices import USUAL, Choices
from tokenfield.interop.settings import Setting, Settings, check_names
from tokenfield.interop.tensors import From, Plan, Zeros, fill
from tokenfield.models.base import FieldModel
from tokenfield.models.trans_inr import TransInrConfig
from tokenfield.views.models.radiance import TransInrRadianceConfig

CONTENT = {"model", "optimizer", "epoch", "cfg"}
"""What a checkpoint may hold."""

SECTIONS = (
    "model",
    *(f"{which}_dataset.{name}" for which in ("train", "test") for name in ("name", "args", "loader")),
    *("trainer", "optimizer", "env", "eval_model", "render_ray_batch", "train_n_rays", "train_points_per_ray"),
    *("max_epoch", "eval_epoch", "vis_epoch", "save_epoch", "adaptive_sample_epoch", "tto_steps"),
)
"""What a YAML may hold. Only the model is compared; what the checkpoint itself carries has run."""

FREE, REQUIRED = Setting(None), Setting()
TRANSFORMER = ("dim", "depth", "n_head", "head_dim", "ff_dim")

COMMON = {
    "name": Setting(only=("trans_inr",)),
    "args.n_groups": REQUIRED,
    "args.tokenizer.args.input_size": REQUIRED,
    "args.tokenizer.args.patch_size": REQUIRED,
    "args.tokenizer.args.padding": Setting(0),
    "args.tokenizer.args.dim": FREE,  # the transformer's, as it is set there
    "args.transformer_encoder.name": Setting(only=("transformer_encoder",)),
    "args.transformer_encoder.args.dropout": FREE,
    **{f"args.transformer_encoder.args.{size}": REQUIRED for size in TRANSFORMER},
}
PICTURES = COMMON | {
    "args.tokenizer.name": Setting(only=("imgrec_tokenizer",)),
    "args.tokenizer.args.img_channels": Setting(3),
    "args.hyponet.name": REQUIRED,
    "args.hyponet.args.depth": REQUIRED,
    "args.hyponet.args.in_dim": Setting(only=(2,)),
    "args.hyponet.args.out_dim": REQUIRED,
    "args.hyponet.args.hidden_dim": REQUIRED,
    "args.hyponet.args.use_pe": Setting(only=(True,)),
    "args.hyponet.args.pe_dim": REQUIRED,
    "args.hyponet.args.pe_sigma": Setting(1024),
    "args.hyponet.args.out_bias": Setting(0, (0.5,)),
}
RADIANCE = COMMON | {
    "args.tokenizer.name": Setting(only=("nvs_tokenizer",)),
    "args.tokenizer.args.img_channels": Setting(3, (3,)),
    "args.hyponet.name": REQUIRED,
    "args.hyponet.args": FREE,  # an empty mapping: the defaults
    "args.hyponet.args.use_viewdirs": Setting(False, (False,)),
    "args.hyponet.args.depth": Setting(6),
    "args.hyponet.args.hidden_dim": Setting(256),
    "args.hyponet.args.use_pe": Setting(True, (True,)),
    "args.hyponet.args.pe_dim": Setting(40),
}
KNOWN = {"hypo_mlp": PICTURES, "hypo_nerf": RADIANCE}
"""By MLP: every entry of a model's specification, its default there, and what of it is implemented here."""


def recognises(checkpoint: dict[str, Any]) -> bool:
    """Whether the project's trainer saved this."""
    model = checkpoint.get("model")
    return isinstance(model, dict) and isinstance(model.get("sd"), dict) and "name" in model


def build(checkpoint: dict[str, Any], config: dict[str, Any] | None, choices: Choices = USUAL) -> FieldModel:
    """The model of a checkpoint; its own configuration counts, and another one that is given must agree with it."""
    unknown = sorted(map(str, checkpoint.keys() - CONTENT))
    if unknown:
        raise UserError(f"the checkpoint holds unknown {', '.join(unknown)}")
    specification = {name: value for name, value in checkpoint["model"].items() if name != "sd"}
    if config is not None:
        check_names(config, SECTIONS)
    if config is not None and config.get("model") != specification:
        raise UserError("the checkpoint carries another model's configuration than the YAML; leave the YAML out")
    mlp = (specification.get("args") or {}).get("hyponet", {}).get("name")
    if mlp not in KNOWN:
        raise UserError(f"model.args.hyponet.name {mlp!r} is not known; {', '.join(KNOWN)} are")
    settings = Settings(specification, KNOWN[mlp], "model")
    pictures = KNOWN[mlp] is PICTURES
    model = _pictures(settings) if pictures else _radiance(settings, checkpoint.get("cfg") or {})
    layers = [f"wb{i}" for i in range(model.depth)]
    if not pictures:
        layers[-1] = "rgb_density_fc"
    state = choices.state(checkpoint["model"]["sd"], None)  # no moving average there
    return fill(model, _plan(model.encoder_depth, layers, pictures), state)


def _pictures(settings: Settings) -> TransInrConfig:
    channels = settings["args.tokenizer.args.img_channels"]
    if settings["args.hyponet.args.out_dim"] != channels:
        raise UserError("model.args.hyponet.args.out_dim differs from the pictures' channels; they must agree")
    fields = {
        "channels": channels,
        "feature_dim": 2 * settings["args.hyponet.args.pe_dim"],
        "sigma": float(settings["args.hyponet.args.pe_sigma"]),
    }
    return from_dict(TransInrConfig, _sizes(settings) | fields, "model")


def _radiance(settings: Settings, cfg: dict[str, Any]) -> TransInrRadianceConfig:
    dataset = (cfg.get("train_dataset") or {}).get("args") or {}
    fields = {"feature_dim": 3 * settings["args.hyponet.args.pe_dim"], "views": dataset.get("n_support", 1)}
    return from_dict(TransInrRadianceConfig, _sizes(settings) | fields, "model")


def _sizes(settings: Settings) -> dict[str, Any]:
    """The fields of either configuration that say how large it is."""
    size = settings["args.tokenizer.args.input_size"]
    transformer = {size: settings[f"args.transformer_encoder.args.{size}"] for size in TRANSFORMER}
    if transformer["n_head"] * transformer["head_dim"] != transformer["dim"]:
        raise UserError(f"model.args.transformer_encoder {transformer}: heads that fill the width are implemented here")
    patch, padding = settings["args.tokenizer.args.patch_size"], settings["args.tokenizer.args.padding"]
    size = (size, size) if isinstance(size, int) else tuple(size)
    if any((side + 2 * padding) % patch for side in size):
        raise UserError(f"model.args.tokenizer.args: {size} with padding {padding} is no whole patches of {patch}")
    return {
        "size": size,
        "patch": patch,
        "padding": padding,
        "encoder_dim": transformer["dim"],
        "encoder_depth": transformer["depth"],
        "encoder_heads": transformer["n_head"],
        "mlp_ratio": transformer["ff_dim"] / transformer["dim"],
        "dim": settings["args.hyponet.args.hidden_dim"],
        "depth": settings["args.hyponet.args.depth"],
        "groups": settings["args.n_groups"],
    }


def _keys(tensor: Tensor) -> Tensor:
    return tensor.chunk(2)[0]


def _values(tensor: Tensor) -> Tensor:
    return tensor.chunk(2)[-1]


def _rows(tensor: Tensor) -> Tensor:
    return tensor[:-1].transpose(0, -1)


def _last(tensor: Tensor) -> Tensor:
    return tensor[-1]


def _plan(depth: int, layers: list[str], positions: bool) -> Plan:
    """Where every tensor comes from.

    Args:
        depth: of the transformer.
        layers: of the MLP, by their names there.
        positions: whether patches have any.
    """
    plan: dict[str, From | Zeros] = {
        "encoder.position": From("tokenizer.posemb") if positions else Zeros(),
        "encoder.latents": From("wtokens"),
    }
    modules = {"encoder.embed": "tokenizer.prefc"}
    for i in range(depth):
        ours, theirs = f"encoder.transformer.blocks.{i}", f"transformer_encoder.layers.{i}"
        plan[f"{ours}.attention.q.weight"] = From(f"{theirs}.0.fn.to_q.weight")
        plan[f"{ours}.attention.k.weight"] = From(f"{theirs}.0.fn.to_kv.weight", _keys)
        plan[f"{ours}.attention.v.weight"] = From(f"{theirs}.0.fn.to_kv.weight", _values)
        plan |= {f"{ours}.attention.{x}.bias": Zeros() for x in "qkv"}
        modules |= {f"{ours}.norm1": f"{theirs}.0.norm", f"{ours}.norm2": f"{theirs}.1.norm"}
        modules |= {f"{ours}.attention.out": f"{theirs}.0.fn.to_out.0"}
        modules |= {f"{ours}.mlp.0": f"{theirs}.1.fn.net.0", f"{ours}.mlp.2": f"{theirs}.1.fn.net.3"}
    for i, name in enumerate(layers):
        plan[f"net.layers.{i}.weight"] = From(f"base_params.{name}", _rows)
        plan[f"net.layers.{i}.bias"] = From(f"base_params.{name}", _last)
        modules |= {f"encoder.out.norm.{i}": f"wtoken_postfc.{name}.0"}
        modules |= {f"encoder.out.linear.{i}": f"wtoken_postfc.{name}.1"}
    for ours, theirs in modules.items():
        plan |= {f"{ours}.{part}": From(f"{theirs}.{part}") for part in ("weight", "bias")}
    return plan
