"""Checkpoints of Roninton/ANR: pictures and radiance fields.

What their trainer saves holds the decoder twice, once inside the hyper-network and once beside it; both are the same
tensors there, and must be equal here. Keys and values are one matrix in the transformer and two in the decoder.
Variational coordinates, dropout and the optimiser belong to training and are left behind.
"""

import torch

from tokenfield.configs import from_dict
from tokenfield.errors import UserError
from tokenfield.interop.project import Choices, Project
from tokenfield.interop.settings import Setting, Settings, free, must_be, only, optional, required
from tokenfield.interop.tensors import From, Plan, block, fill, weights_and_biases
from tokenfield.io.record import Record
from tokenfield.models.anr import AnrConfig, HyperConfig
from tokenfield.models.base import FieldModel
from tokenfield.views.models.radiance import AnrRadianceConfig

AVERAGED = "ema_model."
"""What the moving average's names begin with, among those of the weights it follows."""

SECTIONS = free(
    "hyper_network",
    *(f"model_framework.{part}" for part in ("frame_work", "inner_model", "outer_model")),
    *("dataset_kwargs", "image_shape", "hypo_hiddim", "hypo_depth", "model_comment", "milestone", "batch_size"),
    *("coord_noise", "gradient_accumulate_every", "loss_type", "opt_type", "save_every", "train_lr", "train_n_rays"),
    *("train_num_steps", "train_target"),
)
"""What the whole YAML may hold; the hyper-network is read, and the model around it for the range of its pictures."""

MANAGER = only({"is_norm_01": True}) | free("image_shape", "loss_type", "target")
"""The arguments of the model around the hyper-network: pictures are in [0, 1]."""

INSIDE, BESIDE = "hypernet.hyponet.", "hypo_model."
"""Where the decoder is."""

TRANSFORMERS = {"tinr_enc": "TInrEncoder", "tinr_dec": "TInrDecoder"}

KNOWN = {
    **free("n_groups", "grouping_mode", "learned_sinusoidal_cond", "learned_sinusoidal_dim"),
    **free(*(f"{part}.args.dropout" for part in TRANSFORMERS)),
    **must_be({f"{part}.name": name for part, name in TRANSFORMERS.items()} | {"hyponet.name": "ANR"}),
    **required(*(f"{part}.args.{size}" for part in TRANSFORMERS
                 for size in ("dim", "depth", "n_head", "head_dim", "ff_dim"))),
    **required("tokenizer.name", *(f"tokenizer.args.{name}" for name in ("input_size", "patch_size", "dim"))),
    **required(*(f"hyponet.args.{name}" for name in ("depth", "in_dim", "out_dim", "hidden_dim", "token_len"))),
    **optional({"tokenizer.args.padding": 0, "tokenizer.args.img_channels": 3, "hyponet.args.n_head": 6,
                "hyponet.args.head_dim": 64, "hyponet.args.pe_dim": 128, "hyponet.args.pe_sigma": 1024,
                "hyponet.args.adaptive_idim": False, "hyponet.args.att_threshold": None}),
    **only({"use_timetoken": False, "hyponet.args.use_pe": True, "hyponet.args.out_scale": 1,
            "hyponet.args.out_bias": 0, "hyponet.args.activation": "relu", "hyponet.args.rescale": False}),
    "direct_wtoken": Setting(False, (True,)),
    "tinr_enc.args.shortcut_every": Setting(2, (0,)),
}  # fmt: skip
"""Every argument of their hyper-network, its default there, and what of it is implemented here."""

KINDS: dict[tuple[str, int], type[AnrConfig] | type[AnrRadianceConfig]] = {
    ("ImgTokenizer", 2): AnrConfig,
    ("nvs_tokenizer", 3): AnrRadianceConfig,
}
"""What it is, by its tokenizer and its number of coordinates."""


def build(checkpoint: Record, config: Record, choices: Choices) -> FieldModel:
    """The model of a checkpoint and its YAML."""
    settings = Settings(_hyper_network(Settings(config, SECTIONS)), KNOWN, "hyper_network")
    average = checkpoint.get("ema")
    names = average if isinstance(average, dict) else {}
    averaged = {n.removeprefix(AVERAGED): tensor for n, tensor in names.items() if str(n).startswith(AVERAGED)}
    state = choices.state(checkpoint["model"], averaged)
    what = settings["tokenizer.name"], settings["hyponet.args.in_dim"]
    if what not in KINDS:
        kinds = " or ".join(f"{name} with {axes}" for name, axes in KINDS)
        raise UserError(f"tokenizer.name {what[0]} with hyponet.args.in_dim {what[1]} is not known; {kinds} are")
    sizes = from_dict(KINDS[what], _decoder(settings) | _encoder(settings) | _patches(settings), "hyper_network")
    beside = {f"{BESIDE}{name.removeprefix(INSIDE)}": name for name in state if name.startswith(INSIDE)}
    for copy, name in beside.items():
        if copy in state and not torch.equal(state[copy], state[name]):
            raise UserError(f"{copy} and {name} differ; in their code they are one tensor")
    return fill(sizes, _plan(sizes), state, also=beside)


def _hyper_network(sections: Settings) -> Record:
    """The arguments of the hyper-network: second of a pair, the first its name."""
    pairs = [sections[name] for name in ("model_framework.inner_model", "hyper_network", "model_framework.outer_model")]
    inner, beside, manager = (
        pair if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], dict) else None for pair in pairs)
    hyper_network = inner or beside
    if hyper_network is None:
        raise UserError("the configuration lacks hyper_network, a pair of a name and a mapping of arguments")
    name, arguments = hyper_network
    if name != "HyperNetwork":
        raise UserError(f"hyper_network {name!r} is not known; HyperNetwork is")
    if manager is not None:
        Settings(manager[1], MANAGER, "model_framework.outer_model")
    return dict(arguments)


