"""Checkpoints of kakaobrain/ginr-ipc: IPC and TransINR, for pictures and as radiance fields, and Learned Init.

Matrices there are (fan-in + 1) x fan-out with the bias in the last row; here they are fan-out x fan-in. A layer that
pattern composers modulate has a base matrix there which nothing reads: its bias alone is taken. Dropout, which their
training has and a trained model has not, is left behind.
"""

import re
from math import isqrt

import torch

from tokenfield.configs import from_dict
from tokenfield.errors import UserError
from tokenfield.interop.project import Choices, Project
from tokenfield.interop.settings import Setting, Settings, free, must_be, only, optional, required
from tokenfield.interop.tensors import From, Plan, fill, turned, weight_and_bias, weights_and_biases
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel
from tokenfield.models.hyponet_field import IpcConfig, TransInrConfig
from tokenfield.models.learned_init import LearnedInitConfig
from tokenfield.nn.fourier import frequencies
from tokenfield.training.protocols import ModelConfig
from tokenfield.views.models.radiance import IpcRadianceConfig, TransInrRadianceConfig

SECTIONS = free(
    "arch",
    "dataset.type",
    *(f"dataset.transforms.{name}" for name in ("type", "normalize", "random_crop", "scale")),
    *(f"dataset.transforms.{name}" for name in ("total_secs", "patch_secs", "sampling_rate")),
    *(f"dataset.train_config.{name}" for name in ("split", "n_support", "n_query", "repeat", "views_range")),
    *("dataset.val_config", "trainer", "loss", "optimizer", "experiment", "seed", "runtime", "result_path"),
)
"""What the whole YAML may hold, also as their trainer writes it beside its checkpoints. The data set's section is read
for sizes; those after it matter to training alone."""

FOURIER, SPEC = "hyponet.fourier_mapping", "data_encoder.encoder_spec"

HYPONET = {
    **required("type", "hyponet.hidden_dim"),
    **optional({"hyponet.n_layer": 5, f"{FOURIER}.ff_sigma": 1024, f"{FOURIER}.ff_dim": 128}),
    **only({"hyponet.type": "mlp", "hyponet.use_bias": True, "hyponet.activation.type": "relu",
            "hyponet.normalize_weight": True, f"{FOURIER}.trainable": False, f"{FOURIER}.use_ff": True}),
    **free("ema", "hyponet.activation.siren_w0", "hyponet.initialization.weight_init_type",
           "hyponet.initialization.bias_init_type", "coord_sampler.train_strategy", "coord_sampler.val_strategy",
           "modulated_layer_idxs"),
}  # fmt: skip
"""The MLP."""

ENCODER = {
    **required("transformer.n_layer", "transformer.block.n_head", "n_weight_groups"),
    **optional({f"{SPEC}.patch_size": 9, f"{SPEC}.padding": 1, "latent_mapping.n_patches": 400,
                "latent_mapping.latent_dim": 256, "transformer.embed_dim": 768}),
    **only({"data_encoder.type": "unfold", "latent_mapping.type": "linear", "latent_mapping.use_pe": True,
            "transformer.mask": False, "transformer.block.mlp_bias": True, "transformer.block.attn_bias": True,
            "transformer.block.gelu": "v1"}),
    **free("data_encoder.trainable", "latent_mapping.n_layer", "latent_mapping.activation", "latent_mapping.hidden_dim",
           "transformer.block.embed_dim", "transformer.block.attn_pdrop", "transformer.block.resid_pdrop"),
}  # fmt: skip
"""The transformer and the tokens. The width of a block is replaced there by the transformer's."""

PICTURES = {
    **optional({"hyponet.output_dim": 3}),
    **only({"hyponet.input_dim": 2, "hyponet.output_bias": 0.5, f"{FOURIER}.type": "deterministic_transinr",
            "coord_sampler.data_type": "image"}),
    **must_be({"coord_sampler.coord_range": [-1.0, 1.0]}),
}  # fmt: skip
"""What it is used for: pictures."""

RADIANCE = {
    **only({"data_encoder.n_channel": 9, "hyponet.input_dim": 3, "hyponet.output_dim": 4, "hyponet.output_bias": 0.0,
            f"{FOURIER}.type": "deterministic_transinr_nerf", "coord_sampler.data_type": "nvs"}),
    **free("coord_sampler.coord_range", "coord_sampler.num_points_per_ray"),
}  # fmt: skip
"""What it is used for: points in space, which lie on rays between near and far; how many is a matter of rendering."""

ADAPTATION = {**required("rank"), **optional({"n_inner_step": 2, "inner_lr": 0.01, "use_factorization": True}),
              **only({"ignore_base_param": True})}
"""Learned Init, which has no encoder."""

