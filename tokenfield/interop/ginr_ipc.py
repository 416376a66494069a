"""Checkpoints of kakaobrain/ginr-ipc: IPC and TransINR, for pictures and as radiance fields, and Learned Init.

Matrices there are (fan-in + 1) x fan-out with the bias in the last row; here they are fan-out x fan-in. A layer that
pattern composers modulate keeps a base matrix there which nothing reads: its bias alone is taken. Dropout, which their
training has and a trained model has not, is left behind.
"""

import re
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from tokenfield.configs import from_dict
from tokenfield.errors import UserError
from tokenfield.interop.choices import Choices
from tokenfield.interop.ginr_settings import ADAPTED_PICTURES, ENCODED_PICTURES, ENCODED_VIEWS, SECTIONS
from tokenfield.interop.project import Project
from tokenfield.interop.settings import Setting, Settings, check_names
from tokenfield.interop.tensors import Config, From, Plan, bias, fill, rows, turned, weights_and_biases
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel
from tokenfield.models.ipc import IpcConfig
from tokenfield.models.learned_init import LearnedInitConfig
from tokenfield.models.trans_inr import TransInrConfig
from tokenfield.nn.fourier import frequencies
from tokenfield.views.models.radiance import IpcRadianceConfig, TransInrRadianceConfig


@dataclass(frozen=True)
class Kind:
    """A type of model with an encoder.

    Attributes:
        config: its configuration here.
        known: its settings there.
        rows: the field that `n_weight_groups` becomes.
        composed: whether a shared factor mixes the tokens.
    """

    config: type[Config]
    known: dict[str, Setting]
    rows: str
    composed: bool


KINDS = {
    "low_rank_modulated_transinr": Kind(IpcConfig, ENCODED_PICTURES, "num_latents", True),
    "transinr": Kind(TransInrConfig, ENCODED_PICTURES, "groups", False),
    "low_rank_modulated_transinr_nerf": Kind(IpcRadianceConfig, ENCODED_VIEWS, "num_latents", True),
    "transinr_nerf": Kind(TransInrRadianceConfig, ENCODED_VIEWS, "groups", False),
}
"""With an encoder, by the type in the YAML."""

ADAPTED = "meta_low_rank_modulated_inr"
"""Without one."""

MOST_VIEWS = 5
"""Support views in what the project trains."""


def recognises(checkpoint: Record) -> bool:
    """Whether the project's trainer saved this."""
    state = checkpoint.get("state_dict")
    return isinstance(state, dict) and any(str(name).startswith("hyponet.params_dict.") for name in state)


def build(checkpoint: Record, config: Record, choices: Choices) -> FieldModel:
    """The model of a checkpoint and its YAML."""
    arch = config.get("arch")
    if not isinstance(arch, dict):
        raise UserError("the YAML has no section arch")
    check_names(config, SECTIONS)
    kind = arch.get("type")
    if not isinstance(kind, str) or kind not in {*KINDS, ADAPTED}:
        raise UserError(f"arch.type {kind!r} is not known; {', '.join(KINDS)} and {ADAPTED} are")
    dataset = config.get("dataset") or {}
    state = choices.state(checkpoint["state_dict"], checkpoint.get("state_dict_ema"))
    if kind == ADAPTED:
        return _adapted(arch, dataset, state, choices)
    return _encoded(KINDS[kind], arch, dataset, state)


def _encoded(kind: Kind, arch: Record, dataset: Record, state: dict[str, Tensor]) -> FieldModel:
    """A transformer in front of the MLP."""
    settings = Settings(arch, kind.known, "arch")
    views = _views(settings, dataset) if kind.known is ENCODED_VIEWS else 1
    fields = _mlp(settings) | _encoder(settings) | {"size": _size(settings, dataset, views)}
    if kind.known is ENCODED_VIEWS:
        fields["views"] = views
    elif settings["data_encoder.n_channel"] != fields["channels"]:
        raise UserError("arch.data_encoder.n_channel and arch.hyponet.output_dim differ; they must agree")
    modulated = fields["modulated"] or tuple(range(fields["depth"]))
    fields[kind.rows] = _one_number(settings, "n_weight_groups", modulated)
    config = from_dict(kind.config, fields, "arch")
    plan = _encoder_plan(fields["encoder_depth"], modulated)
    plan |= _shared_plan(fields["depth"], modulated if kind.composed else ())
    if kind.composed:
        plan |= {f"net.layers.{i}.factor": From(f"shared_factor.linear_wb{i}", _without_batch) for i in modulated}
    return _filled(config, plan, settings, state)


