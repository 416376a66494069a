"""Checkpoints of ANR's rivals in Roninton/ANR: TransINR and IPC on its hyper-network.

Matrices there are (fan-in + 1) x fan-out with the bias in the last row. Tokens of TransINR multiply base matrices,
which the hyper-network holds; of IPC it holds the shared factor and the bias of the modulated layer, and the MLP the
others.
"""

import math

from tokenfield.configs import from_dict
from tokenfield.interop.anr_network import COMMON, check_channels, network_plan, network_sizes, whole_numbers
from tokenfield.interop.settings import Setting, Settings, Table, free, must_be, only, optional, required
from tokenfield.interop.tensors import From, Plan, weight_and_bias, weights_and_biases
from tokenfield.io.record import Record
from tokenfield.models.anr_rivals import HyperIpcConfig, HyperTransInrConfig
from tokenfield.views.models.radiance import HyperIpcRadianceConfig, HyperTransInrRadianceConfig

MLP = "hyponet.args"


def _known(grouping: str) -> Table:
    """With a grouping of tokens by this name."""
    mode = {"grouping_mode": Setting("mlp", (grouping,))}
    return COMMON | required("n_groups", "hyponet.name") | mode | only({"direct_wtoken": False})


COORDINATES = {
    **required(*(f"{MLP}.{name}" for name in ("depth", "in_dim", "out_dim", "hidden_dim", "pe_dim"))),
    **must_be({f"{MLP}.use_pe": True}), **only({f"{MLP}.out_bias": 0}), **optional({f"{MLP}.pe_sigma": 1024}),
}  # fmt: skip
POINTS = {**only({f"{MLP}.use_pe": True, f"{MLP}.use_viewdirs": False}),
          **optional({f"{MLP}.depth": 6, f"{MLP}.hidden_dim": 256, f"{MLP}.pe_dim": 40, f"{MLP}.pe_sigma": 1024})}

KNOWN: dict[str, Table] = {
    "HypoMlp": _known("mlp") | COORDINATES | only({f"{MLP}.activation": "relu"}),
    "hypo_nerf": _known("mlp") | POINTS,
    "HypoMlpIPC": _known("mlp_mod") | COORDINATES | only({f"{MLP}.activation": None})
    | {f"{MLP}.modulated_layer_id": Setting(1)} | free(f"{MLP}.expected_r_width", f"{MLP}.largest_dim_padding"),
}
"""By the name of the MLP: every argument of their hyper-network, its default, and what of it is implemented here."""

Rival = HyperTransInrConfig | HyperTransInrRadianceConfig | HyperIpcConfig | HyperIpcRadianceConfig
KINDS: dict[tuple[str, int], type[Rival]] = {
    ("HypoMlp", 2): HyperTransInrConfig,
    ("hypo_nerf", 3): HyperTransInrRadianceConfig,
    ("HypoMlpIPC", 2): HyperIpcConfig,
    ("HypoMlpIPC", 3): HyperIpcRadianceConfig,
}
"""What it is, by its MLP and the number of its coordinates."""


def read(arguments: Record) -> tuple[Rival, Plan]:
    """The configuration of their hyper-network's arguments, and where its tensors come from, below `hypernet`."""
    name = arguments["hyponet"]["name"]
    settings = Settings(arguments, KNOWN[name], "hyper_network")
    args = settings.inside(MLP)
    axes, channels = (3, 4) if name == "hypo_nerf" else (args["in_dim"], args["out_dim"])
    whole_numbers(args, "depth", "hidden_dim", "pe_dim")
    check_channels(settings, axes, channels)
    sigma = float(args["pe_sigma"])
    fields = network_sizes(settings) | {
        "rounding": "ginr-ipc",  # the same in this project
        "channels": channels,
        "dim": args["hidden_dim"],
        "depth": args["depth"],
        "feature_dim": axes * args["pe_dim"],
        "sigma": 2.0 ** math.log(sigma) if name == "hypo_nerf" else sigma,  # 2^linspace(0, ln sigma) there
    }
    composed = name == "HypoMlpIPC"
    if composed:
        fields |= {"modulated": (args["modulated_layer_id"],)}
    fields["num_latents" if composed else "groups"] = settings["n_groups"]
    kind = KINDS.get((name, axes), HyperTransInrConfig)
    config = from_dict(kind, fields, "hyper_network")
    plan = network_plan(config, axes == 2)
    layers = [f"wb{i}" for i in range(config.depth)]
    if name == "hypo_nerf":
        layers[-1] = "rgb_density_fc"
    return config, plan | (_composed(config, layers) if composed else _scaled(layers))


def _to_rows(layer: int, theirs: str) -> Plan:
    """LayerNorm and the linear map to the rows of a layer."""
    post = f"wtoken_postfc.{theirs}"
    return weights_and_biases({f"encoder.out.norm.{layer}": f"{post}.0", f"encoder.out.linear.{layer}": f"{post}.1"})


def _scaled(layers: list[str]) -> Plan:
    plan: Plan = {}
    for i, name in enumerate(layers):
        plan |= weight_and_bias(f"net.layers.{i}", f"base_params.{name}") | _to_rows(i, name)
    return plan


def _composed(config: Rival, layers: list[str]) -> Plan:
    plan: Plan = {}
    for i, name in enumerate(layers):
        if i in config.modulated:
            both = f"base_params.{name}"  # (g + 1, fan-out), the bias in the last row
            plan |= _to_rows(i, name) | {f"net.layers.{i}.factor": From(both, lambda rows: rows[:-1]),
                                         f"net.layers.{i}.bias": From(both, lambda rows: rows[-1])}
        else:
            plan |= weight_and_bias(f"net.layers.{i}", f"hyponet.global_params.{name}")
    return plan