KINDS: dict[str, type[ModelConfig]] = {
    "low_rank_modulated_transinr": IpcConfig,
    "transinr": TransInrConfig,
    "low_rank_modulated_transinr_nerf": IpcRadianceConfig,
    "transinr_nerf": TransInrRadianceConfig,
}
"""With an encoder, by the type in the YAML."""

ADAPTED = "meta_low_rank_modulated_inr"
"""Without one."""

MOST_VIEWS = 5
"""Support views in what the project trains."""


def build(checkpoint: Record, config: Record, choices: Choices) -> FieldModel:
    """The model of a checkpoint and its YAML."""
    sections = Settings(config, SECTIONS)
    arch = sections["arch"]
    if not isinstance(arch, dict):
        raise UserError("the YAML has no section arch")
    kind = arch.get("type")
    if not isinstance(kind, str) or kind not in {*KINDS, ADAPTED}:
        raise UserError(f"arch.type {kind!r} is not known; {', '.join(KINDS)} and {ADAPTED} are")
    state = choices.state(checkpoint["state_dict"], checkpoint.get("state_dict_ema"))
    if kind == ADAPTED:
        return _adapted(arch, sections, state, choices)
    return _encoded(kind, arch, sections, state)


def _encoded(kind: str, arch: Record, sections: Settings, state: Record) -> FieldModel:
    """A transformer in front of the MLP."""
    in_space, composed = kind.endswith("_nerf"), kind.startswith("low_rank")  # a shared factor mixes the tokens
    table = HYPONET | ENCODER | (RADIANCE if in_space else PICTURES | {"data_encoder.n_channel": Setting(3)})
    settings = Settings(arch, table, "arch")
    views = _views(settings, sections) if in_space else 1
    if settings["latent_mapping.latent_dim"] != settings["transformer.embed_dim"]:
        raise UserError("arch.latent_mapping.latent_dim and arch.transformer.embed_dim differ; they must agree")
    fields = _mlp(settings) | {
        "size": _size(settings, sections, views),
        "patch": settings[f"{SPEC}.patch_size"],
        "padding": settings[f"{SPEC}.padding"],
        "encoder_dim": settings["transformer.embed_dim"],
        "encoder_depth": settings["transformer.n_layer"],
        "encoder_heads": settings["transformer.block.n_head"],
    }
    if in_space:
        fields["views"] = views
    elif settings["data_encoder.n_channel"] != fields["channels"]:
        raise UserError("arch.data_encoder.n_channel and arch.hyponet.output_dim differ; they must agree")
    modulated = fields["modulated"] or tuple(range(fields["depth"]))
    fields["num_latents" if composed else "groups"] = _one_number(settings, "n_weight_groups", modulated)
    config = from_dict(KINDS[kind], fields, "arch")
    plan = _encoder_plan(fields["encoder_depth"], modulated)
    plan |= _layers_plan(fields["depth"], modulated if composed else ())
    for i in modulated if composed else ():
        plan[f"net.layers.{i}.factor"] = From(f"shared_factor.linear_wb{i}", lambda batch: batch.squeeze(0))
    return _filled(config, plan, settings, state)


def _adapted(arch: Record, sections: Settings, state: Record, choices: Choices) -> FieldModel:
    """Learned Init: the MLP and where its matrices start."""
    settings = Settings(arch, HYPONET | PICTURES | ADAPTATION, "arch")
    fields = _mlp(settings) | {"inner_steps": settings["n_inner_step"], "inner_rate": float(settings["inner_lr"])}
    modulated = fields["modulated"] or tuple(range(fields["depth"]))
    if settings["use_factorization"]:
        fields["rank"] = _one_number(settings, "rank", modulated)
    side = _named_side(sections)  # any size fits such a model
    fields["size"] = (side, side) if side else choices.size_or(LearnedInitConfig().size)
    config = from_dict(LearnedInitConfig, fields, "arch")
    plan = _layers_plan(config.depth, modulated)
    plan |= {f"initial.{i}": From(f"factors.init_modulation_factors.linear_wb{i}", turned) for i in modulated}
    if config.rank:
        plan |= {f"net.layers.{i}.factor": From(f"factors.shared_factors.linear_wb{i}") for i in modulated}
    return _filled(config, plan, settings, state)