def _decoder(settings: Settings) -> Record:
    """The fields of a configuration that say what follows the tokens."""
    args = settings.inside("hyponet.args")
    for name in ("in_dim", "pe_dim", "hidden_dim", "token_len", "depth"):
        if type(args[name]) is not int or args[name] < 1:
            raise UserError(f"hyper_network.hyponet.args.{name} is {args[name]!r}; a whole number from 1 is accepted")
    if not isinstance(args["att_threshold"], int | float | None):
        raise UserError(f"hyper_network.hyponet.args.att_threshold is {args['att_threshold']!r}, not a number")
    if args["in_dim"] * args["pe_dim"] != args["hidden_dim"] and not args["adaptive_idim"]:
        raise UserError(f"hyper_network.hyponet.args: in_dim {args['in_dim']} x pe_dim {args['pe_dim']} is not "
                        f"hidden_dim {args['hidden_dim']}, which there needs adaptive_idim")
    channels, colours = args["out_dim"], settings["tokenizer.args.img_channels"]
    if args["in_dim"] == 3 and (channels, colours) != (4, 3):
        raise UserError(f"views of {colours} channels, points of {channels}: RGB, RGB with density are implemented")
    if args["in_dim"] == 2 and channels != colours:
        raise UserError(f"hyponet.args.out_dim {channels} and tokenizer.args.img_channels {colours} differ")
    return {
        "channels": channels,
        "num_latents": args["token_len"],
        "dim": args["hidden_dim"],
        "heads": args["n_head"],
        "head_dim": args["head_dim"],
        "cutoff": (args["att_threshold"] or 0.0) * args["token_len"],
        "sigma": float(args["pe_sigma"]),
        "depth": args["depth"],
    }


def _encoder(settings: Settings) -> Record:
    """The fields that say what transformer it has; encoder and decoder have the same widths here."""
    encoder, decoder = settings.inside("tinr_enc.args"), settings.inside("tinr_dec.args")
    for size in ("dim", "n_head", "head_dim", "ff_dim"):
        if encoder[size] != decoder[size]:
            raise UserError(f"tinr_enc.args.{size} {encoder[size]} and tinr_dec.args.{size} {decoder[size]} differ; "
                            "here they are one")
    if settings["tokenizer.args.dim"] != encoder["dim"]:
        raise UserError("tokenizer.args.dim and tinr_enc.args.dim differ; they must agree")
    return {
        "encoder_dim": encoder["dim"],
        "encoder_depth": encoder["depth"],
        "decoder_depth": decoder["depth"],
        "encoder_heads": encoder["n_head"],
        "encoder_head_dim": encoder["head_dim"],
        "encoder_hidden": encoder["ff_dim"],
    }


def _patches(settings: Settings) -> Record:
    """The fields that say what it is cut into; there one number stands for both axes, or a pair has one per axis."""
    pairs = {}
    for name in ("input_size", "patch_size", "padding"):
        value = settings[f"tokenizer.args.{name}"]
        pair = (value, value) if isinstance(value, int) else value
        if not isinstance(pair, list | tuple) or [type(side) for side in pair] != [int, int]:
            raise UserError(f"tokenizer.args.{name} is {value!r}; a number or a pair of numbers is accepted")
        if name != "input_size" and pair[0] != pair[1]:
            raise UserError(f"tokenizer.args.{name} {list(pair)}: one number for both axes is implemented here")
        pairs[name] = pair[0], pair[1]
    size, (patch, _), (padding, _) = pairs.values()
    rest = any((side + 2 * padding) % patch for side in size)  # beyond the last whole patch: not encoded there either
    return {"size": size, "patch": patch, "padding": padding, "drop_rest": rest}


def _plan(config: HyperConfig) -> Plan:
    """Where every tensor of the model comes from."""
    attention = "decoder.aggregator.attention"
    modules = {
        "encoder.embed": "tokenizer.prefc",
        "encoder.norm": "wtoken_postfc.dtoken.0",
        "encoder.out": "wtoken_postfc.dtoken.1",
        f"{attention}.out": "hyponet.attn.to_out",
        "decoder.head.out": f"hyponet.mlp.{config.depth - 1}",
    }
    modules |= {f"decoder.head.layers.{i}": f"hyponet.mlp.{i}.0" for i in range(config.depth - 1)}
    tensors = {
        "encoder.latents": "wtokens",
        "encoder.scale": "base_params.dtoken_w",
        "encoder.shift": "base_params.dtoken_b",
        "decoder.aggregator.query.linear.weight": "hyponet.attn.to_q.weight",
        f"{attention}.k.weight": "hyponet.attn.to_k.weight",
        f"{attention}.v.weight": "hyponet.attn.to_v.weight",
    }
    if isinstance(config, AnrConfig):  # views have rays in place of positions
        tensors["encoder.position"] = "tokenizer.posemb"
    plan = weights_and_biases(modules) | {ours: From(theirs) for ours, theirs in tensors.items()}
    for i in range(config.encoder_depth):
        plan |= block(f"encoder.encoder.{i}", f"tinr_enc.layers.{i}", ("attention", "mlp"))
    for i in range(config.decoder_depth):
        plan |= block(f"encoder.decoder.{i}", f"tinr_dec.hypobuilder.{i}", ("attention", "cross_attention", "mlp"))
    return {name: From(f"hypernet.{source.name}", source.via) for name, source in plan.items() if source}


PROJECT = Project(
    name="Roninton/ANR",
    content=frozenset({"step", "model", "opt", "ema", "scaler"}),
    state=("model",),
    mark="hypernet.tinr_enc.",
    build=build,
)
"""Their own evaluation reads the weights, not their moving average."""
