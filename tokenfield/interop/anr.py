"""Checkpoints of Roninton/ANR: pictures and radiance fields.

What their trainer saves holds the decoder twice, once inside the hyper-network and once beside it; both are the same
tensors there, and must be equal here. Keys and values are one matrix in the transformer and two in the decoder.
Variational coordinates, dropout and the optimiser belong to training and are left behind.
"""

import torch
from torch import Tensor

from tokenfield.configs import from_dict
from tokenfield.errors import UserError
from tokenfield.interop.choices import Choices
from tokenfield.interop.project import Project
from tokenfield.interop.settings import Setting, Settings, check_names, free, must_be, only, optional, required
from tokenfield.interop.tensors import From, Plan, fill, keys_and_values, weights_and_biases
from tokenfield.io.record import Record
from tokenfield.models.anr import AnrConfig, HyperConfig
from tokenfield.models.base import FieldModel
from tokenfield.views.models.anr_radiance import AnrRadianceConfig

AVERAGED = "ema_model."
"""What the moving average's names begin with, among those of the weights it follows."""

SECTIONS = (
    "hyper_network",
    *(f"model_framework.{part}" for part in ("frame_work", "inner_model", "outer_model")),
    *("dataset_kwargs", "image_shape", "hypo_hiddim", "hypo_depth", "model_comment", "milestone", "batch_size"),
    *("coord_noise", "gradient_accumulate_every", "loss_type", "opt_type", "save_every", "train_lr", "train_n_rays"),
    *("train_num_steps", "train_target"),
)
"""What the whole YAML may hold; the hyper-network is read, and the model around it for the range of its pictures."""

MANAGER = ("image_shape", "loss_type", "target", "is_norm_01")
"""The arguments of the model around the hyper-network."""

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

Kind = type[AnrConfig] | type[AnrRadianceConfig]
KINDS: dict[tuple[str, int], Kind] = {("ImgTokenizer", 2): AnrConfig, ("nvs_tokenizer", 3): AnrRadianceConfig}
"""What it is, by its tokenizer and its number of coordinates."""


def recognises(checkpoint: Record) -> bool:
    """Whether the project's trainer saved this."""
    state = checkpoint.get("model")
    return isinstance(state, dict) and any(str(name).startswith("hypernet.tinr_enc.") for name in state)


def build(checkpoint: Record, config: Record, choices: Choices) -> FieldModel:
    """The model of a checkpoint and its YAML."""
    arguments = _hyper_network(config)
    check_names(config, SECTIONS)
    settings = Settings(arguments, KNOWN, "hyper_network")
    state = choices.state(checkpoint["model"], _average(checkpoint.get("ema")))
    what = settings["tokenizer.name"], settings["hyponet.args.in_dim"]
    if what not in KINDS:
        known = " or ".join(f"{name} with {axes}" for name, axes in KINDS)
        raise UserError(f"tokenizer.name {what[0]} with hyponet.args.in_dim {what[1]} is not known; {known} are")
    of_kind = from_dict(KINDS[what], _decoder(settings) | _encoder(settings) | _ends(settings), "hyper_network")
    return fill(of_kind, _plan(of_kind), state, also=_same_twice(state))


def _average(ema: object) -> Record:
    """The moving average of the weights in what their trainer keeps of it."""
    names = ema if isinstance(ema, dict) else {}
    return {n.removeprefix(AVERAGED): tensor for n, tensor in names.items() if str(n).startswith(AVERAGED)}


def _hyper_network(config: Record) -> Record:
    """The arguments of the hyper-network: second of a pair, the first its name."""
    framework = config.get("model_framework")
    framework = framework if isinstance(framework, dict) else {}
    for entry in (framework.get("inner_model"), config.get("hyper_network")):
        if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], dict):
            break
    else:
        raise UserError("the configuration lacks hyper_network, a pair of a name and a mapping of arguments")
    if entry[0] != "HyperNetwork":
        raise UserError(f"hyper_network {entry[0]!r} is not known; HyperNetwork is")
    manager = framework.get("outer_model")
    arguments = manager[1] if isinstance(manager, list) and len(manager) == 2 else None
    arguments = arguments if isinstance(arguments, dict) else {}
    check_names(arguments, MANAGER, "model_framework.outer_model.")
    if not arguments.get("is_norm_01", True):
        raise UserError("model_framework.outer_model.is_norm_01 is False; only pictures in [0, 1] are implemented here")
    return entry[1]


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
    return {
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
        "patch": _square(settings, "patch_size"),
        "padding": _square(settings, "padding"),
    }