def _filled(config: ModelConfig, plan: Plan, settings: Settings, state: Record) -> FieldModel:
    """The model, once its frequencies are known to be the formula's: the checkpoint's go nowhere."""
    stored = state.get("hyponet.ff_linear")
    if stored is not None:  # else it is named among what is missing
        expected = frequencies(_mlp(settings)["sigma"], settings[f"{FOURIER}.ff_dim"] // settings["hyponet.input_dim"])
        if stored.shape != expected.shape or not torch.allclose(stored, expected, rtol=1e-5):
            raise UserError(f"hyponet.ff_linear holds other frequencies than {settings[f'{FOURIER}.type']} makes")
    return fill(config, plan, state, also=["hyponet.ff_linear"])


def _mlp(settings: Settings) -> Record:
    """The fields of a model's configuration that say what MLP it is."""
    widths, sigma = set(settings["hyponet.hidden_dim"]), settings[f"{FOURIER}.ff_sigma"]
    if len(widths) != 1:
        raise UserError(f"arch.hyponet.hidden_dim {settings['hyponet.hidden_dim']}: one width is implemented here")
    return {
        "rounding": "ginr-ipc",
        "channels": settings["hyponet.output_dim"],
        "dim": widths.pop(),
        "depth": settings["hyponet.n_layer"],
        "feature_dim": 2 * settings[f"{FOURIER}.ff_dim"],
        "sigma": float(2**sigma if settings["hyponet.input_dim"] == 3 else sigma),  # in space it is an exponent
        "modulated": tuple(settings["modulated_layer_idxs"] or ()),
    }


def _views(settings: Settings, sections: Settings) -> int:
    """Support views: what the data set's section says, or the one number that makes square views of the patches."""
    patches, views = settings["latent_mapping.n_patches"], sections["dataset.train_config.n_support"]
    possible = [n for n in range(1, MOST_VIEWS + 1) if _are_square(patches, n)]
    if views is None and len(possible) != 1:
        raise UserError(
            f"arch.latent_mapping.n_patches {patches} without dataset.train_config.n_support: "
            f"{'that leaves open how many square views there are' if possible else 'these are no square views'}; "
            f"n_support says how many"
        )
    if views is not None and (type(views) is not int or not _are_square(patches, views)):
        raise UserError(
            f"arch.latent_mapping.n_patches {patches} and dataset.train_config.n_support {views!r} do not fit, so the "
            f"project's own code cannot run this configuration either: for {patches} patches n_support is "
            f"{' or '.join(map(str, possible)) or 'none'}, for {views} views n_patches is {views} x a square number"
        )
    return possible[0] if views is None else views


def _are_square(patches: int, views: int) -> bool:
    """Whether so many patches are so many square views."""
    return views > 0 and views * isqrt(patches // views) ** 2 == patches


def _size(settings: Settings, sections: Settings, views: int) -> tuple[int, int]:
    """Height and width of the pictures: square, from the number of patches."""
    patches = settings["latent_mapping.n_patches"]
    if not _are_square(patches, views):
        raise UserError(f"arch.latent_mapping.n_patches {patches} is no square number; square pictures are implemented")
    pixels = isqrt(patches // views) * settings[f"{SPEC}.patch_size"] - 2 * settings[f"{SPEC}.padding"]
    if (side := _named_side(sections)) not in (None, pixels):
        raise UserError(f"dataset.transforms.type names {side} pixels, but the patches cover {pixels}")
    return pixels, pixels


def _named_side(sections: Settings) -> int | None:
    """The side in the name of the data set's transforms, `imagenette178x178`."""
    side = re.search(r"(\d+)x\1$", str(sections["dataset.transforms.type"]))
    return int(side[1]) if side else None


def _one_number(settings: Settings, name: str, modulated: tuple[int, ...]) -> int:
    """A number per layer that is the same for all layers that matter; a list of one stands for all."""
    numbers: list[int] = settings[name]
    which = set(numbers) if len(numbers) == 1 else {numbers[i] for i in modulated}
    if len(which) != 1:
        raise UserError(f"arch.{name} {numbers}: one number for all modulated layers is implemented here")
    return which.pop()


def _layers_plan(depth: int, composed: tuple[int, ...]) -> Plan:
    """Of the MLP; the matrix of a composed layer is made of tokens."""
    plan: Plan = {}
    for i in range(depth):
        plan |= weight_and_bias(f"net.layers.{i}", f"hyponet.params_dict.linear_wb{i}")
    for i in composed:
        del plan[f"net.layers.{i}.weight"]
    return plan


def _encoder_plan(depth: int, modulated: tuple[int, ...]) -> Plan:
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
        "encoder.position": From("latent_mapping.pos_emb_latent", lambda batch: batch.squeeze(0)),
        "encoder.latents": From("weight_groups.weight_groups"),
    }


PROJECT = Project(
    name="kakaobrain/ginr-ipc",
    content=frozenset({"epoch", "state_dict", "state_dict_ema", "optimizer", "scheduler"}),
    state=("state_dict",),
    mark="hyponet.params_dict.",
    build=build,
)
"""Their evaluation reports the weights, then the moving average if there is one."""
