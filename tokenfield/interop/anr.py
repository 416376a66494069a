"""Checkpoints of Roninton/ANR: ANR and its rivals, for pictures and as radiance fields.

What their trainer saves holds the decoder twice, once inside the hyper-network and once beside it; both are the same
tensors there, and must be equal here. Keys and values are one matrix in the transformer and two in the decoder.
Variational coordinates, dropout and the optimiser belong to training and are left behind.
"""

import torch

from tokenfield.configs import from_dict
from tokenfield.errors import UserError
from tokenfield.interop import anr_rivals
from tokenfield.interop.anr_network import COMMON, check_channels, network_plan, network_sizes, whole_numbers
from tokenfield.interop.project import Choices, Project
from tokenfield.interop.settings import Setting, Settings, free, must_be, only, optional, required
from tokenfield.interop.tensors import From, Plan, fill, weights_and_biases
from tokenfield.io.record import Record
from tokenfield.models.anr import AnrConfig, HyperConfig
from tokenfield.models.base import FieldModel
from tokenfield.training.protocols import ModelConfig
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

KNOWN = COMMON | {
    **free("n_groups", "grouping_mode"),
    **must_be({"hyponet.name": "ANR"}),
    **required(*(f"hyponet.args.{name}" for name in ("depth", "in_dim", "out_dim", "hidden_dim", "token_len"))),
    **optional({"hyponet.args.n_head": 6, "hyponet.args.head_dim": 64, "hyponet.args.pe_dim": 128,
                "hyponet.args.pe_sigma": 1024, "hyponet.args.adaptive_idim": False,
                "hyponet.args.att_threshold": None}),
    **only({"hyponet.args.use_pe": True, "hyponet.args.out_scale": 1, "hyponet.args.out_bias": 0,
            "hyponet.args.activation": "relu", "hyponet.args.rescale": False}),
    "direct_wtoken": Setting(False, (True,)),
}  # fmt: skip
"""Every argument of ANR's hyper-network, its default there, and what of it is implemented here."""

KINDS: dict[int, type[AnrConfig] | type[AnrRadianceConfig]] = {2: AnrConfig, 3: AnrRadianceConfig}
"""What it is, by its number of coordinates."""


def build(checkpoint: Record, config: Record, choices: Choices) -> FieldModel:
    """The model of a checkpoint and its YAML."""
    sizes, plan = read(_hyper_network(Settings(config, SECTIONS)))
    average = checkpoint.get("ema")
    names = average if isinstance(average, dict) else {}
    averaged = {n.removeprefix(AVERAGED): tensor for n, tensor in names.items() if str(n).startswith(AVERAGED)}
    state = choices.state(checkpoint["model"], averaged)
    beside = {f"{BESIDE}{name.removeprefix(INSIDE)}": name for name in state if name.startswith(INSIDE)}
    for copy, name in beside.items():
        if copy in state and not torch.equal(state[copy], state[name]):
            raise UserError(f"{copy} and {name} differ; in their code they are one tensor")
    inside: Plan = {name: From(f"hypernet.{source.name}", source.via) for name, source in plan.items() if source}
    return fill(sizes, inside, state, also=beside)


def read(arguments: Record) -> tuple[ModelConfig, Plan]:
    """The configuration of their hyper-network's arguments, and where its tensors come from, below `hypernet`."""
    decoder = arguments.get("hyponet")
    name = decoder.get("name") if isinstance(decoder, dict) else None
    if name in anr_rivals.KNOWN:
        return anr_rivals.read(arguments)
    if name != "ANR":
        raise UserError(f"hyper_network.hyponet.name is {name!r}; ANR, {', '.join(anr_rivals.KNOWN)} are implemented")
    settings = Settings(arguments, KNOWN, "hyper_network")
    kind = KINDS.get(settings["hyponet.args.in_dim"], AnrConfig)
    config = from_dict(kind, _decoder(settings) | network_sizes(settings), "hyper_network")
    return config, _plan(config)


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
    whole_numbers(args, "in_dim", "pe_dim", "hidden_dim", "token_len", "depth")
    if not isinstance(args["att_threshold"], int | float | None):
        raise UserError(f"hyper_network.hyponet.args.att_threshold is {args['att_threshold']!r}, not a number")
    if args["in_dim"] * args["pe_dim"] != args["hidden_dim"] and not args["adaptive_idim"]:
        raise UserError(f"hyper_network.hyponet.args: in_dim {args['in_dim']} x pe_dim {args['pe_dim']} is not "
                        f"hidden_dim {args['hidden_dim']}, which there needs adaptive_idim")
    check_channels(settings, args["in_dim"], args["out_dim"])
    return {
        "channels": args["out_dim"],
        "num_latents": args["token_len"],
        "dim": args["hidden_dim"],
        "heads": args["n_head"],
        "head_dim": args["head_dim"],
        "cutoff": (args["att_threshold"] or 0.0) * args["token_len"],
        "sigma": float(args["pe_sigma"]),
        "depth": args["depth"],
    }


def _plan(config: HyperConfig) -> Plan:
    """Where every tensor of the model comes from."""
    attention = "decoder.aggregator.attention"
    modules = {"encoder.norm": "wtoken_postfc.dtoken.0", "encoder.out": "wtoken_postfc.dtoken.1",
               f"{attention}.out": "hyponet.attn.to_out", "decoder.head.out": f"hyponet.mlp.{config.depth - 1}"}
    modules |= {f"decoder.head.layers.{i}": f"hyponet.mlp.{i}.0" for i in range(config.depth - 1)}
    tensors = {
        "encoder.scale": "base_params.dtoken_w",
        "encoder.shift": "base_params.dtoken_b",
        "decoder.aggregator.query.linear.weight": "hyponet.attn.to_q.weight",
        f"{attention}.k.weight": "hyponet.attn.to_k.weight",
        f"{attention}.v.weight": "hyponet.attn.to_v.weight",
    }
    plan = network_plan(config, isinstance(config, AnrConfig)) | weights_and_biases(modules)
    return plan | {ours: From(theirs) for ours, theirs in tensors.items()}


PROJECT = Project(name="Roninton/ANR", content=frozenset({"step", "model", "opt", "ema", "scaler"}), state=("model",),
                  mark="hypernet.tinr_enc.", build=build)
"""Their own evaluation reads the weights, not their moving average."""
