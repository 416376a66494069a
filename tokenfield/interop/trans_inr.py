"""Checkpoints of yinboc/trans-inr: TransINR for pictures and as a radiance field. They carry their configuration.

Attention has no biases there, and views have no positions. Matrices of the MLP are (fan-in + 1) x fan-out with the
bias in the last row.
"""

from tokenfield.configs import from_dict
from tokenfield.errors import UserError
from tokenfield.interop.project import Choices, Project
from tokenfield.interop.settings import Setting, Settings, free, must_be, only, optional, required
from tokenfield.interop.tensors import From, Plan, block, fill, weight_and_bias, weights_and_biases
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel
from tokenfield.models.hyponet_field import TransInrConfig
from tokenfield.views.models.radiance import TransInrRadianceConfig

SECTIONS = free(
    "model",
    *(f"{which}_dataset.{name}" for which in ("train", "test") for name in ("name", "args", "loader")),
    *("trainer", "optimizer", "env", "eval_model", "render_ray_batch", "train_n_rays", "train_points_per_ray"),
    *("max_epoch", "eval_epoch", "vis_epoch", "save_epoch", "adaptive_sample_epoch", "tto_steps"),
)
"""What a YAML may hold. Only the model is compared; what the checkpoint itself carries has run."""

TRANSFORMER = ("dim", "depth", "n_head", "head_dim", "ff_dim")

TOKENIZER, ENCODER, MLP = "args.tokenizer.args", "args.transformer_encoder.args", "args.hyponet.args"

COMMON = {
    **must_be({"name": "trans_inr", "args.transformer_encoder.name": "transformer_encoder"}),
    **required("args.n_groups", f"{TOKENIZER}.input_size", f"{TOKENIZER}.patch_size", "args.hyponet.name"),
    **required(*(f"{ENCODER}.{size}" for size in TRANSFORMER)),
    **optional({f"{TOKENIZER}.padding": 0}),
    **free(f"{TOKENIZER}.dim", f"{ENCODER}.dropout"),  # the first is the transformer's, as it is set there
}
PICTURES = COMMON | {
    **must_be({"args.tokenizer.name": "imgrec_tokenizer", f"{MLP}.in_dim": 2, f"{MLP}.use_pe": True}),
    **required(*(f"{MLP}.{name}" for name in ("depth", "out_dim", "hidden_dim", "pe_dim"))),
    **optional({f"{TOKENIZER}.img_channels": 3, f"{MLP}.pe_sigma": 1024}),
    f"{MLP}.out_bias": Setting(0, (0.5,)),
}
RADIANCE = COMMON | {
    **must_be({"args.tokenizer.name": "nvs_tokenizer"}),
    **only({f"{TOKENIZER}.img_channels": 3, f"{MLP}.use_viewdirs": False, f"{MLP}.use_pe": True}),
    **optional({f"{MLP}.depth": 6, f"{MLP}.hidden_dim": 256, f"{MLP}.pe_dim": 40}),
}
KNOWN = {"hypo_mlp": PICTURES, "hypo_nerf": RADIANCE}
"""By MLP: every entry of a model's specification, its default there, and what of it is implemented here."""


def build(checkpoint: Record, config: Record, choices: Choices) -> FieldModel:
    """The model of a checkpoint; its own configuration counts, and another one that is given must agree with it."""
    specification = {name: value for name, value in checkpoint["model"].items() if name != "sd"}
    if config and Settings(config, SECTIONS)["model"] != specification:
        raise UserError("the checkpoint carries another model's configuration than the YAML; leave the YAML out")
    mlp = (specification.get("args") or {}).get("hyponet", {}).get("name")
    if mlp not in KNOWN:
        raise UserError(f"model.args.hyponet.name {mlp!r} is not known; {', '.join(KNOWN)} are")
    settings = Settings(specification, KNOWN[mlp], "model")
    fields, pictures = _sizes(settings), KNOWN[mlp] is PICTURES
    layers = [f"wb{i}" for i in range(settings[f"{MLP}.depth"])]
    model: TransInrConfig | TransInrRadianceConfig
    if pictures:
        fields["channels"] = settings[f"{MLP}.out_dim"]
        if fields["channels"] != settings[f"{TOKENIZER}.img_channels"]:
            raise UserError("model.args.hyponet.args.out_dim differs from the pictures' channels; they must agree")
        fields |= {"feature_dim": 2 * settings[f"{MLP}.pe_dim"], "sigma": float(settings[f"{MLP}.pe_sigma"])}
        model = from_dict(TransInrConfig, fields, "model")
    else:
        dataset = ((checkpoint.get("cfg") or {}).get("train_dataset") or {}).get("args") or {}
        fields |= {"feature_dim": 3 * settings[f"{MLP}.pe_dim"], "views": dataset.get("n_support", 1)}
        model = from_dict(TransInrRadianceConfig, fields, "model")
        layers[-1] = "rgb_density_fc"
    state = choices.state(checkpoint["model"]["sd"])  # no moving average there
    return fill(model, _plan(model.encoder_depth, layers, pictures), state)


def _sizes(settings: Settings) -> Record:
    """The fields of either configuration that say how large it is."""
    size, patch, padding = (settings[f"{TOKENIZER}.{name}"] for name in ("input_size", "patch_size", "padding"))
    transformer = {name: settings[f"{ENCODER}.{name}"] for name in TRANSFORMER}
    if transformer["n_head"] * transformer["head_dim"] != transformer["dim"]:
        raise UserError(f"model.args.transformer_encoder {transformer}: heads that fill the width are implemented here")
    size = (size, size) if isinstance(size, int) else tuple(size)
    if any((side + 2 * padding) % patch for side in size):
        raise UserError(f"model.args.tokenizer.args: {size} with padding {padding} is no whole patches of {patch}")
    return {
        "rounding": "ginr-ipc",  # the same in this project
        "size": size,
        "patch": patch,
        "padding": padding,
        "encoder_dim": transformer["dim"],
        "encoder_depth": transformer["depth"],
        "encoder_heads": transformer["n_head"],
        "mlp_ratio": transformer["ff_dim"] / transformer["dim"],
        "dim": settings[f"{MLP}.hidden_dim"],
        "depth": settings[f"{MLP}.depth"],
        "groups": settings["args.n_groups"],
    }


def _plan(depth: int, layers: list[str], positions: bool) -> Plan:
    """Where every tensor comes from; `layers` are the MLP's, by their names there."""
    plan: Plan = {"encoder.position": From("tokenizer.posemb") if positions else None,
                  "encoder.latents": From("wtokens")}
    modules = {"encoder.embed": "tokenizer.prefc"}
    for i in range(depth):
        ours = f"encoder.transformer.blocks.{i}"
        plan |= block(ours, f"transformer_encoder.layers.{i}", ("attention", "mlp"))
        plan |= {f"{ours}.attention.{x}.bias": None for x in "qkv"}
    for i, name in enumerate(layers):
        plan |= weight_and_bias(f"net.layers.{i}", f"base_params.{name}")
        modules |= {f"encoder.out.norm.{i}": f"wtoken_postfc.{name}.0"}
        modules |= {f"encoder.out.linear.{i}": f"wtoken_postfc.{name}.1"}
    return plan | weights_and_biases(modules)


PROJECT = Project(name="yinboc/trans-inr", content=frozenset({"model", "optimizer", "epoch", "cfg"}),
                  state=("model", "sd"), mark="transformer_encoder.", build=build, needs_config=False)