def _adapted(arch: Record, dataset: Record, state: dict[str, Tensor], choices: Choices) -> FieldModel:
    """Learned Init: the MLP and where its matrices start."""
    settings = Settings(arch, ADAPTED_PICTURES, "arch")
    fields = _mlp(settings) | {"inner_steps": settings["n_inner_step"], "inner_rate": float(settings["inner_lr"])}
    modulated = fields["modulated"] or tuple(range(fields["depth"]))
    if settings["use_factorization"]:
        fields["rank"] = _one_number(settings, "rank", modulated)
    named = _named_side(dataset)  # any size fits such a model
    fields["size"] = (named, named) if named else choices.size_or(LearnedInitConfig().size)
    config = from_dict(LearnedInitConfig, fields, "arch")
    plan = _shared_plan(config.depth, modulated)
    plan |= {f"initial.{i}": From(f"factors.init_modulation_factors.linear_wb{i}", turned) for i in modulated}
    if config.rank:
        plan |= {f"net.layers.{i}.factor": From(f"factors.shared_factors.linear_wb{i}") for i in modulated}
    return _filled(config, plan, settings, state)


def _filled(config: Config, plan: Plan, settings: Settings, state: dict[str, Tensor]) -> FieldModel:
    """The model, once its frequencies are known to be the formula's: the checkpoint's go nowhere."""
    given, mapping = state.get("hyponet.ff_linear"), "hyponet.fourier_mapping."
    if given is not None:  # else it is named among what is missing
        expected = frequencies(_mlp(settings)["sigma"], settings[f"{mapping}ff_dim"] // settings["hyponet.input_dim"])
        if given.shape != expected.shape or not torch.allclose(given, expected, rtol=1e-5):
            raise UserError(f"hyponet.ff_linear holds other frequencies than {settings[f'{mapping}type']} makes")
    return fill(config, plan, state, also=["hyponet.ff_linear"])


def _mlp(settings: Settings) -> Record:
    """The fields of a model's configuration that say what MLP it is."""
    widths = set(settings["hyponet.hidden_dim"])
    if len(widths) != 1:
        raise UserError(f"arch.hyponet.hidden_dim {settings['hyponet.hidden_dim']}: one width is implemented here")
    sigma = settings["hyponet.fourier_mapping.ff_sigma"]
    return {
        "channels": settings["hyponet.output_dim"],
        "dim": widths.pop(),
        "depth": settings["hyponet.n_layer"],
        "feature_dim": 2 * settings["hyponet.fourier_mapping.ff_dim"],
        "sigma": float(2**sigma if settings["hyponet.input_dim"] == 3 else sigma),  # in space it is an exponent
        "modulated": tuple(settings["modulated_layer_idxs"] or ()),
    }


def _encoder(settings: Settings) -> Record:
    """The fields that say what encoder it has."""
    if settings["latent_mapping.latent_dim"] != settings["transformer.embed_dim"]:
        raise UserError("arch.latent_mapping.latent_dim and arch.transformer.embed_dim differ; they must agree")
    return {
        "patch": settings["data_encoder.encoder_spec.patch_size"],
        "padding": settings["data_encoder.encoder_spec.padding"],
        "encoder_dim": settings["transformer.embed_dim"],
        "encoder_depth": settings["transformer.n_layer"],
        "encoder_heads": settings["transformer.block.n_head"],
    }


def _views(settings: Settings, dataset: Record) -> int:
    """Support views: what the data set's section says, or the one number that makes square views of the patches."""
    patches = settings["latent_mapping.n_patches"]
    given = (dataset.get("train_config") or {}).get("n_support")
    possible = [n for n in range(1, MOST_VIEWS + 1) if _are_square(patches, n)]
    if given is None and len(possible) != 1:
        raise UserError(
            f"arch.latent_mapping.n_patches {patches} without dataset.train_config.n_support: "
            f"{'that leaves open how many square views there are' if possible else 'these are no square views'}; "
            f"n_support says how many"
        )
    if given is not None and (type(given) is not int or not _are_square(patches, given)):
        raise UserError(
            f"arch.latent_mapping.n_patches {patches} and dataset.train_config.n_support {given!r} do not fit, so the "
            f"project's own code cannot run this configuration either: for {patches} patches n_support is "
            f"{' or '.join(map(str, possible)) or 'none'}, for {given} views n_patches is {given} x a square number"
        )
    return possible[0] if given is None else given


def _are_square(patches: int, views: int) -> bool:
    """Whether so many patches are so many square views."""
    return views > 0 and views * isqrt(patches // views) ** 2 == patches


def _size(settings: Settings, dataset: Record, views: int) -> tuple[int, int]:
    """Height and width of the pictures: square, from the number of patches."""
    patches, spec = settings["latent_mapping.n_patches"], "data_encoder.encoder_spec."
    side = isqrt(patches // views)
    if views * side**2 != patches:
        raise UserError(f"arch.latent_mapping.n_patches {patches} is no square number; square pictures are implemented")
    pixels = side * settings[f"{spec}patch_size"] - 2 * settings[f"{spec}padding"]
    if (named := _named_side(dataset)) not in (None, pixels):
        raise UserError(f"dataset.transforms.type names {named} pixels, but the patches cover {pixels}")
    return pixels, pixels


def _named_side(dataset: Record) -> int | None:
    """The side in the name of the data set's transforms, `imagenette178x178`."""
    named = re.search(r"(\d+)x\1$", str((dataset.get("transforms") or {}).get("type")))
    return int(named[1]) if named else None


def _one_number(settings: Settings, name: str, modulated: tuple[int, ...]) -> int:
    """A number per layer that is the same for all layers that matter; a list of one stands for all."""
    numbers = settings[name]
    which = set(numbers) if len(numbers) == 1 else {numbers[i] for i in modulated}
    if len(which) != 1:
        raise UserError(f"arch.{name} {numbers}: one number for all modulated layers is implemented here")
    return which.pop()


def _shared_plan(depth: int, composed: tuple[int, ...]) -> dict[str, From]:
    """Biases, and the matrices of layers that have one of their own."""
    source = {i: f"hyponet.params_dict.linear_wb{i}" for i in range(depth)}
    plan = {f"net.layers.{i}.bias": From(name, bias) for i, name in source.items()}
    return plan | {f"net.layers.{i}.weight": From(n, rows) for i, n in source.items() if i not in composed}


def _encoder_plan(depth: int, modulated: tuple[int, ...]) -> dict[str, From]:
    """Patches, tokens, blocks and the maps to rows of weights."""
    modules = {"encoder.embed": "latent_mapping.latent_mapping"}
    for i in range(depth):
        ours, theirs = f"encoder.transformer.blocks.{i}", f"transformer.blocks.{i}"
        modules |= {f"{ours}.norm{k}": f"{theirs}.ln{k}" for k in (1, 2)}
        modules |= {f"{ours}.mlp.{k}": f"{theirs}.mlp.{k}" for k in (0, 2)}
        names = {"q": "query", "k": "key", "v": "value", "out": "proj"}
        modules |= {f"{ours}.attention.{a}": f"{theirs}.attn.{b}" for a, b in names.items()}
    for i in modulated:
        theirs = f"group_modulation_postfc.linear_wb{i}"
        modules |= {f"encoder.out.norm.{i}": f"{theirs}.0", f"encoder.out.linear.{i}": f"{theirs}.1"}
    return weights_and_biases(modules) | {
        "encoder.position": From("latent_mapping.pos_emb_latent", _without_batch),
        "encoder.latents": From("weight_groups.weight_groups"),
    }


def _without_batch(tensor: Tensor) -> Tensor:
    return tensor.squeeze(0)


PROJECT = Project(
    name="kakaobrain/ginr-ipc",
    content=frozenset({"epoch", "state_dict", "state_dict_ema", "optimizer", "scheduler"}),
    recognises=recognises,
    build=build,
)
"""Their evaluation reports the weights, then the moving average if there is one."""