def _ends(settings: Settings) -> Record:
    """The fields that say what it encodes and what it gives."""
    channels, given = settings["hyponet.args.out_dim"], settings["tokenizer.args.img_channels"]
    if settings["hyponet.args.in_dim"] == 3:
        if (channels, given) != (4, 3):
            raise UserError(
                f"views of {given} channels, points of {channels}: RGB, and RGB with density, are implemented"
            )
    elif channels != given:
        raise UserError(f"hyponet.args.out_dim {channels} and tokenizer.args.img_channels {given} differ")
    size = _pair(settings, "input_size")
    padding, patch = (_square(settings, name) for name in ("padding", "patch_size"))
    rest = any((side + 2 * padding) % patch for side in size)  # beyond the last whole patch: not seen there either
    return {"size": size, "channels": channels, "drop_rest": rest}


def _pair(settings: Settings, name: str) -> tuple[int, int]:
    """A size per axis; one number stands for both."""
    value = settings[f"tokenizer.args.{name}"]
    pair = (value, value) if isinstance(value, int) else value
    if not isinstance(pair, list | tuple) or [type(side) for side in pair] != [int, int]:
        raise UserError(f"tokenizer.args.{name} is {value!r}; a number or a pair of numbers is accepted")
    return pair[0], pair[1]


def _square(settings: Settings, name: str) -> int:
    """A size that is the same on both axes."""
    rows, columns = _pair(settings, name)
    if rows != columns:
        raise UserError(f"tokenizer.args.{name} {[rows, columns]}: one number for both axes is implemented here")
    return rows


def _same_twice(state: dict[str, Tensor]) -> list[str]:
    """The names of the decoder beside the hyper-network, which must be the one inside it."""
    beside = {f"{BESIDE}{name.removeprefix(INSIDE)}": name for name in state if name.startswith(INSIDE)}
    for copy, name in beside.items():
        if copy in state and not torch.equal(state[copy], state[name]):
            raise UserError(f"{copy} and {name} differ; in their code they are one tensor")
    return list(beside)


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
        "encoder.latents": From("wtokens"),
        "encoder.scale": From("base_params.dtoken_w"),
        "encoder.shift": From("base_params.dtoken_b"),
        "decoder.aggregator.query.linear.weight": From("hyponet.attn.to_q.weight"),
        f"{attention}.k.weight": From("hyponet.attn.to_k.weight"),
        f"{attention}.v.weight": From("hyponet.attn.to_v.weight"),
    }
    if isinstance(config, AnrConfig):  # views have rays in place of positions
        tensors["encoder.position"] = From("tokenizer.posemb")
    for i in range(config.encoder_depth):
        _block(modules, tensors, f"encoder.encoder.{i}", f"tinr_enc.layers.{i}", ("attention", "mlp"))
    for i in range(config.decoder_depth):
        parts = ("attention", "cross_attention", "mlp")
        _block(modules, tensors, f"encoder.decoder.{i}", f"tinr_dec.hypobuilder.{i}", parts)
    tensors |= weights_and_biases(modules)
    return {name: From(f"hypernet.{source.name}", source.via) for name, source in tensors.items()}


NORMS = {"attention": "norm1", "cross_attention": "norm_cross", "mlp": "norm2"}
"""Which norm is in front of what."""


def _block(modules: dict[str, str], tensors: dict[str, From], ours: str, theirs: str, parts: tuple[str, ...]) -> None:
    """Adds a block; there its parts are numbered, each with its norm."""
    for k, part in enumerate(parts):
        modules[f"{ours}.{NORMS[part]}"] = f"{theirs}.{k}.norm"
        inner = f"{theirs}.{k}.fn"
        if part == "mlp":
            modules |= {f"{ours}.mlp.0": f"{inner}.net.0", f"{ours}.mlp.2": f"{inner}.net.3"}
            continue
        modules[f"{ours}.{part}.out"] = f"{inner}.to_out.0"
        tensors[f"{ours}.{part}.q.weight"] = From(f"{inner}.to_q.weight")
        tensors |= keys_and_values(f"{ours}.{part}", f"{inner}.to_kv.weight")


PROJECT = Project(
    name="Roninton/ANR",
    content=frozenset({"step", "model", "opt", "ema", "scaler"}),
    recognises=recognises,
    build=build,
)
"""Their own evaluation reads the weights, not their moving average."""
